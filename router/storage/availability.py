"""Workers of each queue that can take something, in idle order and in id order.

Layout: PartitionKey = key(queue); two rows a worker: RowKey `i~load~since~key(worker)~version` (least loaded, then
longest available, first) and `n~key(worker)~version` (round robin). Columns: WorkerId, one `C_<channel>` = true for
each channel that it can take a job of, and its labels as `L_<label>`, so that storage filters most of who does not
fit; State and Labels, what matching needs (JSON). Each row belongs to one version of its worker, so a late write never
undoes a newer one. A hint: the worker's row is the truth."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote
from weakref import WeakValueDictionary

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from router.engine.candidates import Candidate
from router.engine.matching import no_room
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.offload import by_size
from router.storage.keys import ascending_ratio, key, time_key
from router.storage.port import Condition, Entity, Table, Write
from router.storage.transactions import write_groups

#: 100 labels and `Id`; with as many channels still fewer columns than an entity may have.
_MOST_COLUMNS: Final = 101
_LONGEST_LABEL: Final = 500
_LARGEST_COLUMN: Final = 16_000
#: Bytes of texts that a query names: it travels in the request's target. What it does not ask is decided by the rows.
_LONGEST_FILTER: Final = 3_000
_STATE: Final = TypeAdapter(Candidate)
_CURSOR: Final = "cursor"
#: Workers whose state is remembered as it was read, and the longest of these: some megabytes at most.
_MOST_REMEMBERED: Final = 2_000
_LONGEST_REMEMBERED: Final = 2_000
#: Partitions that one change writes side by side: a worker may serve 200 queues.
_QUEUES_AT_ONCE: Final = 16
Order = Literal["i", "n"]


@dataclass(frozen=True, slots=True)
class Turn:
    """The worker that round robin served last, and the key behind which it goes on."""

    worker_id: str
    behind: str


@dataclass(frozen=True, slots=True)
class Available:
    """A row of the index: a worker that may be able to take something."""

    worker_id: str
    row: str
    #: What the index tells of it; None where that was too much for a row, or an earlier version of the router wrote it.
    candidate: Candidate | None = None

    @property
    def version(self) -> int:
        """The version of the worker that wrote this row."""
        return int(self.row.rpartition("~")[2])


def row_keys(candidate: Candidate) -> tuple[str, str]:
    """The worker's rows: in idle order and in id order."""
    who = f"{key(candidate.worker_id)}~{candidate.version}"
    return (f"i~{ascending_ratio(candidate.load_ratio)}~{time_key(candidate.since)}~{who}", f"n~{who}")


@dataclass(frozen=True, slots=True)
class Move:
    """A worker's change, as the index follows it: from what it told (nothing: None) to what it tells now."""

    old: Candidate | None
    new: Candidate | None

    def writes(self, queue_id: str) -> list[Write]:
        gone = row_keys(self.old) if self.old is not None and queue_id in self.old.queues else ()
        come = _entities(self.new, queue_id) if self.new is not None and queue_id in self.new.queues else []
        kept = {entity.row for entity in come}
        return [
            *(Write("delete", Entity(key(queue_id), row)) for row in gone if row not in kept),
            *(Write("upsert", entity) for entity in come),
        ]


class AvailabilityStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        #: Of each worker whose rows are being moved.
        self._moving: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def move(self, moves: Sequence[Move]) -> None:
        """Takes the rows of what was away and puts those of what is: as few transactions a queue as it takes. One
        worker's moves go one after the other, in the order in which they are asked for: rows that come after they have
        gone would stay."""
        workers = {one.worker_id for move in moves for one in (move.old, move.new) if one is not None}
        async with AsyncExitStack() as held:
            for worker_id in sorted(workers):
                await held.enter_async_context(self._moving.setdefault(worker_id, asyncio.Lock()))
            await self._move(moves)

    async def _move(self, moves: Sequence[Move]) -> None:
        queues = sorted(
            {queue_id for move in moves for one in (move.old, move.new) if one is not None for queue_id in one.queues}
        )
        at_once = asyncio.Semaphore(_QUEUES_AT_ONCE)

        async def move_in(queue_id: str) -> None:
            groups = (writes for move in moves if (writes := move.writes(queue_id)))
            await write_groups(groups, self._table.transact, self._write)  # a row to go may not be there

        async def bounded(queue_id: str) -> None:
            async with at_once:
                await move_in(queue_id)

        await asyncio.gather(*(bounded(queue_id) for queue_id in queues))

    async def remove(self, queue_id: str, rows: Sequence[str]) -> None:
        """Takes rows away; those that are not there are fine."""
        await asyncio.gather(*(self._table.delete(key(queue_id), row) for row in rows))

    async def _write(self, write: Write) -> None:
        if write.kind == "delete":
            await self._table.delete(write.entity.partition, write.entity.row)
        else:
            await self._table.upsert(write.entity)

    async def available(
        self,
        queue_id: str,
        order: Order,
        limit: int,
        *,
        channel_id: str | None = None,
        selectors: Sequence[RouterWorkerSelector] = (),
        after: str | None = None,
        until: str | None = None,
        token: tuple[str, str] | None = None,
    ) -> tuple[list[Available], tuple[str, str] | None]:
        """At most `limit` workers of the queue that may take something (a job of the channel, and fit the selectors),
        in order, and the token of the next page if there may be more; with `after` those whose row key comes later,
        with `until` those up to that key."""
        where: list[Condition] = [
            ("PartitionKey", "eq", key(queue_id)),
            ("RowKey", "gt", after if after is not None else f"{order}~"),
            ("RowKey", "le", until) if until is not None else ("RowKey", "lt", f"{order}~~"),
        ]
        if channel_id is not None:
            where += [(_channel_column(channel_id), "eq", True), *_conditions(selectors)]
        found = await self._table.query(where, limit=limit, columns=["WorkerId", "Labels", "State"], after=token)
        size = sum(one.characters for one in found.entities)
        return await by_size(size, _parse_all, found.entities), found.next

    async def turn(self, queue_id: str) -> Turn | None:
        """The worker that round robin served last."""
        entity = await self._table.get(key(queue_id), _CURSOR)
        if entity is None:
            return None
        return Turn(str(entity.columns.get("Worker") or ""), str(entity.columns["Last"]))

    async def save_turn(self, queue_id: str, worker_id: str) -> None:
        columns = {"Worker": worker_id, "Last": behind(worker_id)}
        await self._table.upsert(Entity(key(queue_id), _CURSOR, columns))


