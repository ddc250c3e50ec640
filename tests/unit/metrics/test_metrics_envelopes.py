"""Bodies as exporters post them, in each of their forms, and bodies that are none."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from local.metrics import Collector, start
from local.metrics.envelopes import decode, points

ENVELOPE: dict[str, Any] = {
    "name": "Microsoft.ApplicationInsights.Metric",
    "iKey": "00000000-0000-0000-0000-000000000001",
    "time": "2026-11-23T04:22:07.841932Z",
    "tags": {"ai.cloud.roleInstance": "one"},
    "data": {
        "baseType": "MetricData",
        "baseData": {
            "ver": 2,
            "properties": {"Operation": "GetJob", "StatusCode": "200"},
            "metrics": [{"name": "ApiRequestRouter", "ns": "JobRouter", "value": 3, "count": 3, "min": 1, "max": 1}],
        },
    },
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "text",
    [json.dumps([ENVELOPE, ENVELOPE]), f"{json.dumps(ENVELOPE)}\n{json.dumps(ENVELOPE)}\n"],
    ids=["array", "lines"],
)
def test_forms(text: str, packed: bool) -> None:
    body = gzip.compress(text.encode()) if packed else text.encode()
    assert decode(body, "gzip" if packed else None) == [ENVELOPE, ENVELOPE]


def test_a_metric_point() -> None:
    (point,) = points(ENVELOPE)
    assert (point.name, point.namespace, point.instance) == ("ApiRequestRouter", "JobRouter", "one")
    assert (point.total, point.count, point.minimum, point.maximum) == (3, 3, 1, 1)
    assert point.dimensions == (("Operation", "GetJob"), ("StatusCode", "200"))
    assert point.time == pytest.approx(1795407727.841932)


def test_a_gauge_has_its_value_as_both_bounds() -> None:
    metric = {"name": "router.queue.length", "value": 4}
    gauge = {**ENVELOPE, "data": {"baseType": "MetricData", "baseData": {"metrics": [metric]}}}
    (point,) = points(gauge)
    assert (point.count, point.minimum, point.maximum) == (1, 4, 4)


def test_traces_and_logs_have_no_points() -> None:
    assert points({**ENVELOPE, "data": {"baseType": "MessageData", "baseData": {"message": "hello"}}}) == []


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    running = await start()
    yield running
    await running.close()


async def test_the_collector_takes_gzip(collector: Collector) -> None:
    body = gzip.compress(json.dumps([ENVELOPE]).encode())
    async with (
        ClientSession() as session,
        session.post(f"{collector.url}/v2.1/track", data=body, headers={"Content-Encoding": "gzip"}) as answer,
    ):
        assert answer.status == 200
        assert await answer.json() == {"itemsReceived": 1, "itemsAccepted": 1, "errors": []}


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[1]", b"\x1f\x8bbroken", b'{"data": {"baseType": "MetricData"}}', b"\xff"]
)
async def test_the_collector_refuses_nonsense(collector: Collector, body: bytes) -> None:
    async with ClientSession() as session, session.post(f"{collector.url}/v2.1/track", data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["itemsAccepted"] == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200), ("?metric=ApiRequestRouter&aggregation=sum&grain=10&split=Operation&filter=Operation=GetJob", 200),
        ("?aggregation=median", 400), ("?grain=7", 400), ("?filter=Operation", 400),
    ],
)  # fmt: skip
async def test_questions(collector: Collector, query: str, status: int) -> None:
    async with ClientSession() as session, session.get(f"{collector.url}/metrics-explorer/api/chart{query}") as answer:
        assert answer.status == status


async def test_files_outside_the_page_are_not_served(collector: Collector) -> None:
    async with ClientSession() as session:
        for path in ("page.js", "vendor/uPlot.LICENSE", "page.css"):
            async with session.get(f"{collector.url}/metrics-explorer/static/{path}") as answer:
                assert answer.status == 200
        for path in ("..%2Fapi.py", "%2e%2e/api.py", "vendor", "nothing.js"):
            async with session.get(f"{collector.url}/metrics-explorer/static/{path}") as answer:
                assert answer.status == 404


async def test_it_listens_on_loopback_only(collector: Collector) -> None:
    assert collector.url.startswith("http://127.0.0.1:")
