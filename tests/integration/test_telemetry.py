"""What the real exporter sends, received at an ingestion endpoint: the same bytes that Application Insights gets."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.telemetry_bytes import measure
from local.metrics import start
from router.telemetry import names
from tests.eventually import eventually
from tests.integration.telemetry_sink import Sink, sink

ROOT = Path(__file__).parents[2]
STATUSES = (200, 201, 204, 400, 401, 404, 409, 412, 500, 503)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PREAMBLE = """
import os, signal, sys, time
from router.telemetry import logs, names, requests, routing, setup, tracing
"""


@pytest.fixture
def received() -> Iterator[Sink]:
    with sink() as running:
        yield running


def run(program: str, connection_string: str, **environment: str) -> str:
    """Run a program in a process of its own, as the exporter's providers are the process's; its output."""
    done = subprocess.run(
        [sys.executable, "-c", f"{PREAMBLE}setup.configure({connection_string!r})\n{program}"],
        cwd=ROOT,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "APPLICATIONINSIGHTS_"))}


def test_the_cloud_role_is_the_name_of_the_app(received: Sink) -> None:
    """As the platform's environment tells it; without that the portal's map shows "unknown_service:python"."""
    run(
        "requests.count_request('GetJob', '2023-11-01', 200)\n",
        received.connection_string,
        WEBSITE_SITE_NAME="func-router-1",
        FUNCTIONS_WORKER_RUNTIME="python",
    )
    assert {envelope["tags"]["ai.cloud.role"] for envelope in received.envelopes} == {"func-router-1"}


def test_every_operation_and_status_arrives_with_its_count(received: Sink) -> None:
    run(
        f"for operation in (*names.WIRE_OPERATIONS, *names.OWN_OPERATIONS):\n"
        f"    for times, status in enumerate({STATUSES}, start=1):\n"
        f"        for _ in range(times):\n"
        f"            requests.count_request(operation, '2023-11-01', status)\n"
        f"requests.count_request('GetJob', None, 400)\n"
        f"requests.count_request('GetJob', '1999-01-01', 400)\n"
        f"requests.count_request('GetJob', '2024-01-18-preview', 200)\n"
        f"requests.count_request('NoSuchOperation', '2023-11-01', 404)\n",
        received.connection_string,
    )
    assert received.paths == {"/v2.1/track"}
    points = received.metrics("ApiRequestRouter")
    assert {point["ns"] for point in points} == {"JobRouter"}
    assert {tuple(sorted(point["dimensions"])) for point in points} == {
        ("ApiVersion", "Operation", "StatusCode", "StatusSubClass")
    }
    # The portal's Count adds up `count`, its Sum `value`: both are the number of requests.
    assert all(point["count"] == point["value"] for point in points)
    assert all(point["min"] == point["max"] == 1 for point in points)
    expected = Counter(
        {
            (operation, "2023-11-01", str(status), f"{status // 100}xx"): times
            for operation in (*names.WIRE_OPERATIONS, *names.OWN_OPERATIONS)
            for times, status in enumerate(STATUSES, start=1)
        }
    )
    expected["GetJob", "none", "400", "4xx"] += 1
    expected["GetJob", "unsupported", "400", "4xx"] += 1
    expected["GetJob", "2024-01-18-preview", "200", "2xx"] += 1
    expected["Unknown", "2023-11-01", "404", "4xx"] += 1
    assert counted(points) == expected


def test_each_export_carries_only_what_is_new(received: Sink) -> None:
    run(
        "for _ in range(3):\n"
        "    requests.count_request('GetJob', '2023-11-01', 200)\n"
        "    setup.flush()\n"
        "requests.count_request('GetJob', '2023-11-01', 200)\n",
        received.connection_string,
    )
    assert [point["count"] for point in received.metrics("ApiRequestRouter")] == [1, 1, 1, 1]


def test_routing_metrics_arrive(received: Sink) -> None:
    run(
        "routing.record_offer('issued', 3); routing.record_offer('accepted')\n"
        "routing.record_time_to_offer(0.2); routing.record_time_to_offer(0.4)\n"
        "routing.record_assignment(3.0, 2.5)\n"
        "routing.record_reconciliation('job', 'changed'); routing.record_conflict('job'); routing.record_retry('job')\n"
        "routing.record_outbox_age(0.1); routing.record_deadline_lag(0.3)\n"
        "requests.count_request('GetJob', '2023-11-01', 200, seconds=0.05)\n"
        "routing.record_told_wait('support', held=True)\n"
        "routing.set_queue_figures([routing.QueueFigures('support', 4, 61.5, 80.0)])\n",
        received.connection_string,
    )
    sent = {
        metric["name"]
        for envelope in received.of_type("MetricData")
        for metric in envelope["data"]["baseData"]["metrics"]
    }
    assert sent == names.METRICS
    offers = {point["dimensions"]["router.outcome"]: point["value"] for point in received.metrics("router.offers")}
    assert offers == {"issued": 3, "accepted": 1}
    assert all(point["count"] == point["value"] for point in received.metrics("router.offers"))
    (to_offer,) = received.metrics("router.offer.time_to_offer")
    assert (to_offer["count"], to_offer["min"], to_offer["max"]) == (2, 0.2, 0.4)
    assert to_offer["value"] == pytest.approx(0.6)
    length = received.metrics("router.queue.length")[0]
    assert (length["value"], length["dimensions"]) == (4, {"router.queue.id": "support"})
    assert all(point["ns"] == "JobRouter" for name in names.METRICS for point in received.metrics(name))


def test_a_trace_continues_and_logs_are_correlated(received: Sink) -> None:
    run(
        "import logging\n"
        f"with tracing.span('UpsertJob', {{'router.job.id': 'j1'}}, {PARENT!r}):\n"
        "    with tracing.span('OfferJob'):\n"
        "        logging.getLogger('router.matching').warning(\n"
        "            'slow, code=c2VjcmV0', extra={'labels': {'name': 'Ada'}, 'router.job.id': 'j1'})\n",
        received.connection_string,
    )
    spans = {envelope["data"]["baseData"]["name"]: envelope for envelope in received.of_type("RemoteDependencyData")}
    request, offer = spans["UpsertJob"], spans["OfferJob"]
    assert request["tags"]["ai.operation.id"] == offer["tags"]["ai.operation.id"] == PARENT[3:35]
    assert request["tags"]["ai.operation.parentId"] == PARENT[36:52]
    assert offer["tags"]["ai.operation.parentId"] == request["data"]["baseData"]["id"]
    assert request["data"]["baseData"]["properties"] == {"router.job.id": "j1"}
    assert received.of_type("RequestData") == []  # the Functions host sends those
    (message,) = received.of_type("MessageData")
    assert message["tags"]["ai.operation.id"] == PARENT[3:35]
    assert message["tags"]["ai.operation.parentId"] == offer["data"]["baseData"]["id"]
    assert message["data"]["baseData"]["properties"]["router.job.id"] == "j1"
    assert "c2VjcmV0" not in str(message)
    assert "Ada" not in str(message)


def test_an_exported_record_goes_no_further(received: Sink) -> None:
    """The Functions worker hands the root logger's records to the host, which would send them a second time."""
    output = run(
        "import logging\n"
        "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))\n"
        "logging.getLogger('router.matching').warning('ours')\n"
        "logging.getLogger('another').warning('theirs')\n",
        received.connection_string,
    )
    assert output == "theirs\n"
    assert [envelope["data"]["baseData"]["message"] for envelope in received.of_type("MessageData")] == ["ours"]


