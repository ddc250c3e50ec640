"""What ends a command, with a message for the person who gave it, and its exit codes."""

from __future__ import annotations

from typing import Final

#: Done; what was asked for is not there, was refused or was not confirmed; the command could not do its work.
DONE: Final = 0
NOT_SO: Final = 1
FAILED: Final = 2


class CommandError(Exception):
    """The command cannot do its work."""


class NotSo(Exception):
    """The command worked, and the answer is no."""
