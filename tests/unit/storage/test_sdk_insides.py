"""Parts of the Azure packages that they do not promise, and that router/storage/pipeline.py relies on.

A failure after an upgrade says which of its shortcuts must be looked at again; requirements.txt pins what they fit."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.pipeline.transport import AsyncHttpTransport, HttpRequest
from azure.core.settings import settings
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

from router.storage import azure
from router.storage.azure import AzureTables
from router.storage.port import Entity, Write

ACCOUNT = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a"
LOOK = "router/storage/pipeline.py relies on it: "
NEEDED = {
    "StorageHeadersPolicy",
    "SharedKeyCredentialPolicy",
    "ContentDecodePolicy",
    "StorageHosts",
    "AsyncTablesRetryPolicy",
}


class Sent(Exception):
    """Ends a request where it would leave."""


class Catching(AsyncHttpTransport[Any, Any]):
    """Keeps the request that would be sent."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    async def send(self, request: Any, **options: Any) -> Any:
        self.requests.append(request)
        raise Sent

    async def exchange(self, request: Any, url: Any, headers: Any, most_bytes: int | None = None) -> Any:
        self.requests.append(replace(request, headers=headers))
        raise Sent

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aexit__(self, *exception: object) -> None: ...


@pytest.fixture
async def bare() -> AsyncIterator[TableServiceClient]:
    async with TableServiceClient.from_connection_string(ACCOUNT) as service:
        yield service


@pytest.fixture
def catching(monkeypatch: pytest.MonkeyPatch) -> Catching:
    transport = Catching()
    monkeypatch.setattr(azure, "Transport", lambda saw: transport)
    return transport


@pytest.fixture(autouse=True)
def tracing_as_before() -> Iterator[None]:
    yield
    settings.tracing_enabled.unset_value()


def names(policies: list[Any]) -> set[str]:
    """The policies' names; those without a wait are wrapped."""
    return {type(getattr(policy, "_policy", policy)).__name__ for policy in policies}


async def test_the_package_has_the_attributes(bare: TableServiceClient) -> None:
    assert isinstance(getattr(bare, "_policies", None), list), LOOK + "TableServiceClient._policies (shorten)"
    client = bare.get_table_client("jobs")
    pipeline = getattr(getattr(getattr(client, "_client", None), "_client", None), "_pipeline", None)
    assert callable(getattr(pipeline, "run", None)), LOOK + "TableClient._client._client._pipeline.run (ask)"
    assert getattr(client, "_primary_hostname", None) == "127.0.0.1:1/a", LOOK + "TableClient._primary_hostname"
    assert callable(getattr(settings, "tracing_enabled", None)), LOOK + "azure.core.settings.tracing_enabled"


@pytest.mark.parametrize("traced", [False, True])
async def test_a_request_goes_through_what_it_needs_and_no_more(catching: Catching, traced: bool) -> None:
    tables = AzureTables.from_connection_string(ACCOUNT, traced=traced)
    client = tables.table("jobs")._client  # type: ignore[attr-defined]
    policies = client._client._client._pipeline._impl_policies
    expected = NEEDED | ({"DistributedTracingPolicy"} if traced else set())
    assert names(policies) == expected, LOOK + "a table's client takes TableServiceClient._policies (shorten)"
    await tables.close()


async def test_without_tracing_the_packages_make_no_spans() -> None:
    settings.tracing_enabled.set_value(True)
    await AzureTables.from_connection_string(ACCOUNT).close()
    assert settings.tracing_enabled() is False, LOOK + "azure.core.settings.tracing_enabled can be set (shorten)"


async def test_a_row_is_sent_as_the_package_sends_it(catching: Catching) -> None:
    """But for what the package says twice: that a text is one."""
    entity = Entity("p'q/ü", "r 1~2", {"Text": "ü", "Number": 1, "Flag": True, "Share": 1.0})
    tables = AzureTables.from_connection_string(ACCOUNT)
    client = TableServiceClient.from_connection_string(ACCOUNT, transport=catching).get_table_client("jobs")
    columns = {"PartitionKey": entity.partition, "RowKey": entity.row, **entity.columns}
    for send in (
        lambda: tables.table("jobs").upsert(entity),
        lambda: client.upsert_entity(columns, mode=UpdateMode.REPLACE),
        lambda: tables.table("jobs").insert(entity),
        lambda: client.create_entity(columns),
        lambda: tables.table("jobs").delete(entity.partition, entity.row),
        lambda: client.delete_entity(entity.partition, entity.row),
        lambda: tables.table("jobs").replace(replace(entity, version='W/"1"')),
        lambda: client.update_entity(
            columns, mode=UpdateMode.REPLACE, etag='W/"1"', match_condition=MatchConditions.IfNotModified
        ),
        lambda: tables.table("jobs").get(entity.partition, entity.row),
        lambda: client.get_entity(entity.partition, entity.row),
    ):
        with pytest.raises(Sent):
            await send()
    sent = [_told(request) for request in catching.requests]
    assert sent[::2] == sent[1::2], "address, condition and columns are the package's"
    assert [one[0] for one in sent[::2]] == ["PUT", "POST", "DELETE", "PUT", "GET"]
    await tables.close()


async def test_a_request_is_signed_as_the_package_signs_it(catching: Catching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.9)
    entity = Entity("p'q/ü", "r 1~2+%", {"Text": "ü"}, 'W/"1"')
    for traced in (False, True):  # with spans to make it goes through the pipeline
        tables = AzureTables.from_connection_string(ACCOUNT, traced=traced)
        table = tables.table("jobs")
        for call in (
            table.get(entity.partition, entity.row),
            table.replace(entity),
            table.insert(entity),
            table.transact([Write("upsert", entity)]),
            table.query([("PartitionKey", "eq", "a'b")]),
        ):
            with pytest.raises(Sent):
                await call
        await tables.close()
    sent = [
        (request.method, request.headers["Authorization"], request.headers["x-ms-date"])
        for request in catching.requests
    ]
    assert sent[:5] == sent[5:]
    assert len(set(sent)) == 5


def _told(request: Any) -> tuple[Any, ...]:
    columns = json.loads(request.content) if request.content else {}
    texts = [name for name, value in columns.items() if value == "Edm.String"]
    for name in texts:
        del columns[name]
    kind = str(request.headers.get("Content-Type", "")).partition(";")[0]
    return request.method, request.url, request.headers.get("If-Match"), request.headers["x-ms-version"], kind, columns