def test_logs_stay_with_the_process_when_they_are_not_exported(received: Sink) -> None:
    output = run(
        "import logging\n"
        "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))\n"
        "logging.getLogger('router.matching').warning('ours')\n",
        received.connection_string,
        OTEL_LOGS_EXPORTER="none",
    )
    assert output == "ours\n"
    assert received.of_type("MessageData") == []


def test_azure_sdk_calls_are_dependencies(received: Sink) -> None:
    """Storage's and Event Grid's clients make spans of their own, children of ours."""
    run(
        "from azure.core.credentials import AzureNamedKeyCredential\n"
        "from azure.core.exceptions import AzureError\n"
        "from azure.data.tables import TableServiceClient\n"
        "client = TableServiceClient('http://127.0.0.1:9/a', credential=AzureNamedKeyCredential('a', 'a2V5'),\n"
        "                            retry_total=0)\n"
        f"with tracing.span('GetJob', None, {PARENT!r}):\n"
        "    try:\n"
        "        client.get_table_client('jobs').get_entity('p', 'r')\n"
        "    except AzureError:\n"
        "        pass\n",
        received.connection_string,
    )
    spans = [envelope["data"]["baseData"] for envelope in received.of_type("RemoteDependencyData")]
    ours = next(span for span in spans if span["name"] == "GetJob")
    others = [span for span in spans if span is not ours]
    assert any("127.0.0.1:9" in str(span) for span in others)
    parents = {envelope["tags"].get("ai.operation.parentId") for envelope in received.of_type("RemoteDependencyData")}
    assert ours["id"] in parents


