"""What ends a run early, with a message for the person who started it."""

from __future__ import annotations


class MigrationError(Exception):
    """The run cannot go on; what was written stays, and another run goes on from there."""


class NoAnswer(MigrationError):
    """One of the two does not answer, however often it is asked."""

    def __init__(self, host: str, asked: str, reason: str) -> None:
        super().__init__(f"{host} does not answer {asked}: {reason}. Run again to go on.")
        self.host = host
        self.reason = reason


class Refused(Exception):
    """One request was refused (4xx): a matter of that one resource."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