def behind(worker_id: str) -> str:
    """Sorts behind the rows of this worker in id order, and before those of the next."""
    return f"n~{key(worker_id)}~~"


def _entities(candidate: Candidate, queue_id: str) -> list[Entity]:
    columns: dict[str, Any] = {"WorkerId": candidate.worker_id}
    open_to = [channel_id for channel_id in candidate.channels if no_room(candidate, channel_id) is None]
    for channel_id in open_to[:_MOST_COLUMNS]:
        columns[_channel_column(channel_id)] = True
    for label in sorted(candidate.labels)[:_MOST_COLUMNS]:
        value = candidate.labels[label]
        if isinstance(value, str) and len(value) > _LONGEST_LABEL:
            continue
        columns[_label_column(label)] = (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        )
    state = _STATE.dump_json(candidate, exclude={"labels", "jobs"}).decode()
    labels = to_json(candidate.labels).decode()
    if len(labels) <= _LARGEST_COLUMN and len(state) <= _LARGEST_COLUMN:
        columns |= {"Labels": labels, "State": state}
    return [Entity(key(queue_id), row, columns) for row in row_keys(candidate)]


def _parse_all(entities: Sequence[Entity]) -> list[Available]:
    return [_parse(one) for one in entities]


def _parse(entity: Entity) -> Available:
    columns = entity.columns
    labels, state = str(columns.get("Labels") or ""), str(columns.get("State") or "")
    candidate = None
    if labels and state:
        is_short = len(labels) + len(state) <= _LONGEST_REMEMBERED
        candidate = _remembered(state, labels) if is_short else _candidate(state, labels)
    return Available(str(columns["WorkerId"]), entity.row, candidate)


def _candidate(state: str, labels: str) -> Candidate:
    found: Candidate = _STATE.validate_python({**from_json(state), "labels": from_json(labels), "jobs": frozenset()})
    return found


#: Each round reads the team again, of which most are as they were.
_remembered = lru_cache(_MOST_REMEMBERED)(_candidate)


def _conditions(selectors: Sequence[RouterWorkerSelector]) -> list[Condition]:
    """What storage can check of the selectors: never more than they ask, for rounding and missing labels."""
    conditions: list[Condition] = []
    room = _LONGEST_FILTER
    for selector in selectors[:8]:
        value = selector.value
        if selector.label_operator is LabelOperator.NOT_EQUAL or value is None:
            continue
        if isinstance(value, str):
            room -= len(quote(value, safe=""))
            if room < 0:
                break
        if isinstance(value, bool) or (isinstance(value, str) and len(value) <= _LONGEST_LABEL):
            if selector.label_operator is LabelOperator.EQUAL:
                conditions.append((_label_column(selector.key), "eq", value))
        elif isinstance(value, int | float):
            column, number = _label_column(selector.key), float(value)
            if selector.label_operator in (LabelOperator.EQUAL,):
                conditions.append((column, "eq", number))
            elif selector.label_operator in (
                LabelOperator.GREATER_THAN,
                LabelOperator.GREATER_THAN_OR_EQUAL,
            ):
                conditions.append((column, "ge", number))
            else:
                conditions.append((column, "le", number))
    return conditions


def _channel_column(channel_id: str) -> str:
    return "C_" + _name(channel_id)


def _label_column(label: str) -> str:
    return "L_" + _name(label)


def _name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=9).hexdigest()
