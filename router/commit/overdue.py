"""What is late goes first: while due deadlines wait for their turn, work that nobody waits for holds back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

#: So many late deadlines are a storm. Fewer are done before anybody would have held back for long.
_STORM: Final = 50


class Overdue:
    """How many due deadlines this process has not begun with."""

    def __init__(self) -> None:
        self._count = 0
        self._calm = asyncio.Event()
        self._calm.set()

    def came(self) -> None:
        self._count += 1
        if self._count >= _STORM:
            self._calm.clear()

    def begun(self) -> None:
        self._count -= 1
        if self._count < _STORM:
            self._calm.set()

    @property
    def is_storm(self) -> bool:
        return not self._calm.is_set()

    async def calm(self, at_most: float) -> None:
        """Returns when few are left, or after `at_most` seconds."""
        if self.is_storm:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most):
                    await self._calm.wait()
