"""The wire: from bytes to validated documents and back. Pure functions, no I/O and no clock."""
