"""Azure Table Storage (or Azurite, or Cosmos DB for Table) behind the port, on azure-data-tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, ParamSpec, TypeVar

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables.aio import TableClient, TableServiceClient
from pydantic_core import from_json

from router.errors import TooLarge
from router.offload import by_size, for_a_request
from router.outages import Surroundings
from router.storage import batches, refusals
from router.storage.batches import Request
from router.storage.hanging import Hanging
from router.storage.pipeline import TIMEOUTS, Answer, AnswerTooLong, Transport, Way, shorten
from router.storage.port import (
    Condition,
    Entity,
    Page,
    RowChanged,
    RowExists,
    Scan,
    StorageUnavailable,
    Table,
    Write,
)
from router.storage.requests import ROW, Requests, entity_of
from router.storage.signing import authorization_of

P = ParamSpec("P")
T = TypeVar("T")
TABLES: Final = (
    "jobs",
    "workers",
    "queues",
    "policies",
    "backlog",
    "availability",
    "deadlines",
    "members",
    "throughput",
    "listing",
    "rounds",
    "history",
    "facts",
)

#: What a call of storage takes at most, all its tries together: who waits for an answer gets a 503 in time.
LONGEST_SECONDS: Final = 7.0
#: Bytes that an answer to a query has at most: of larger rows fewer are asked for.
LARGEST_ANSWER: Final = 8_000_000
#: A page of small rows of so many bytes takes some milliseconds to read.
_LARGE_PAGE: Final = 200_000
_TOO_LARGE: Final = ("EntityTooLarge", "PropertyValueTooLarge", "RequestBodyTooLarge", "TooManyProperties")


class AzureTables:
    """The tables of one storage account. `prefix` lets several routers share an account."""

    def __init__(
        self,
        service: TableServiceClient,
        transport: Transport,
        prefix: str = "",
        *,
        traced: bool = False,
        around: Surroundings | None = None,
    ) -> None:
        """`transport` is the service's own. `around` is told whether storage answers, and what its Date says."""
        self._service = service
        self._around = around or Surroundings()
        self._hanging = Hanging(self._around.storage, LONGEST_SECONDS)
        self._way = Way(transport, None if traced else authorization_of(service.credential))
        self._prefix = prefix
        self._tables: dict[str, AzureTable] = {}
        self._there = False
        shorten(service, traced)

    @classmethod
    def from_connection_string(
        cls, connection_string: str, prefix: str = "", *, traced: bool = False, around: Surroundings | None = None
    ) -> AzureTables:
        around = around or Surroundings()
        transport = Transport(around.clock.saw)
        service = TableServiceClient.from_connection_string(connection_string, transport=transport, **TIMEOUTS)
        return cls(service, transport, prefix, traced=traced, around=around)

    @classmethod
    def from_endpoint(
        cls,
        endpoint: str,
        credential: AsyncTokenCredential,
        prefix: str = "",
        *,
        traced: bool = False,
        around: Surroundings | None = None,
    ) -> AzureTables:
        around = around or Surroundings()
        transport = Transport(around.clock.saw)
        service = TableServiceClient(endpoint=endpoint, credential=credential, transport=transport, **TIMEOUTS)
        return cls(service, transport, prefix, traced=traced, around=around)

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = AzureTable(
                self._service.get_table_client(self._prefix + name), self._way, self._around, self._hanging
            )
        return self._tables[name]

    async def ready(self) -> None:
        """Makes the tables that are missing, once in a process; after that asks one of them."""
        if self._there:
            await self._probe(TABLES[0])
            return
        async with _translated(self._around, self._hanging):
            await asyncio.gather(*map(self._make, TABLES))
        self._there = True

    async def _make(self, name: str) -> None:
        try:
            await self._service.create_table_if_not_exists(self._prefix + name)
        except HttpResponseError as error:
            # Cosmos DB, as deployed (disableKeyBasedMetadataWriteAccess), lets no app make tables: the template does.
            if error.status_code != 403:
                raise
            await self._probe(name)

    async def _probe(self, name: str) -> None:
        try:
            await self.table(name).query((("PartitionKey", "eq", "~"),), limit=1)
        except ResourceNotFoundError as error:
            raise _unavailable(self._around, f"The table {self._prefix}{name} is missing.") from error

    async def close(self) -> None:
        await self._service.close()


