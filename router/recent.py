"""Maps that are bounded: the oldest goes first. For what only ever saves work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The last values that were set, at most so many keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __setitem__(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def forget(self, key: K) -> V | None:
        """Takes the value out; None if there is none."""
        return self._values.pop(key, None)

    def __contains__(self, key: K) -> bool:
        return key in self._values


class RecentIds:
    """The last so many ids."""

    def __init__(self, most: int = 10_000) -> None:
        self._ids: Recent[str, None] = Recent(most)

    def add(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._ids[id] = None

    def __contains__(self, id: str) -> bool:
        return id in self._ids
