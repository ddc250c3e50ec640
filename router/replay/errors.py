"""Why a day is not played."""

from __future__ import annotations


class ReplayError(Exception):
    """What is told of the day cannot be played, with a message for people."""


class BadLine(ReplayError):
    """A line of a file that cannot be read, and why."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.line = line


class NotReplayable(ReplayError):
    """The day has something that cannot be decided again here."""
