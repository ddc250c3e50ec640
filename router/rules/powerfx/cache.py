"""What has been compiled lately, bounded by what it takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_MOST_ENTRIES: Final = 1_024
#: Of all texts together, of which a character becomes a quarter of a kilobyte: some 30 MB at most, and not more than a
#: look for garbage walks over in a moment. The expressions of a policy and of what it was before find room.
MOST_CHARACTERS: Final = 130_000


class CompiledCache(Generic[T]):
    """What became of texts, those that were asked for last. Used by several threads."""

    def __init__(self, most_size: int = MOST_CHARACTERS) -> None:
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._most_size = most_size
        #: Of all that is kept.
        self.size = 0
        self._lock = Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, compiled: T, size: int) -> None:
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = (compiled, size)
            self.size += size
            while len(self._entries) > 1 and (len(self._entries) > _MOST_ENTRIES or self.size > self._most_size):
                _, (_, gone) = self._entries.popitem(last=False)
                self.size -= gone
