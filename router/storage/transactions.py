"""Transactions in bounds: Table Storage takes 100 writes of one partition and 4 MiB, all entities as they travel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from router.storage.port import Entity, Write

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
    together: list[Write] = []
    size = 0
    for group in groups:
        more = sum(wire_bytes(write.entity) for write in group)
        if together and (
            len(together) + len(group) > MOST_WRITES
            or size + more > LARGEST_TRANSACTION
            or together[0].entity.partition != group[0].entity.partition
        ):
            yield together
            together, size = [], 0
        together.extend(group)
        size += more
    if together:
        yield together
