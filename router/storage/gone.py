"""Rows that this process has taken away, for who follows a table by what is written to it (usecases/live_rows.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

K = TypeVar("K")
#: Remembered: more than go in the time after which all rows are read again.
_MOST: Final = 10_000


class Gone(Generic[K]):
    """The keys of the last of them."""

    def __init__(self) -> None:
        self._keys: deque[K] = deque(maxlen=_MOST)

    def add(self, keys: Iterable[K]) -> None:
        self._keys.extend(keys)

    def take(self) -> list[K]:
        """Those since the last time."""
        keys = list(self._keys)
        self._keys.clear()
        return keys
