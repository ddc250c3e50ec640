"""Events out of the router and back in: the Event Grid topic, the publisher before it, and what wakes us."""
