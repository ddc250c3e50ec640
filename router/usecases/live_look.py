"""A look over the keys of all rows of a table, page by page, for who follows it by what is written to it: which of the
rows that were known when it began are gone, and whether one was missed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Position = tuple[str, str]


class Look(Generic[K]):
    """`page` reads keys, each with when its row was written, in no order; `written` is what is known of that, and may
    change meanwhile."""

    def __init__(
        self,
        page: Callable[[Position | None], Awaitable[tuple[list[tuple[K, str]], Position | None]]],
        written: Mapping[K, str],
        drop: Callable[[K], None],
    ) -> None:
        self._page = page
        self._written = written
        self._drop = drop
        self._unseen = dict(written)
        self._after: Position | None = None
        self.pages = 0
        self.done = False
        #: Whether a row was written of which it is not known.
        self.missed = False

    async def turn(self, since: str) -> None:
        """Reads a page; after the last one it drops what is gone. What was written `since` is not missed: that is read
        anyway. Raises StorageUnavailable: then the page is read again."""
        rows, self._after = await self._page(self._after)
        self.pages += 1
        for key, at in rows:
            self._unseen.pop(key, None)
            # Rows of former versions do not tell when they were written.
            self.missed |= at < since and (not at or self._written.get(key) != at)
        self.done = self._after is None
        if not self.done:
            return
        for key, at in self._unseen.items():
            # What was written again meanwhile may stand on a page that had been read.
            if self._written.get(key) == at:
                self._drop(key)
