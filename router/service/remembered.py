"""What a process remembers of its own doing: bounded, the oldest goes first. It only ever saves work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The last values that were set, at most so many keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, V] = OrderedDict()

    def __setitem__(self, key: str, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def get(self, key: str) -> V | None:
        return self._values.get(key)

    def forget(self, key: str) -> None:
        self._values.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._values


class RecentIds:
    """The last so many ids."""

    def __init__(self, most: int = 50_000) -> None:
        self._ids: Recent[None] = Recent(most)

    def add(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._ids[id] = None

    def __contains__(self, id: str) -> bool:
        return id in self._ids


class Followed:
    """Commits after which this process has done all that hangs on the row. What a commit that was not followed to its
    end has left undone, those that build on it do not do either: neither are they followed."""

    def __init__(self, most: int = 50_000) -> None:
        self._commits = RecentIds(most)

    def done(self, before: str, after: str) -> None:
        """What hangs on the commit `after` has been done; `before` is the one that it builds on, none for the first."""
        if not before or before in self._commits:
            self._commits.add([after])

    def settled(self, commit: str) -> None:
        """Everything that hangs on the row has been looked at."""
        self._commits.add([commit])

    def __contains__(self, commit: str) -> bool:
        return commit in self._commits
