"""What would have been: a day replayed with another policy or team, by the router's own decisions."""
