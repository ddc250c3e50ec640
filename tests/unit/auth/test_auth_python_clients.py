"""The official Python clients, sync and aio, sign what really goes over the wire: it must verify."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.aio import JobRouterClient as AioJobRouterClient
from azure.communication.jobrouter.models import CancelJobOptions
from azure.core.credentials import AzureKeyCredential

from router.api.auth.hmac import AccessKeys
from router.api.auth.refusal import Unauthorized
from tests.unit.auth.signed_wire import KEY, OTHER_KEY, Received, Wire, rebuilt

IDS = [
    "plain-id",
    "with space",
    "a:b",
    "a:cancel",
    "a/b",
    "mixed:!('*)~/&",
    "#hash?mark",
    "quote'double\"",
    "tilde~bang!(round)*star",
    "plus+and&equals=semi;comma,",
    "at@dollar$[square]{curly}|pipe^caret`",
    "Zürich 東京 😀",
]
ODD_IDS = [*IDS, "100%", "a%20b", "back\\slash", "%2F"]


def verify(request: Received, *, known: bool = True, target: str | None = None) -> int:
    keys = AccessKeys([OTHER_KEY, KEY])
    return keys.verify(
        request.method, target or request.target, known, request.headers, request.body, datetime.now(UTC)
    )


def call_everything(client: JobRouterClient, id: str) -> None:
    client.get_job(id)
    client.delete_job(id)
    # The declared overload asks for every field.
    client.upsert_job(id, channel_id="é\n", labels={"a": "ü"}, tags={"x": 1})  # type: ignore[call-overload]
    client.cancel_job(id, CancelJobOptions(note="ñ"))
    client.reclassify_job(id)
    client.complete_job(id, id)
    client.accept_job_offer(id, id)
    client.get_queue_statistics(id)
    list(
        client.list_jobs(
            queue_id=id,
            channel_id=id,
            classification_policy_id=id,
            scheduled_before=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            results_per_page=7,
        )
    )


@pytest.mark.parametrize("id", ODD_IDS)
def test_sync_client_verifies(wire: Wire, id: str) -> None:
    client = JobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY))
    with client:
        call_everything(client, id)
    assert len(wire.received) == 9
    for request in wire.received:
        assert verify(request) == 1


@pytest.mark.parametrize("id", ODD_IDS)
async def test_aio_client_verifies(wire: Wire, id: str) -> None:
    aio_client = AioJobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY))
    async with aio_client:
        await call_everything_aio(aio_client, id)
    assert len(wire.received) == 6
    for request in wire.received:
        assert verify(request) == 1


async def call_everything_aio(client: AioJobRouterClient, id: str) -> None:
    await client.get_job(id)
    await client.upsert_job(id, channel_id="é", labels={"a": "ü"})  # type: ignore[call-overload]
    await client.cancel_job(id)
    await client.complete_job(id, id)
    await client.accept_job_offer(id, id)
    jobs: AsyncIterator[object] = client.list_jobs(queue_id=id, scheduled_after=datetime(2026, 1, 2, tzinfo=UTC))
    assert [job async for job in jobs] == []


@pytest.mark.parametrize("id", IDS)
async def test_python_clients_verify_where_the_platform_rebuilt_the_url(wire: Wire, id: str) -> None:
    client = JobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY))
    with client:
        call_everything(client, id)
    aio_client = AioJobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY))
    async with aio_client:
        await call_everything_aio(aio_client, id)
    assert len(wire.received) == 15
    for request in wire.received:
        assert verify(request, known=False, target=rebuilt(request.target)) == 1


def test_the_alternatives_are_tried_only_where_the_raw_target_is_unknown(wire: Wire) -> None:
    with JobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY)) as client:
        client.get_job("a:b")
    request = wire.received[0]
    assert rebuilt(request.target) != request.target
    with pytest.raises(Unauthorized, match="signature does not match"):
        verify(request, known=True, target=rebuilt(request.target))


@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.replace("a%3Ab", "a%3Ac"),
        lambda target: target.replace("a%3Ab", "A%3Ab"),
        lambda target: target.replace("a%3Ab", "a%2Fb"),
        lambda target: target.replace("a%3Ab", "a%3Ab/"),
        lambda target: target + "&x=1",
        lambda target: target.replace("2023-11-01", "2023-11-02"),
        lambda target: target.replace("/jobs/", "/workers/"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_another_target_is_refused(wire: Wire, change: Callable[[str], str], known: bool) -> None:
    with JobRouterClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY)) as client:
        client.get_job("a:b")
    request = wire.received[0]
    assert change(request.target) != request.target
    with pytest.raises(Unauthorized) as refused:
        verify(request, known=known, target=change(request.target))
    assert refused.value.reason == "SignatureMismatch"


def test_every_page_of_a_list_verifies(wire: Wire) -> None:
    token = "Az09_-" * 40
    wire.answers = [
        b'{"value": [], "nextLink": "/routing/queues?continuationToken=%s"}' % token.encode(),
        b'{"value": []}',
    ]
    with JobRouterAdministrationClient(f"http://127.0.0.1:{wire.port}", AzureKeyCredential(KEY)) as client:
        assert list(client.list_queues(results_per_page=2)) == []
    first, second = wire.received
    assert token in second.target
    assert [verify(first), verify(second)] == [1, 1]
