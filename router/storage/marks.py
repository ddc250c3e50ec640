"""Where the items of lists stand, as this process saw it lately. It saves looking the order up; nothing rests on it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable
from typing import Final

from router.recent import Recent

#: Marks of one list, and of all.
_MOST: Final = 5_000
_MOST_OF_ALL: Final = 50_000


class Marks:
    """Ordered marks of each list: moments that count up from the newest item on (storage/listing.py)."""

    def __init__(self) -> None:
        self._marks: Recent[Hashable, tuple[int, ...]] = Recent(1_000, size=len, most_size=_MOST_OF_ALL)

    def saw(self, of: Hashable, behind: int | None, end: int, marks: Iterable[int]) -> None:
        """Between these two, the end included, a list has exactly these."""
        known = self._marks.get(of) or ()
        new = tuple(sorted(marks))
        before = known[: bisect_right(known, behind)] if behind is not None else ()
        merged = (*before, *new, *known[bisect_right(known, end) :])
        self._marks[of] = merged if len(merged) <= _MOST else new[-_MOST:]

    def ahead(self, of: Hashable, behind: int | None, count: int) -> int | None:
        """Where the last of the next `count` stands, as far as is known."""
        known = self._marks.get(of) or ()
        at = (bisect_right(known, behind) if behind is not None else 0) + count - 1
        return known[at] if at < len(known) else None