def test_azure_sdk_calls_in_a_trace_that_is_left_out_send_nothing(received: Sink) -> None:
    run(
        "from azure.core.credentials import AzureNamedKeyCredential\n"
        "from azure.core.exceptions import AzureError\n"
        "from azure.data.tables import TableServiceClient\n"
        "client = TableServiceClient('http://127.0.0.1:9/a', credential=AzureNamedKeyCredential('a', 'a2V5'),\n"
        "                            retry_total=0)\n"
        f"with tracing.span('GetJob', None, {PARENT[:-1] + '0'!r}), tracing.span('OfferJob'):\n"
        "    try:\n"
        "        client.get_table_client('jobs').get_entity('p', 'r')\n"
        "    except AzureError as error:\n"
        "        print('refused')\n",
        received.connection_string,
    )
    assert received.of_type("RemoteDependencyData") == []


def test_a_trace_that_begins_here_has_no_gaps(received: Sink) -> None:
    """The rate limit decides once for a trace, not again for each span."""
    run(
        "for number in range(200):\n"
        "    with tracing.span('UpsertJob', {'router.job.id': str(number)}):\n"
        "        for _ in range(3):\n"
        "            with tracing.span('OfferJob'):\n"
        "                time.sleep(0.001)\n",
        received.connection_string,
    )
    by_trace = Counter(span["tags"]["ai.operation.id"] for span in received.of_type("RemoteDependencyData"))
    assert 10 <= len(by_trace) < 100
    assert set(by_trace.values()) == {4}


def test_many_spans_are_sampled_and_metrics_are_not(received: Sink) -> None:
    run(
        "for _ in range(2000):\n"
        "    with tracing.span('GetJob'):\n"
        "        requests.count_request('GetJob', '2023-11-01', 200)\n",
        received.connection_string,
    )
    assert len(received.of_type("RemoteDependencyData")) < 1000
    assert sum(point["count"] for point in received.metrics("ApiRequestRouter")) == 2000


@pytest.mark.slow
def test_memory_does_not_grow_over_many_requests(received: Sink) -> None:
    output = run(
        "import psutil\n"
        "def answer(times):\n"
        "    for number in range(times):\n"
        "        with tracing.span('UpsertJob', {'router.job.id': str(number)}):\n"
        "            routing.record_offer('issued')\n"
        "        requests.count_request('UpsertJob', '2023-11-01', 201, 0.01)\n"
        "    setup.flush()\n"
        "    print(psutil.Process().memory_info().rss)\n"
        "answer(20_000)\n"
        "answer(100_000)\n",
        received.connection_string,
    )
    before, after = map(int, output.split())
    assert after - before < 4_000_000
    assert sum(point["count"] for point in received.metrics("ApiRequestRouter")) == 120_000


def test_metrics_leave_by_themselves_within_the_interval(received: Sink) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{PREAMBLE}setup.configure({received.connection_string!r})\n"
            "requests.count_request('GetJob', '2023-11-01', 200)\ntime.sleep(30)\n",
        ],
        cwd=ROOT,
        env={**clean_environment(), "OTEL_METRIC_EXPORT_INTERVAL": "500"},
    )
    try:
        eventually(lambda: received.metrics("ApiRequestRouter"))
    finally:
        process.kill()
        process.wait()


def test_the_default_interval_is_at_most_a_minute(received: Sink) -> None:
    interval = run("print(os.environ['OTEL_METRIC_EXPORT_INTERVAL'])\n", received.connection_string)
    assert int(interval) <= 60_000


