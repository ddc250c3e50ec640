"""Workers of each queue that can take something, in idle order and in id order.

Layout: PartitionKey = key(queue); two rows a worker: RowKey `i~load~since~key(worker)~version` (least loaded, then
longest available, first) and `n~key(worker)~version` (round robin). Columns: WorkerId, one `C_<channel>` = true for
each channel that it can take a job of, and its labels as `L_<label>`, so that storage filters most of who does not
fit. Each row belongs to one version of its worker, so a late write never undoes a newer one. A hint: the worker's
row is the truth."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic_core import from_json, to_json

from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.storage.keys import ascending_ratio, key, time_key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table, Write
from router.storage.windows import Bound, KeyWindows

#: 100 labels and `Id`; with as many channels still fewer columns than an entity may have.
_MOST_COLUMNS: Final = 101
_LONGEST_LABEL: Final = 500
_LARGEST_LABELS: Final = 16_000
_CURSOR: Final = "cursor"
#: Partitions that one change writes side by side: a worker may serve 200 queues.
_QUEUES_AT_ONCE: Final = 16
Order = Literal["i", "n"]


@dataclass(frozen=True)
class Availability:
    """What the index says of a worker: the same for all its queues."""

    worker_id: str
    version: int
    load_ratio: float
    since: datetime
    channels: Sequence[str]
    labels: dict[str, Any]
    queues: Sequence[str]

    def row_keys(self) -> tuple[str, str]:
        who = f"{key(self.worker_id)}~{self.version}"
        return (
            f"i~{ascending_ratio(self.load_ratio)}~{time_key(self.since)}~{who}",
            f"n~{who}",
        )


@dataclass(frozen=True)
class Candidate:
    """A worker that may take a job; its labels where they were asked for and fit the index."""

    worker_id: str
    row: str
    labels: dict[str, Any] | None = None

    @property
    def version(self) -> int:
        """The version of the worker that wrote this row."""
        return int(self.row.rpartition("~")[2])


class AvailabilityStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._windows = KeyWindows(table)
        #: The last turn of each round robin queue that this process has taken: when, and behind which key it goes on.
        self._turns: dict[str, tuple[str, str]] = {}

    async def move(self, old: Availability | None, new: Availability | None) -> None:
        """Takes the rows of `old` away and puts those of `new`, one transaction a queue."""
        queues = sorted({*(old.queues if old else ()), *(new.queues if new else ())})
        at_once = asyncio.Semaphore(_QUEUES_AT_ONCE)

        async def move_in(queue_id: str) -> None:
            gone = [] if old is None or queue_id not in old.queues else list(old.row_keys())
            come = [] if new is None or queue_id not in new.queues else _entities(new, queue_id)
            kept = {entity.row for entity in come}
            async with at_once:
                await self._replace(queue_id, [row for row in gone if row not in kept], come)

        await asyncio.gather(*(move_in(queue_id) for queue_id in queues))

    async def remove(self, queue_id: str, rows: Sequence[str]) -> None:
        """Takes rows away; those that are not there are fine."""
        await asyncio.gather(*(self._table.delete(key(queue_id), row) for row in rows))

    async def candidates(
        self,
        queue_id: str,
        order: Order,
        channel_id: str,
        selectors: Sequence[RouterWorkerSelector],
        *,
        after: str | None = None,
        until: str | None = None,
        page: int = 10,
        with_labels: bool = False,
    ) -> AsyncIterator[Candidate]:
        """Workers of the queue that may take a job of the channel and fit the selectors, in order; with `after`
        those whose row key comes later, with `until` those up to that key."""
        filters: list[Condition] = [
            ("PartitionKey", "eq", key(queue_id)),
            (_channel_column(channel_id), "eq", True),
            *_conditions(selectors),
        ]
        start: Bound = ("gt", after if after is not None else f"{order}~")
        end: Bound = ("le", until) if until is not None else ("lt", f"{order}~~")
        columns = ["WorkerId", "Labels"] if with_labels else ["WorkerId"]
        async for entities in self._windows.read(filters, start, end, page=page, columns=columns):
            for entity in entities:
                labels = entity.columns.get("Labels")
                yield Candidate(str(entity.columns["WorkerId"]), entity.row, from_json(labels) if labels else None)

    async def _replace(self, queue_id: str, gone: Sequence[str], come: Sequence[Entity]) -> None:
        writes = [
            *(Write("delete", Entity(key(queue_id), row)) for row in gone),
            *(Write("upsert", entity) for entity in come),
        ]
        if not gone or not come:
            # Only coming or only going: single writes are cheaper than a transaction, and as good.
            await asyncio.gather(*(self._table.upsert(entity) for entity in come), self.remove(queue_id, gone))
            return
        try:
            await self._table.transact(writes)
        except (RowChanged, RowExists):  # a row to go was not there
            for entity in come:
                await self._table.upsert(entity)
            await self.remove(queue_id, gone)

    async def page(
        self,
        queue_id: str,
        order: Order,
        size: int,
        *,
        after: str | None = None,
        until: str | None = None,
        token: tuple[str, str] | None = None,
    ) -> tuple[list[Candidate], tuple[str, str] | None]:
        """Workers of the queue that may take something, whatever it is, between two row keys; and the token of the
        next page, if there may be more."""
        where: list[Condition] = [
            ("PartitionKey", "eq", key(queue_id)),
            ("RowKey", "gt", after if after is not None else f"{order}~"),
            ("RowKey", "le", until) if until is not None else ("RowKey", "lt", f"{order}~~"),
        ]
        found = await self._table.query(where, limit=size, columns=["WorkerId"], after=token)
        return [Candidate(str(one.columns["WorkerId"]), one.row) for one in found.entities], found.next

    async def has_any(self, queue_id: str) -> bool:
        """Whether a worker of the queue may be able to take something."""
        found, more = await self.page(queue_id, "n", 1)
        return bool(found) or more is not None

    async def cursor(self, queue_id: str) -> str | None:
        """Where round robin stands: the id-order key of the worker that had its turn last."""
        entity = await self._table.get(key(queue_id), _CURSOR)
        stored = (str(entity.columns.get("At", "")), str(entity.columns["Last"])) if entity else None
        known = self._turns.get(queue_id)
        latest = max((turn for turn in (stored, known) if turn is not None), default=None)
        return latest[1] if latest else None

    def take_turn(self, queue_id: str, worker_id: str, at: datetime) -> Callable[[], None]:
        """Round robin goes on behind this worker: at once in this process, elsewhere when it is saved. What is
        returned takes that back."""
        before = self._turns.get(queue_id)
        self._turns[queue_id] = (time_key(at), f"n~{key(worker_id)}~~")

        def take_back() -> None:
            if before is None:
                del self._turns[queue_id]
            else:
                self._turns[queue_id] = before

        return take_back

    async def save_cursor(self, queue_id: str) -> None:
        """Offers that are made at the same time end in any order: each saves the turn that was taken last."""
        if queue_id in self._turns:
            at, last = self._turns[queue_id]
            await self._table.upsert(Entity(key(queue_id), _CURSOR, {"Last": last, "At": at}))


def _entities(availability: Availability, queue_id: str) -> list[Entity]:
    columns: dict[str, Any] = {"WorkerId": availability.worker_id}
    for channel in list(availability.channels)[:_MOST_COLUMNS]:
        columns[_channel_column(channel)] = True
    for label in sorted(availability.labels)[:_MOST_COLUMNS]:
        value = availability.labels[label]
        if isinstance(value, str) and len(value) > _LONGEST_LABEL:
            continue
        columns[_label_column(label)] = (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        )
    labels = to_json(availability.labels).decode()
    if len(labels) <= _LARGEST_LABELS:
        columns["Labels"] = labels
    return [Entity(key(queue_id), row, columns) for row in availability.row_keys()]


def _conditions(selectors: Sequence[RouterWorkerSelector]) -> list[Condition]:
    """What storage can check of the selectors: never more than they ask, for rounding and missing labels."""
    conditions: list[Condition] = []
    for selector in selectors[:8]:
        value = selector.value
        if selector.label_operator is LabelOperator.NOT_EQUAL or value is None:
            continue
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
