"""Policies and queues: small documents, read often, cached for a short while.

Layout of `policies`: PartitionKey = kind, RowKey = key(id); of `queues`: PartitionKey `Queue`. `Doc0..n` the
document as JSON, `Etag`, `Modified`, `Created`, and the ids it refers to as columns (DistributionPolicyId,
ExceptionPolicyId, FallbackQueueId), so that "who refers to this?" is one filtered query. `Change0..n` is the entry of
its last change (docs/history.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.clock import Clock
from router.models.history import Entry
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.sizes import LARGEST_ROW, within_a_page
from router.models.types import Model, format_time, parse_time
from router.offload import by_size, by_weight
from router.recent import Recent
from router.storage.documents import read_document, write_document
from router.storage.keys import key
from router.storage.listing import place
from router.storage.port import Entity, RowChanged, RowExists, StorageUnavailable, Tables

KINDS: Final[Mapping[str, type[Model]]] = {
    "DistributionPolicy": DistributionPolicy,
    "ClassificationPolicy": ClassificationPolicy,
    "ExceptionPolicy": ExceptionPolicy,
    "Queue": RouterQueue,
}
#: Columns made from document fields: who is referred to.
_REFERENCES: Final = {
    "distributionPolicyId": "DistributionPolicyId",
    "exceptionPolicyId": "ExceptionPolicyId",
    "fallbackQueueId": "FallbackQueueId",
}
#: The creation of what was written before that was remembered.
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)
CACHE_SECONDS: Final = 3.0
_CACHE_LARGEST: Final = 5_000
#: UTF-16 units of their JSON, all together.
_CACHE_LARGEST_SIZE: Final = 6_000_000


@dataclass(frozen=True)
class Resource:
    """A policy or queue: its canonical wire document without `id` and `etag`, and its model."""

    kind: str
    id: str
    document: Mapping[str, Any]
    etag: str
    modified: datetime
    version: str = ""
    created: datetime = _UNKNOWN
    #: Characters of what is stored of it.
    size: int = field(default=0, compare=False)
    #: The entry of its last change.
    change: Entry | None = field(default=None, compare=False)

    @property
    def document_size(self) -> int:
        """Characters of its document."""
        return self.size - (len(self.change.text) if self.change is not None else 0)

    @property
    def model(self) -> Any:
        found = self.__dict__.get("_model")
        if found is None:
            found = KINDS[self.kind].model_validate(self.document)
            object.__setattr__(self, "_model", found)
        return found


class ResourceStore:
    """All policies and queues."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._cache: Recent[tuple[str, str], tuple[Resource, datetime]] = Recent(
            _CACHE_LARGEST, size=lambda kept: kept[0].size, most_size=_CACHE_LARGEST_SIZE
        )
        #: Reads under way for the cache: who needs the same waits for them.
        self._reading: dict[tuple[str, str], asyncio.Future[Resource | None]] = {}

    async def load(self, kind: str, id: str) -> Resource | None:
        """The resource as it stands in storage."""
        entity = await self._table(kind).get(kind, key(id))
        if entity is None:
            self._cache.forget((kind, id))
            return None
        return self._keep(await by_size(entity.characters, _parse, kind, entity))

    def remembered(self, kind: str, id: str) -> Resource | None:
        """As it was read last, if it is in the cache: good for telling, never for deciding."""
        found = self._cache.get((kind, id))
        return found[0] if found is not None else None

    async def cached(self, kind: str, id: str) -> Resource | None:
        """The resource, at most three seconds old."""
        found = self._cache.get((kind, id))
        if found is not None and abs((self._clock.now() - found[1]).total_seconds()) < CACHE_SECONDS:
            return found[0]
        reading = self._reading.get((kind, id))
        if reading is not None:
            return await asyncio.shield(reading)
        reading = self._reading[kind, id] = asyncio.get_running_loop().create_future()
        reading.add_done_callback(lambda it: it.exception())  # nobody else may be waiting
        try:
            read = await self.load(kind, id)
        except BaseException as error:
            failure = error if isinstance(error, Exception) else StorageUnavailable("Whoever read this was stopped.")
            reading.set_exception(failure)
            raise
        finally:
            del self._reading[kind, id]
        reading.set_result(read)
        return read

    async def save(self, resource: Resource) -> Resource:
        """Writes it under the version it was read with (none: it must be new). Raises RowChanged."""
        self._cache.forget((resource.kind, resource.id))
        entity = await by_weight(_entity, resource)
        try:
            if resource.version:
                version = await self._table(resource.kind).replace(entity)
            else:
                version = await self._table(resource.kind).insert(entity)
        except (RowChanged, RowExists) as error:
            current = await self.load(resource.kind, resource.id)
            if current is not None and current.etag == resource.etag:
                return current  # our own write, whose answer was lost
            raise RowChanged from error
        size = entity.characters
        return self._keep(replace(resource, version=version, size=size))

    async def delete(self, kind: str, id: str, version: str | None = None) -> None:
        """Removes it, under the version it was read with if that is given. Raises RowChanged."""
        self._cache.forget((kind, id))
        await self._table(kind).delete(kind, key(id), version)

    async def page(
        self, kind: str, size: int, after: tuple[str, str] | None
    ) -> tuple[list[Resource], tuple[str, str] | None]:
        """One page, newest first, and where the next one starts. All of the kind are read for it: they are settings."""
        behind = after[1] if after is not None else ""
        ahead: list[tuple[str, Resource]] = []
        is_last = True
        async for some in self.some(kind):
            ahead += [found for one in some if (found := (place(one.id, one.created), one))[0] > behind]
            ahead.sort(key=lambda found: found[0])
            shown = within_a_page([one.document_size for _, one in ahead], size)
            is_last = is_last and shown == len(ahead)
            del ahead[shown:]
        return [one for _, one in ahead], None if is_last else ("", ahead[-1][0])

    async def some(self, kind: str) -> AsyncIterator[list[Resource]]:
        """All of a kind, some at a time: together they may be more than a process has room for."""
        after: tuple[str, str] | None = None
        while True:
            page = await self._table(kind).query([("PartitionKey", "eq", kind)], limit=1000, after=after)
            yield await by_size(sum(entity.characters for entity in page.entities), _parse_all, kind, page.entities)
            after = page.next
            if after is None:
                return

    async def newest(self, kind: str, most: int) -> list[str]:
        """The ids of the newest ones."""
        places: list[tuple[str, str]] = []
        after: tuple[str, str] | None = None
        while True:
            page = await self._table(kind).query(
                [("PartitionKey", "eq", kind)], limit=1000, after=after, columns=["Id", "Created"]
            )
            for entity in page.entities:
                id = str(entity.columns["Id"])
                places.append((place(id, _created(entity.columns)), id))
            places = sorted(places)[:most]
            after = page.next
            if after is None:
                return [id for _, id in places]

    async def everyone(
        self, kind: str, after: tuple[str, str] | None
    ) -> tuple[list[tuple[str, str]], tuple[str, str] | None]:
        """A page of all of a kind: their ids, and their documents as the JSON that they are stored as."""
        found = await self._table(kind).scan([("PartitionKey", "eq", kind)], after=after)
        return [(str(row["Id"]), read_document("Doc", row)) for row in found.rows], found.next

    async def refers(self, kind: str, column: str, id: str) -> str | None:
        """The id of a resource of `kind` whose reference column names `id`, if there is one."""
        async for found in self.referring(kind, column, id, at_once=1):
            return found
        return None

    async def referring(self, kind: str, column: str, id: str, at_once: int = 1000) -> AsyncIterator[str]:
        """The ids of all of them; nothing else of them is read."""
        after: tuple[str, str] | None = None
        while True:
            page = await self._table(kind).query(
                [("PartitionKey", "eq", kind), (column, "eq", id)], limit=at_once, columns=["Id"], after=after
            )
            for entity in page.entities:
                yield str(entity.columns["Id"])
            after = page.next
            if after is None:
                return

    def _table(self, kind: str) -> Any:
        return self._tables.table("queues" if kind == "Queue" else "policies")

    def _keep(self, resource: Resource) -> Resource:
        self._cache[(resource.kind, resource.id)] = (resource, self._clock.now())
        return resource


