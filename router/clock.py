"""The only maker of "now", as UTC; tests and simulations put a hand-driven one in its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


class Clock(Protocol):
    """Anything that tells the time."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """The machine's clock, and what it has been put forward by. Nothing in the router puts it forward: a local run
    that is told to does, so that an application's tests need not wait."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        """Never back: what has happened cannot be undone. ValueError."""
        if by < timedelta():
            raise ValueError("a clock that is put back")
        if self.now() + by > _LATEST:
            raise ValueError(f"a clock beyond {_LATEST:%Y}")
        self._ahead += by


#: Far from the last moment that a date can be, since times are reckoned from it.
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
#: What jobs and workers live by in this process. Signatures and tokens are checked by the machine's clock.
PROCESS_CLOCK: Final = MovableClock()
