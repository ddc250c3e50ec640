"""Local development: the router with its real parts on one machine, nothing listening beyond loopback."""
