"""Azure Table Storage (or Azurite, or Cosmos DB for Table) behind the port, on azure-data-tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.rest import HttpRequest
from azure.data.tables.aio import TableClient, TableServiceClient
from pydantic_core import from_json

from router.errors import TooLarge
from router.outages import Surroundings
from router.storage import batches, refusals
from router.storage.pipeline import TIMEOUTS, Answer, Transport, ask, shorten
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
from router.storage.requests import Requests, entity_of

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
_TOO_LARGE: Final = ("EntityTooLarge", "PropertyValueTooLarge", "RequestBodyTooLarge", "TooManyProperties")


class AzureTables:
    """The tables of one storage account. `prefix` lets several routers share an account."""

    def __init__(
        self, service: TableServiceClient, prefix: str = "", *, traced: bool = False, around: Surroundings | None = None
    ) -> None:
        """`around` is told whether storage answers, and what its Date says."""
        self._service = service
        self._around = around or Surroundings()
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
        return cls(service, prefix, traced=traced, around=around)

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
        return cls(service, prefix, traced=traced, around=around)

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = AzureTable(self._service.get_table_client(self._prefix + name), self._around)
        return self._tables[name]

    async def ready(self) -> None:
        """Makes the tables that are missing, once in a process; after that asks one of them."""
        if self._there:
            await self._probe(TABLES[0])
            return
        async with _translated(self._around):
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

    def __init__(self, client: TableClient, around: Surroundings) -> None:
        self._client = client
        self._around = around
        address = f"{client.scheme}://{client._primary_hostname}"
        self._requests = Requests(address, client.table_name, client.api_version)

    async def get(self, partition: str, row: str) -> Entity | None:
        try:
            answer = await self._ask(self._requests.get(partition, row))
        except ResourceNotFoundError:
            return None
        return entity_of(from_json(answer.content), _version(answer))

    async def insert(self, entity: Entity) -> str:
        try:
            return _version(await self._ask(self._requests.insert(entity)))
        except ResourceExistsError as error:
            raise RowExists from error

    async def replace(self, entity: Entity) -> str:
        try:
            return _version(await self._ask(self._requests.put(entity, entity.version)))
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise RowChanged from error

    async def upsert(self, entity: Entity) -> str:
        return _version(await self._ask(self._requests.put(entity)))

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        try:
            await self._ask(self._requests.delete(partition, row, version))
        except ResourceNotFoundError:
            return
        except ResourceModifiedError as error:
            raise RowChanged from error

    async def transact(self, writes: Sequence[Write]) -> None:
        try:
            await self._ask(self._requests.transaction(writes), batches.check)
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
        answer = await self._ask(self._requests.query(where, min(max(limit, 1), 1000), after, columns))
        return Page([entity_of(found) for found in from_json(answer.content)["value"]], _next(answer))

    async def scan(
        self,
        where: Sequence[Condition],
        *,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Scan:
        answer = await self._ask(self._requests.query(where, 1000, after, columns, plain=True))
        return Scan(from_json(answer.content, cache_strings="keys")["value"], _next(answer))

    async def _ask(self, request: HttpRequest, check: Callable[[int, bytes], None] = refusals.check) -> Answer:
        """The answer, where storage does what it is asked for; `check` raises where it says that it has not."""
        async with _translated(self._around):
            answer = await ask(self._client, request)
            check(answer.status_code, answer.content)
            return answer


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
async def _translated(around: Surroundings) -> AsyncIterator[None]:
    """Conflicts go up as they are; whatever says "not now" becomes StorageUnavailable."""
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        around.storage.answered()
        raise
    except HttpResponseError as error:
        if _is_too_large(error):
            raise TooLarge(f"Storage does not take this: {error.status_code}.", code="ResourceTooLarge") from error
        raise _refused(around, error.status_code, f"{error.status_code}: {error.message}") from error
    except (TimeoutError, AzureError, OSError) as error:
        raise _unavailable(around, str(error) or f"no answer within {LONGEST_SECONDS:.0f} s") from error
    else:
        around.storage.answered()


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
