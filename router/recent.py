"""Maps that are bounded: the oldest goes first. For what only ever saves work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The last values that were set, at most so many keys, and together no larger than `most_size`."""

    def __init__(self, most: int, *, size: Callable[[V], int] | None = None, most_size: int = 0) -> None:
        """`size` of a value; it must not change while the value is kept."""
        self._most = most
        self._size_of = size
        self._most_size = most_size
        self._size = 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def __setitem__(self, key: K, value: V) -> None:
        self.forget(key)
        self._values[key] = value
        self._size += self._size_of(value) if self._size_of is not None else 0
        while len(self._values) > self._most or (self._size > self._most_size and len(self._values) > 1):
            self.forget(next(iter(self._values)))

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def forget(self, key: K) -> V | None:
        """Takes the value out; None if there is none."""
        if key not in self._values:
            return None
        value = self._values.pop(key)
        self._size -= self._size_of(value) if self._size_of is not None else 0
        return value

    def __contains__(self, key: K) -> bool:
        return key in self._values


class RecentIds:
    """The last so many ids."""

    def __init__(self, most: int = 10_000) -> None:
        self._ids: Recent[str, None] = Recent(most)

    def add(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._ids[id] = None

    def discard(self, id: str) -> None:
        self._ids.forget(id)

    def __contains__(self, id: str) -> bool:
        return id in self._ids
