"""Azure Table Storage (or Azurite, or Cosmos DB for Table) behind the port, on azure-data-tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline.policies import (
    AsyncRedirectPolicy,
    CustomHookPolicy,
    DistributedTracingPolicy,
    HttpLoggingPolicy,
    NetworkTraceLoggingPolicy,
    ProxyPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.settings import settings as azure_settings
from azure.data.tables import UpdateMode
from azure.data.tables._generated.operations._operations import build_table_query_entities_request
from azure.data.tables.aio import TableClient, TableServiceClient
from pydantic_core import from_json

from router.errors import TooLarge
from router.outages import Surroundings
from router.storage.batches import lighten
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
_KEYS = frozenset({"PartitionKey", "RowKey"})
#: A write that storage has not confirmed after this long may still land: no one waits longer for it.
_TIMEOUTS: Final[dict[str, Any]] = {
    "connection_timeout": 3,
    "read_timeout": 5,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
}


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
        _shorten(service, traced)

    @classmethod
    def from_connection_string(
        cls, connection_string: str, prefix: str = "", *, traced: bool = False, around: Surroundings | None = None
    ) -> AzureTables:
        around = around or Surroundings()
        transport = _transport(around.clock.saw)
        service = TableServiceClient.from_connection_string(connection_string, transport=transport, **_TIMEOUTS)
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
        transport = _transport(around.clock.saw)
        service = TableServiceClient(endpoint=endpoint, credential=credential, transport=transport, **_TIMEOUTS)
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


class _DatedTransport(AioHttpTransport):  # type: ignore[misc]  # untyped
    """Shows the Date of each answer to `saw`."""

    saw: Callable[[str | None], None]

    async def send(self, request: Any, **options: Any) -> Any:
        response: Any = await super().send(request, **options)
        self.saw(response.headers.get("Date"))
        return response


def _transport(saw: Callable[[str | None], None]) -> AioHttpTransport:
    # Looking for a proxy in the environment at every request costs more than the request's own work.
    # The limits of a try count here alone: a client that is given a transport does not hand its own on.
    transport = _DatedTransport(
        use_env_settings=False,
        connection_timeout=_TIMEOUTS["connection_timeout"],
        read_timeout=_TIMEOUTS["read_timeout"],
    )
    transport.saw = saw
    return transport


def _shorten(service: TableServiceClient, traced: bool) -> None:
    """Takes the policies out of the clients' pipeline that do nothing here: they double the time that a request
    takes in this process. Retries, authentication and the storage headers stay; tracing does where it is on."""
    dropped: tuple[type, ...] = (
        RequestIdPolicy,
        UserAgentPolicy,
        ProxyPolicy,
        AsyncRedirectPolicy,
        CustomHookPolicy,
        NetworkTraceLoggingPolicy,
        HttpLoggingPolicy,
    )
    if not traced:
        dropped = (*dropped, DistributedTracingPolicy)
        azure_settings.tracing_enabled = False
    service._policies = [policy for policy in service._policies if not isinstance(policy, dropped)]


def _send_as_it_is(client: TableClient) -> None:
    """The generated client walks every entity to make JSON of it, which it is already: the client above it has
    written each value as Table Storage wants it. That walk takes a fifth of the time of a write."""
    serializer = client._client.table._serialize
    walk = serializer.body

    def body(data: Any, data_type: str, **rest: Any) -> Any:
        return data if data_type == "{object}" else walk(data, data_type, **rest)

    serializer.body = body


class AzureTable:
    """One table of the account."""

    def __init__(self, client: TableClient, around: Surroundings) -> None:
        self._client = client
        self._around = around
        _send_as_it_is(client)
        lighten(client)

    async def get(self, partition: str, row: str) -> Entity | None:
        try:
            async with _translated(self._around):
                return _entity(await self._client.get_entity(partition, row))
        except ResourceNotFoundError:
            return None

    async def insert(self, entity: Entity) -> str:
        try:
            async with _translated(self._around):
                return _version(await self._client.create_entity(_columns(entity)))
        except ResourceExistsError as error:
            raise RowExists from error

    async def replace(self, entity: Entity) -> str:
        try:
            async with _translated(self._around):
                return _version(
                    await self._client.update_entity(
                        _columns(entity),
                        mode=UpdateMode.REPLACE,
                        etag=entity.version,
                        match_condition=MatchConditions.IfNotModified,
                    )
                )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise RowChanged from error

    async def upsert(self, entity: Entity) -> str:
        async with _translated(self._around):
            return _version(await self._client.upsert_entity(_columns(entity), mode=UpdateMode.REPLACE))

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        condition = _if_version(version)
        try:
            async with _translated(self._around):
                await self._client.delete_entity(partition, row, **condition)
        except ResourceNotFoundError:
            return
        except ResourceModifiedError as error:
            raise RowChanged from error

    async def transact(self, writes: Sequence[Write]) -> None:
        operations: list[Any] = []
        for write in writes:
            columns = _columns(write.entity)
            match write.kind:
                case "insert":
                    operations.append(("create", columns))
                case "upsert":
                    operations.append(("upsert", columns, {"mode": UpdateMode.REPLACE}))
                case "replace":
                    condition = {
                        "mode": UpdateMode.REPLACE,
                        "etag": write.entity.version,
                        "match_condition": MatchConditions.IfNotModified,
                    }
                    operations.append(("update", columns, condition))
                case "delete":
                    operations.append(("delete", columns, _if_version(write.entity.version)))
        try:
            async with _translated(self._around):
                await self._client.submit_transaction(operations)
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
        token = {"PartitionKey": after[0], "RowKey": after[1]} if after else None
        select = ["PartitionKey", "RowKey", *columns] if columns is not None else None
        async with _translated(self._around):
            pages = self._client.query_entities(
                odata(where), results_per_page=min(max(limit, 1), 1000), select=select
            ).by_page(continuation_token=token)  # type: ignore[arg-type]
            async for page in pages:
                entities = [_entity(entity) async for entity in page]
                following: Any = pages.continuation_token  # type: ignore[attr-defined]
                if not following or not following.get("PartitionKey"):
                    return Page(entities)
                return Page(entities, (following["PartitionKey"], following.get("RowKey") or ""))
        return Page([])

    async def scan(
        self,
        where: Sequence[Condition],
        *,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Scan:
        # The client makes an entity of each row, property by property. What is asked for without metadata is JSON that
        # can be taken as it is: our columns are texts, numbers and booleans.
        generated = self._client._client
        request = build_table_query_entities_request(
            table=self._client.table_name,
            format="application/json;odata=nometadata",
            top=1000,
            select=",".join(["PartitionKey", "RowKey", *columns]) if columns is not None else None,
            filter=odata(where) or None,
            next_partition_key=after[0] if after else None,
            next_row_key=after[1] if after else None,
            version=generated._config.version,
        )
        request.url = generated._client.format_url(request.url, url=generated._config.url)
        async with _translated(self._around):
            answered: Any = (await generated._client._pipeline.run(request, stream=True)).http_response
            body = await answered.read()
            if answered.status_code != 200:
                raise HttpResponseError(response=answered)
        partition = answered.headers.get("x-ms-continuation-NextPartitionKey")
        following = (partition, answered.headers.get("x-ms-continuation-NextRowKey") or "") if partition else None
        return Scan(from_json(body, cache_strings="keys")["value"], following)


def odata(where: Sequence[Condition]) -> str:
    """The conditions as a filter of Table Storage."""
    return " and ".join(f"{column} {operator} {_literal(value)}" for column, operator, value in where)


def _literal(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L" if abs(value) > 2**31 - 1 else str(value)
    if isinstance(value, float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def _columns(entity: Entity) -> dict[str, Any]:
    return {"PartitionKey": entity.partition, "RowKey": entity.row, **entity.columns}


def _entity(found: Any) -> Entity:
    columns: Mapping[str, Any] = {name: value for name, value in found.items() if name not in _KEYS}
    return Entity(found["PartitionKey"], found["RowKey"], columns, found.metadata["etag"])


def _if_version(version: str | None) -> dict[str, Any]:
    return {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}


def _version(answer: Mapping[str, Any]) -> str:
    return str(answer.get("etag") or "")


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
        if error.status_code == 409:
            raise ResourceExistsError(str(error)) from error
        if error.status_code in (404, 412):
            raise ResourceModifiedError(str(error)) from error
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
