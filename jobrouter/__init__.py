"""`jobrouter`: one command for the router on this machine and for those elsewhere (docs/command.md)."""
