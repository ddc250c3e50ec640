"""What the expressions of one classification, or of one scoring, may cost together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

#: Steps of all expressions together: twice what one may take.
MOST_STEPS: Final = 500_000
#: Processor time of all expressions together.
MOST_SECONDS: Final = 0.5


class Purse:
    """The steps and seconds that are left."""

    __slots__ = ("seconds", "steps")

    def __init__(self) -> None:
        self.steps = MOST_STEPS
        self.seconds = MOST_SECONDS


_CURRENT: ContextVar[Purse | None] = ContextVar("purse", default=None)


def current() -> Purse:
    """The purse of what goes on here; one of its own for a lone expression."""
    return _CURRENT.get() or Purse()


@contextmanager
def one_purse() -> Iterator[Purse]:
    """All expressions that are evaluated within spend from one purse."""
    purse = Purse()
    token = _CURRENT.set(purse)
    try:
        yield purse
    finally:
        with suppress(ValueError):  # closed from elsewhere, as a coroutine is that nobody awaits any more
            _CURRENT.reset(token)