def test_metrics_leave_when_the_process_is_terminated(received: Sink) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{PREAMBLE}setup.configure({received.connection_string!r})\n"
            "requests.count_request('GetJob', '2023-11-01', 200)\nprint('ready', flush=True)\ntime.sleep(30)\n",
        ],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(timeout=15) == -signal.SIGTERM
    process.stdout.close()
    assert sum(point["count"] for point in received.metrics("ApiRequestRouter")) == 1


def test_an_endpoint_that_is_gone_hurts_nobody() -> None:
    output = run(
        "requests.count_request('GetJob', '2023-11-01', 200)\nprint('answered')\n",
        "InstrumentationKey=7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001;IngestionEndpoint=http://127.0.0.1:9/",
    )
    assert output == "answered\n"


def test_nothing_but_the_routers_own_telemetry_is_sent(received: Sink) -> None:
    run("requests.count_request('GetJob', '2023-11-01', 200)\n", received.connection_string)
    assert {envelope["data"]["baseType"] for envelope in received.envelopes} == {"MetricData"}
    sent = {metric["name"] for envelope in received.envelopes for metric in envelope["data"]["baseData"]["metrics"]}
    assert sent == {"ApiRequestRouter"}


@pytest.mark.timed
def test_switching_on_takes_little_beside_the_start() -> None:
    """Processor time, beside that of what the app imports anyway: 0.95 to 1.6 of it, as the machine is; the best of some."""
    program = (
        "import time\n"
        "began = time.process_time()\n"
        "import azure.data.tables.aio, azure.eventgrid.aio, aiohttp, pydantic\n"
        "imported = time.process_time() - began\n"
        "from router.telemetry import setup\n"
        "began = time.process_time()\n"
        "setup.configure('InstrumentationKey=7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001;"
        "IngestionEndpoint=http://127.0.0.1:9/')\n"
        "print((time.process_time() - began) / imported)\n"
    )
    ratios = [
        float(
            subprocess.run(
                [sys.executable, "-c", program], cwd=ROOT, env=clean_environment(), capture_output=True, check=True
            ).stdout
        )
        for _ in range(4)
    ]
    assert min(ratios) < 2


async def test_the_local_collector_receives_the_same() -> None:
    collector = await start()
    try:
        process = await spawn(
            "for _ in range(5): requests.count_request('GetJob', '2023-11-01', 200)\n"
            "requests.count_request('GetJob', '2023-11-01', 404)\n",
            collector.environment,
        )
        assert await process.wait() == 0
        found = collector.history.totals("ApiRequestRouter")
        totals = {(series["Operation"], series["StatusCode"]): tally.count for series, tally in found}
        assert totals == {("GetJob", "200"): 5, ("GetJob", "404"): 1}
        assert collector.history.namespace("ApiRequestRouter") == "JobRouter"
    finally:
        await collector.close()


async def spawn(program: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    connection = environment["APPLICATIONINSIGHTS_CONNECTION_STRING"]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{PREAMBLE}setup.configure({connection!r})\n{program}",
        cwd=ROOT,
        env={**clean_environment(), **environment},
    )


def counted(points: list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for point in points:
        counts[tuple(point["dimensions"][name] for name in names.REQUEST_DIMENSIONS)] += point["count"]
    return counts


@pytest.mark.slow
def test_a_routed_job_sends_half_of_what_it_did(received: Sink, tmp_path: Path) -> None:
    """One record a call to storage, not two, and each small: 84 KB an isolated job before, 41 KB now, polls included."""
    jobs = 3
    sent, _ = measure(tmp_path, jobs, 0.5, received, idle_seconds=1)
    assert not [kind for kind in sent.records if "TableClient" in kind or "Operations" in kind]
    calls = sent.records["call of HTTP"]
    assert calls >= 20 * jobs, "the traces are whole"
    assert sent.bytes["call of HTTP"] / calls < 1_000
    # On a slow machine there are more polls, more calls and more exports of metrics, which are not the jobs' own.
    spans = {kind: size for kind, size in sent.bytes.items() if not kind.startswith("Metric")}
    beyond = max(0, calls - 33 * jobs) + max(0, sum(sent.records[kind] for kind in spans) - calls - 8 * jobs)
    assert sum(spans.values()) - beyond * 1_000 < 39_000 * jobs, "75,000 before"
    assert sum(point["count"] for point in received.metrics("ApiRequestRouter")) >= 5 * jobs
