"""Transactions in bounds: Table Storage takes 100 writes of one partition and 4 MiB, all entities as they travel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from router.storage.port import Entity, RowChanged, RowExists, Write

MOST_WRITES: Final = 100
#: Bytes of the entities of a transaction: what is left is for the headers of each part.
LARGEST_TRANSACTION: Final = 3_500_000
#: Of one entity: in a transaction its letters travel escaped.
LARGEST_OF_A_TRANSACTION: Final = 900_000
_OF_A_WRITE: Final = 1_500


def wire_bytes(entity: Entity) -> int:
    """At most so many bytes of JSON travel for an entity: letters that are not ASCII are escaped."""
    return _OF_A_WRITE + sum(_wire_bytes(value) for value in entity.columns.values())


def _wire_bytes(value: Any) -> int:
    if not isinstance(value, str):
        return 60
    if value.isascii():
        return len(value) + value.count('"') + value.count("\\") + 60
    return 3 * len(value.encode("utf-16-le", "surrogatepass")) + 60


def split(groups: Iterable[Sequence[Write]]) -> Iterator[list[Write]]:
    """Groups of writes of one partition, put together as far as a transaction takes them; a group is never parted."""
    for together in _put_together(groups):
        yield [write for group in together for write in group]


def _put_together(groups: Iterable[Sequence[Write]]) -> Iterator[list[Sequence[Write]]]:
    together: list[Sequence[Write]] = []
    count = size = 0
    for group in groups:
        more = sum(wire_bytes(write.entity) for write in group)
        if together and (
            count + len(group) > MOST_WRITES
            or size + more > LARGEST_TRANSACTION
            or together[0][0].entity.partition != group[0].entity.partition
        ):
            yield together
            together, count, size = [], 0, 0
        together.append(group)
        count, size = count + len(group), size + more
    if together:
        yield together


async def write_groups(
    groups: Iterable[Sequence[Write]],
    transact: Callable[[Sequence[Write]], Awaitable[object]],
    write: Callable[[Write], Awaitable[object]],
) -> None:
    """Groups of writes in as few transactions as it takes. Where one fails, since some row is not as it was, its groups
    are written each on its own, side by side; where that fails too, each write, those that take rows away last."""
    for together in _put_together(groups):
        try:
            await transact([one for group in together for one in group])
        except (RowChanged, RowExists):
            again = transact if len(together) > 1 else None
            await asyncio.gather(*(_write_apart(group, again, write) for group in together))


async def _write_apart(
    group: Sequence[Write],
    transact: Callable[[Sequence[Write]], Awaitable[object]] | None,
    write: Callable[[Write], Awaitable[object]],
) -> None:
    if transact is not None and len(group) > 1:
        try:
            await transact(group)
            return
        except (RowChanged, RowExists):
            pass
    for one in sorted(group, key=lambda one: one.kind == "delete"):
        await write(one)
