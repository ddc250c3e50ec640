"""Parts of the Azure packages that they do not promise, and that router/storage/azure.py relies on.

A failure after an upgrade says which of its shortcuts must be looked at again; requirements.txt pins what they fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.core.pipeline.transport import AsyncHttpTransport, HttpRequest
from azure.core.settings import settings
from azure.data.tables.aio import TableServiceClient

from router.storage import azure
from router.storage.azure import AzureTables
from router.storage.port import Entity

ACCOUNT = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a"
LOOK = "router/storage/azure.py relies on it: "
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
    monkeypatch.setattr(azure, "_transport", lambda saw: transport)
    return transport


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch, bare: TableServiceClient) -> list[str]:
    """The types of what the generated client has walked through."""
    types: list[str] = []
    serializer: Any = type(bare.get_table_client("jobs")._client.table._serialize)
    walk = serializer.body

    def body(self: Any, data: Any, data_type: str, **rest: Any) -> Any:
        types.append(data_type)
        return walk(self, data, data_type, **rest)

    monkeypatch.setattr(serializer, "body", body)
    return types


@pytest.fixture(autouse=True)
def tracing_as_before() -> Iterator[None]:
    yield
    settings.tracing_enabled.unset_value()


def names(policies: list[Any]) -> set[str]:
    """The policies' names; those without a wait are wrapped."""
    return {type(getattr(policy, "_policy", policy)).__name__ for policy in policies}


async def test_the_package_has_the_attributes(bare: TableServiceClient) -> None:
    assert isinstance(getattr(bare, "_policies", None), list), LOOK + "TableServiceClient._policies (_shorten)"
    table = getattr(getattr(bare.get_table_client("jobs"), "_client", None), "table", None)
    serializer = getattr(table, "_serialize", None)
    assert callable(getattr(serializer, "body", None)), LOOK + "TableClient._client.table._serialize.body"
    assert callable(getattr(settings, "tracing_enabled", None)), LOOK + "azure.core.settings.tracing_enabled"


@pytest.mark.parametrize("traced", [False, True])
async def test_a_request_goes_through_what_it_needs_and_no_more(catching: Catching, traced: bool) -> None:
    tables = AzureTables.from_connection_string(ACCOUNT, traced=traced)
    client = tables.table("jobs")._client  # type: ignore[attr-defined]
    policies = client._client._client._pipeline._impl_policies
    expected = NEEDED | ({"DistributedTracingPolicy"} if traced else set())
    assert names(policies) == expected, LOOK + "a table's client takes TableServiceClient._policies (_shorten)"
    await tables.close()


async def test_without_tracing_the_packages_make_no_spans() -> None:
    settings.tracing_enabled.set_value(True)
    await AzureTables.from_connection_string(ACCOUNT).close()
    assert settings.tracing_enabled() is False, LOOK + "azure.core.settings.tracing_enabled can be set (_shorten)"


async def test_a_row_is_sent_as_it_is(catching: Catching, walked: list[str]) -> None:
    tables = AzureTables.from_connection_string(ACCOUNT)
    with pytest.raises(Sent):
        await tables.table("jobs").upsert(Entity("p", "r", {"Text": "ü", "Number": 1, "Flag": True}))
    (request,) = catching.requests
    assert request.body == (
        '{"PartitionKey": "p", "PartitionKey@odata.type": "Edm.String", "RowKey": "r", "RowKey@odata.type": '
        '"Edm.String", "Text": "\\u00fc", "Text@odata.type": "Edm.String", "Number": 1, "Flag": true}'
    ), LOOK + "the client makes JSON of what _send_as_it_is hands through"
    assert walked == [], LOOK + "TableClient._client.table._serialize.body is asked for it (_send_as_it_is)"
    await tables.close()


async def test_the_package_itself_walks_through_a_row(walked: list[str]) -> None:
    """Once it does not any more, _send_as_it_is can go."""
    async with TableServiceClient.from_connection_string(ACCOUNT, transport=Catching()) as service:
        with pytest.raises(Sent):
            await service.get_table_client("jobs").upsert_entity({"PartitionKey": "p", "RowKey": "r"})
    assert walked == ["{object}"], LOOK + "_serialize.body walks through an entity (_send_as_it_is)"