def _created(columns: Mapping[str, Any]) -> datetime:
    return parse_time(columns["Created"]) if columns.get("Created") else _UNKNOWN


def _parse_all(kind: str, entities: Sequence[Entity]) -> list[Resource]:
    return [_parse(kind, entity) for entity in entities]


def _parse(kind: str, entity: Entity) -> Resource:
    columns = entity.columns
    return Resource(
        kind,
        str(columns["Id"]),
        from_json(read_document("Doc", columns)),
        str(columns["Etag"]),
        parse_time(columns["Modified"]),
        entity.version,
        _created(columns),
        entity.characters,
        Entry(*change.split(" ", 1)) if (change := read_document("Change", columns)) else None,
    )


def _entity(resource: Resource) -> Entity:
    columns: dict[str, Any] = {
        "Id": resource.id,
        "Etag": resource.etag,
        "Modified": format_time(resource.modified),
        "Created": format_time(resource.created),
        **write_document("Doc", to_json(resource.document).decode()),
    }
    if resource.change is not None:
        columns |= write_document("Change", f"{resource.change.key} {resource.change.text}", limit=LARGEST_ROW)
    for name, column in _REFERENCES.items():
        if resource.document.get(name):
            columns[column] = resource.document[name]
    return Entity(resource.kind, key(resource.id), columns, resource.version)
