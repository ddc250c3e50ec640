"""A thousand mixed requests, and ten thousand: what arrives at the ingestion endpoint is what was sent, series by series."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, TCPConnector

from tests.acceptance.metered_router import (
    GA,
    KEY,
    ROOT,
    Client,
    MeteredRouter,
    Series,
    answering,
    eventually,
    free_port,
    running_router,
)
from tests.integration.telemetry_sink import Sink, sink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DIMENSIONS = ("Operation", "ApiVersion", "StatusCode", "StatusSubClass")
DISTRIBUTION = b'{"offerExpiresAfterSeconds": 60, "mode": {"kind": "longestIdle"}}'
PREVIEW = "2024-01-18-preview"


async def one_round(client: Client, name: str) -> None:
    """Some forty requests with known outcomes: every operation, and the ways in which requests are refused."""
    call = client.call
    await call("UpsertDistributionPolicy", "PATCH", f"distributionPolicies/{name}", DISTRIBUTION, expect=201)
    await call("UpsertDistributionPolicy", "PATCH", f"distributionPolicies/{name}", DISTRIBUTION, expect=200)
    await call("GetDistributionPolicy", "GET", f"distributionPolicies/{name}", version=PREVIEW, expect=200)
    queue = f'{{"distributionPolicyId": "{name}"}}'.encode()
    await call("UpsertQueue", "PATCH", f"queues/{name}", queue, expect=201)
    await call("GetQueue", "GET", f"queues/{name}", expect=200)
    await call("GetQueueStatistics", "GET", f"queues/{name}/statistics", expect=200)
    job = f'{{"channelId": "voice", "queueId": "{name}"}}'.encode()
    await call("UpsertJob", "PATCH", f"jobs/{name}", job, expect=201)
    await call("GetJob", "GET", f"jobs/{name}", expect=200)
    await call("DeleteDistributionPolicy", "DELETE", f"distributionPolicies/{name}", expect=400)
    await call("CancelJob", "POST", f"jobs/{name}:cancel", b"{}", content_type="application/json", expect=200)
    await call("CancelJob", "POST", f"jobs/{name}:cancel", b"{}", content_type="application/json", expect=409)
    await call("DeleteJob", "DELETE", f"jobs/{name}", expect=204)
    await call("UpsertWorker", "PATCH", f"workers/{name}", b'{"capacity": 1}', expect=201)
    await call("GetWorker", "GET", f"workers/{name}", expect=200)
    await call("DeleteWorker", "DELETE", f"workers/{name}", expect=204)
    await call("UpsertClassificationPolicy", "PATCH", f"classificationPolicies/{name}", b"{}", expect=201)
    await call("GetClassificationPolicy", "GET", f"classificationPolicies/{name}", expect=200)
    await call("DeleteClassificationPolicy", "DELETE", f"classificationPolicies/{name}", expect=204)
    await call("UpsertExceptionPolicy", "PATCH", f"exceptionPolicies/{name}", b"{}", expect=201)
    await call("GetExceptionPolicy", "GET", f"exceptionPolicies/{name}", expect=200)
    await call("DeleteExceptionPolicy", "DELETE", f"exceptionPolicies/{name}", expect=204)
    for operation, path in {
        "ListClassificationPolicies": "classificationPolicies",
        "ListDistributionPolicies": "distributionPolicies",
        "ListExceptionPolicies": "exceptionPolicies",
        "GetQueues": "queues",
        "GetJobs": "jobs",
        "GetWorkers": "workers",
    }.items():
        await call(operation, "GET", path, expect=200)
    await call("GetInQueuePosition", "GET", "jobs/nobody/position", expect=404)
    for operation, path in {
        "ReclassifyJob": "jobs/nobody:reclassify",
        "CompleteJob": "jobs/nobody/assignments/none:complete",
        "CloseJob": "jobs/nobody/assignments/none:close",
        "UnassignJob": "jobs/nobody/assignments/none:unassign",
        "AcceptJobOffer": "workers/nobody/offers/none:accept",
        "DeclineJobOffer": "workers/nobody/offers/none:decline",
    }.items():
        await call(operation, "POST", path, b"{}", content_type="application/json", expect=404)
    await call("DeleteQueue", "DELETE", f"queues/{name}", expect=204)
    # Refused: without a signature, without a version, with an unknown one, with broken and with wrong bodies.
    await call("GetJob", "GET", "jobs/nobody", signed=False, expect=401)
    await call("UpsertJob", "PATCH", "jobs/nobody", job, signed=False, expect=401)
    await call("GetWorkers", "GET", "workers", version=None, expect=400)
    await call("GetWorker", "GET", "workers/nobody", version="2022-07-18-preview", expect=400)
    await call("UpsertJob", "PATCH", "jobs/nobody", b"{", expect=400)
    await call("UpsertQueue", "PATCH", "queues/nobody", b"{}", expect=400)
    await call("UpsertWorker", "PATCH", "workers/nobody", b"{}", content_type="text/plain", expect=415)


async def send(router: MeteredRouter, requests: int) -> Counter[Series]:
    # A connection for each request: so all processes on the port get their share, and no request is sent twice.
    async with ClientSession(connector=TCPConnector(force_close=True)) as session:
        client = Client(session, router.url)
        rounds = 0
        while client.sent.total() < requests:
            await asyncio.gather(*(one_round(client, f"r{rounds + number}") for number in range(6)))
            rounds += 6
        return client.sent


def own(counts: Counter[Series]) -> Counter[Series]:
    """Without what the starter asks to see whether the app is up."""
    return Counter({series: count for series, count in counts.items() if series[0] not in ("Health", "OpenApi")})


def received_counts(received: Sink) -> Counter[Series]:
    counts: Counter[Series] = Counter()
    for point in received.metrics("ApiRequestRouter"):
        assert point["ns"] == "JobRouter"
        assert point["count"] == point["value"]
        operation, version, status, sub_class = (point["dimensions"][name] for name in DIMENSIONS)
        assert len(point["dimensions"]) == 4
        counts[operation, version, status, sub_class] += point["count"]
    return own(counts)


@pytest.mark.parametrize(
    ("workers", "requests"), [(1, 1_000), (2, 1_000), pytest.param(2, 10_000, marks=pytest.mark.long)]
)
async def test_what_was_sent_is_what_arrives(tmp_path: Path, workers: int, requests: int) -> None:
    with sink() as received:
        settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": received.connection_string,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        async with running_router(tmp_path, workers, **settings) as router:
            sent = await send(router, requests)
            assert sent.total() >= requests

            async def arrived() -> bool:
                return received_counts(received) == sent

            await eventually(arrived)
            assert received_counts(received) == sent
            instances = {point["instance"] for point in received.metrics("ApiRequestRouter")}
            assert len(instances) == workers
            # What no interval has sent yet leaves at the end.
            async with ClientSession() as session:
                last = Client(session, router.url, sent)
                await last.call("GetJobs", "GET", "jobs", expect=200)
            await router.end()
        assert received_counts(received) == sent


async def test_the_local_page_shows_the_sum_of_all_processes(tmp_path: Path) -> None:
    async with running_router(tmp_path, workers=2) as router, ClientSession() as session:
        client = Client(session, router.url)
        await asyncio.gather(*(one_round(client, f"p{number}") for number in range(8)))

        shown: Counter[Series] = Counter()

        async def look() -> bool:
            url = f"{router.url}/metrics-explorer/api/totals?metric=ApiRequestRouter"
            async with session.get(url) as answer:
                shown.clear()
                for series in (await answer.json())["series"]:
                    operation, version, status, sub_class = (series["dimensions"][name] for name in DIMENSIONS)
                    shown[operation, version, status, sub_class] += series["count"]
            return own(shown) == client.sent

        await eventually(look)
        assert own(shown) == client.sent
        async with session.get(f"{router.url}/metrics-explorer") as answer:
            assert answer.status == 200
            assert "<title>Metrics" in await answer.text()


async def test_one_trace_from_the_request_through_the_event_to_the_offer(tmp_path: Path) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with sink() as received:
        settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": received.connection_string}
        async with running_router(tmp_path, workers=1, **settings) as router, ClientSession() as session:
            client = Client(session, router.url)
            await client.call("UpsertDistributionPolicy", "PATCH", "distributionPolicies/d", DISTRIBUTION, expect=201)
            await client.call("UpsertQueue", "PATCH", "queues/q", b'{"distributionPolicyId": "d"}', expect=201)
            worker = b'{"capacity": 1, "queues": ["q"], "channels": [{"channelId": "voice", "capacityCostPerJob": 1}]}'
            await client.call("UpsertWorker", "PATCH", "workers/w", worker, expect=201)
            await client.call("UpsertWorker", "PATCH", "workers/w", b'{"availableForOffers": true}', expect=200)
            job = b'{"channelId": "voice", "queueId": "q"}'
            parent = f"00-{trace_id}-b7ad6b7169203331-01"
            await client.call("UpsertJob", "PATCH", "jobs/j", job, traceparent=parent, expect=201)
            await eventually(lambda: in_trace(received, trace_id, "event"))
            await router.end()
        spans = {
            envelope["data"]["baseData"]["name"]
            for envelope in received.of_type("RemoteDependencyData")
            if envelope["tags"]["ai.operation.id"] == trace_id
        }
        assert "UpsertJob" in spans
        assert any("event" in name.lower() for name in spans)
        # Storage's calls within the trace are dependencies of it.
        targets = [
            envelope["data"]["baseData"]
            for envelope in received.of_type("RemoteDependencyData")
            if envelope["tags"]["ai.operation.id"] == trace_id and envelope["data"]["baseData"].get("type") != "InProc"
        ]
        assert targets != []
        offered = {point["dimensions"]["router.outcome"]: point["value"] for point in received.metrics("router.offers")}
        assert offered == {"issued": 1}
        assert received.of_type("RequestData") == []


async def in_trace(received: Sink, trace_id: str, word: str) -> bool:
    return any(
        word in envelope["data"]["baseData"]["name"].lower() and envelope["tags"]["ai.operation.id"] == trace_id
        for envelope in received.of_type("RemoteDependencyData")
    )


@pytest.mark.timed
async def test_telemetry_costs_less_than_a_third_of_a_request(tmp_path: Path) -> None:
    """Two hosts of the same app on the same storage, one with metrics and traces on and one with both off, in turns.

    Each request comes alone, so each is traced: a tenth to a seventh of it, as the machine is; `bench.telemetry` tells
    more. Other work on the machine disturbs single rounds by more than what is measured, so the best of ten counts.
    """
    with sink() as received:
        settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": received.connection_string}
        async with (
            running_router(tmp_path, workers=1, **settings) as router,
            SecondHost(router, telemetry=True) as measured,
            SecondHost(router, telemetry=False) as without,
            ClientSession() as session,
        ):
            on, off = Client(session, measured.url), Client(session, without.url)
            await on.call("UpsertDistributionPolicy", "PATCH", "distributionPolicies/d", DISTRIBUTION, expect=201)
            await on.call("UpsertQueue", "PATCH", "queues/q", b'{"distributionPolicyId": "d"}', expect=201)
            await on.call("UpsertJob", "PATCH", "jobs/j", b'{"channelId": "voice", "queueId": "q"}', expect=201)
            await compare(on, off, turns=50)  # warms up
            more = 1.0
            for _ in range(10):
                more = min(more, await compare(on, off, turns=200))
                if more < 0.3:
                    break
            assert more < 0.3
        assert received_counts(received)["GetJob", "2023-11-01", "200", "2xx"] == on.sent["GetJob", GA, "200", "2xx"]
        assert received.of_type("RemoteDependencyData") != []


async def compare(on: Client, off: Client, turns: int) -> float:
    """How much longer the median requests take with telemetry, as a share: reads and writes, in random order."""
    taken: dict[tuple[str, bool], list[float]] = {}
    for turn in range(turns):
        for client in random.sample((on, off), 2):
            for operation, method, path, body in (
                ("GetDistributionPolicy", "GET", "distributionPolicies/d", b""),
                ("GetJob", "GET", "jobs/j", b""),
                ("UpsertJob", "PATCH", "jobs/j", f'{{"tags": {{"turn": "{turn} {client.base}"}}}}'.encode()),
            ):
                began = time.perf_counter()
                await client.call(operation, method, path, body, expect=200)
                taken.setdefault((operation, client is on), []).append(time.perf_counter() - began)
    medians = {key: statistics.median(values) for key, values in taken.items()}
    with_it, without_it = (sum(value for key, value in medians.items() if key[1] is state) for state in (True, False))
    print(f"p50 of three requests with telemetry {with_it * 1000:.2f} ms, without {without_it * 1000:.2f} ms")
    return with_it / without_it - 1


class SecondHost:
    """Another process of the same app beside a running router, without timers, with telemetry or without."""

    def __init__(self, router: MeteredRouter, *, telemetry: bool) -> None:
        self._router = router
        self._telemetry = telemetry

    async def __aenter__(self) -> MeteredRouter:
        environment = environment_of(self._router.data_dir / "app.pid")
        if not self._telemetry:
            environment.pop("APPLICATIONINSIGHTS_CONNECTION_STRING")
        assert environment["ROUTER_ACCESS_KEYS"] == KEY
        port = free_port()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local.host", "--port", str(port), "--no-timers", cwd=ROOT,
            env={**os.environ, **environment},
        )  # fmt: skip
        host = MeteredRouter(port, self._router.data_dir, self._process)
        await answering(host)
        return host

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()


def environment_of(pid_file: Path) -> dict[str, str]:
    found: dict[str, str] = psutil.Process(int(pid_file.read_text())).environ()
    return found