class AzureTable:
    """One table of the account."""

    def __init__(self, client: TableClient, way: Way, around: Surroundings, hanging: Hanging) -> None:
        self._client = client
        self._way = way
        self._around = around
        self._hanging = hanging
        address = f"{client.scheme}://{client._primary_hostname}"
        self._requests = Requests(address, client.table_name, client.api_version)

    async def get(self, partition: str, row: str) -> Entity | None:
        try:
            answer = await self._ask(self._requests.get(partition, row))
        except ResourceNotFoundError:
            return None
        return await by_size(len(answer.content), _entity, answer)

    async def insert(self, entity: Entity) -> str:
        try:
            return _version(await self._ask(await _made(entity, self._requests.insert, entity)))
        except ResourceExistsError as error:
            raise RowExists from error

    async def replace(self, entity: Entity) -> str:
        try:
            return _version(await self._ask(await _made(entity, self._requests.put, entity, entity.version)))
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise RowChanged from error

    async def upsert(self, entity: Entity) -> str:
        return _version(await self._ask(await _made(entity, self._requests.put, entity)))

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        try:
            await self._ask(self._requests.delete(partition, row, version))
        except ResourceNotFoundError:
            return
        except ResourceModifiedError as error:
            raise RowChanged from error

    async def transact(self, writes: Sequence[Write]) -> None:
        try:
            size = sum(write.entity.characters for write in writes)
            await self._ask(await by_size(size, self._requests.transaction, writes), batches.check)
        except ResourceExistsError as error:
            raise RowExists from error
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise RowChanged from error

    async def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        answer = await self._rows(where, min(max(limit, 1), 1000), after, columns)
        return Page(await _read(answer, _entities), _next(answer))

    async def scan(
        self,
        where: Sequence[Condition],
        *,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Scan:
        answer = await self._rows(where, 1000, after, columns, plain=True)
        return Scan(await _read(answer, _plain_rows), _next(answer))

    async def _rows(
        self,
        where: Sequence[Condition],
        limit: int,
        after: tuple[str, str] | None,
        columns: Sequence[str] | None,
        *,
        plain: bool = False,
    ) -> Answer:
        """What storage answers to a query: a page that is too long is asked for again, with as many rows as have come.
        A thousand rows may be a gigabyte."""
        while True:
            try:
                request = self._requests.query(where, limit, after, columns, plain=plain)
                return await self._ask(request, most_bytes=LARGEST_ANSWER if limit > 1 else None)
            except AnswerTooLong as error:
                limit = max(1, min(limit - 1, error.begun.count(ROW) - 1))

    async def _ask(
        self,
        request: Request,
        check: Callable[[int, bytes], None] = refusals.check,
        most_bytes: int | None = None,
    ) -> Answer:
        """The answer, where storage does what it is asked for; `check` raises where it says that it has not. Raises
        AnswerTooLong."""
        async with _translated(self._around, self._hanging):
            answer = await self._way.ask(self._client, request, most_bytes)
            check(answer.status_code, answer.content)
            return answer


async def _made(entity: Entity, make: Callable[P, Request], *args: P.args, **options: P.kwargs) -> Request:
    """A request that carries the row."""
    return await by_size(entity.characters, make, *args, **options)


def _entity(answer: Answer) -> Entity:
    return entity_of(from_json(answer.content), _version(answer))


async def _read(answer: Answer, read: Callable[[bytes], T]) -> T:
    content = answer.content
    return await for_a_request(read, content) if len(content) > _LARGE_PAGE else read(content)


def _entities(content: bytes) -> list[Entity]:
    return [entity_of(found) for found in from_json(content)["value"]]


def _plain_rows(content: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = from_json(content, cache_strings="keys")["value"]
    return found


def _version(answer: Answer) -> str:
    return answer.headers.get("ETag", "")


def _next(answer: Answer) -> tuple[str, str] | None:
    """Where a query goes on."""
    partition = answer.headers.get("x-ms-continuation-NextPartitionKey")
    return (partition, answer.headers.get("x-ms-continuation-NextRowKey") or "") if partition else None


def _is_too_large(error: HttpResponseError) -> bool:
    """Whether storage will refuse the write however often it is tried."""
    code = str(getattr(error, "error_code", "") or "")
    return error.status_code == 413 or any(name in code for name in _TOO_LARGE)


@asynccontextmanager
async def _translated(around: Surroundings, hanging: Hanging) -> AsyncIterator[None]:
    """Conflicts go up as they are; whatever says "not now" becomes StorageUnavailable."""
    try:
        async with hanging.limited():
            yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        hanging.answered()
        raise
    except HttpResponseError as error:
        if _is_too_large(error):
            raise TooLarge(f"Storage does not take this: {error.status_code}.", code="ResourceTooLarge") from error
        raise _refused(around, error.status_code, f"{error.status_code}: {error.message}") from error
    except (TimeoutError, AzureError, OSError) as error:
        raise _unavailable(around, str(error) or "no answer in time") from error
    else:
        hanging.answered()


def _refused(around: Surroundings, status: int | None, message: str) -> StorageUnavailable:
    """A refusal of one request is no outage; of the account, or for load, it is."""
    if status is not None and status < 500 and status not in (401, 403, 408, 429):
        return StorageUnavailable(message)
    return _unavailable(around, message)


def _unavailable(around: Surroundings, message: str) -> StorageUnavailable:
    error = StorageUnavailable(message)
    around.storage.failed(message)
    error.told = True
    return error
