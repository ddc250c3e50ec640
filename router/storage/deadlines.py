"""Everything timed: rows ordered by when they are due.

Layout: PartitionKey = shard, RowKey = due time ~ kind ~ key(target) ~ key(argument); columns Kind, Target,
Argument, Due, Attempt, and Others where targets share the row. A spurious row is harmless: whoever acts on it reads
the truth first."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.models.types import format_time, parse_time
from router.storage.grouped import GroupedUpserts
from router.storage.keys import key, time_key
from router.storage.port import Entity, RowChanged, RowExists, Table, Write

SHARDS: Final = 4
LONGEST_BACKOFF_SECONDS: Final = 300.0
#: Tries of a deadline that fails by itself, not for storage or the topic: more than an hour. Then it is given up.
MOST_ATTEMPTS: Final = 20
#: Ids have up to 256 characters, a column up to 32,768.
MOST_TARGETS: Final = 50


@dataclass(frozen=True)
class Deadline:
    """Something to do with `target` (a job or worker id) at `due`. `argument` is an offer or rule id."""

    kind: str
    target: str
    due: datetime
    argument: str = ""
    attempt: int = 0
    #: Targets that share the row with `target`: together at most MOST_TARGETS.
    others: tuple[str, ...] = ()
    #: Of the row that was read. One that has been armed anew meanwhile is not removed by whoever has done the old one.
    version: str = field(default="", compare=False)

    @property
    def partition(self) -> str:
        return f"{zlib.crc32(self.target.encode()) % SHARDS:02d}"

    @property
    def row(self) -> str:
        return f"{time_key(self.due)}~{self.kind}~{key(self.target)}~{key(self.argument) if self.argument else ''}"


class DeadlineStore:
    """Arms, finds and removes deadlines."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._upserts = GroupedUpserts(table)

    async def arm(self, deadline: Deadline) -> None:
        await self._upserts.put(_entity(deadline))

    async def due(self, shard: int, until: datetime, limit: int) -> list[Deadline]:
        """The first deadlines of a shard that are due before `until`."""
        page = await self._table.query(
            [("PartitionKey", "eq", f"{shard:02d}"), ("RowKey", "lt", time_key(until))], limit=limit
        )
        return [_deadline(entity) for entity in page.entities]

    async def remove(self, deadlines: Sequence[Deadline]) -> None:
        """Removes what was done, in as few transactions as it takes. Missing rows are fine; rows that have been armed
        anew stay."""
        by_shard: dict[str, dict[str, Deadline]] = {}
        for deadline in deadlines:
            by_shard.setdefault(deadline.partition, {})[deadline.row] = deadline
        for shard in by_shard.values():
            some = list(shard.values())
            for start in range(0, len(some), 100):
                await self._remove(some[start : start + 100])

    async def put_off(self, deadline: Deadline, due: datetime) -> None:
        """A copy at a later time; the original goes."""
        later = replace(deadline, due=due, attempt=deadline.attempt + 1, version="")
        await self.arm(later)
        await self.remove([deadline])

    async def _remove(self, some: list[Deadline]) -> None:
        if len(some) > 2:
            try:
                await self._table.transact(
                    [
                        Write("delete", Entity(deadline.partition, deadline.row, version=deadline.version))
                        for deadline in some
                    ]
                )
                return
            except (RowChanged, RowExists):
                pass  # another instance was faster with one of them
        await asyncio.gather(*(self._remove_one(deadline) for deadline in some))

    async def _remove_one(self, deadline: Deadline) -> None:
        with contextlib.suppress(RowChanged):
            await self._table.delete(deadline.partition, deadline.row, deadline.version)


def put_off_until(deadline: Deadline, now: datetime) -> datetime:
    """When to try again what has failed. Counted from when it was due, in whole steps, so that several instances that
    fail at the same row make the same copy of it, not one each."""
    step = backoff(deadline.attempt)
    if deadline.kind.startswith("settle-"):
        # Whole steps of the day: the settle deadlines that several failed tries have left become one.
        since = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return since + step * ((now - since) // step + 1)
    return deadline.due + step * (max((now - deadline.due) // step, 0) + 1)


def backoff(attempt: int) -> timedelta:
    """How long a failing deadline waits: 1 s, 2 s, 4 s ... at most 5 minutes."""
    return timedelta(seconds=min(2.0 ** min(attempt, 9), LONGEST_BACKOFF_SECONDS))


def _entity(deadline: Deadline) -> Entity:
    columns: dict[str, Any] = {
        "Kind": deadline.kind,
        "Target": deadline.target,
        "Argument": deadline.argument,
        "Due": format_time(deadline.due),
        "Attempt": deadline.attempt,
    }
    if deadline.others:
        columns["Others"] = to_json(deadline.others).decode()
    return Entity(deadline.partition, deadline.row, columns)


def _deadline(entity: Entity) -> Deadline:
    columns = entity.columns
    return Deadline(
        str(columns["Kind"]),
        str(columns["Target"]),
        parse_time(columns["Due"]),
        str(columns.get("Argument") or ""),
        int(columns.get("Attempt") or 0),
        tuple(from_json(columns["Others"])) if columns.get("Others") else (),
        entity.version,
    )
