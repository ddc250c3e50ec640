"""Answers that are not resources, byte for byte."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from router.api import jobs, resources, workers
from router.api.call import Call
from router.models.operations import BY_NAME, GA
from router.models.results import EstimatedWait, EstimatedWaitBasis
from router.usecases.figures import Position, Statistics
from router.usecases.outlook import Wait
from router.wire.documents import json_bytes


def call(operation: str, *ids: str) -> Call:
    parts: Any = SimpleNamespace()
    return Call(
        operation=BY_NAME[operation],
        parts=parts,
        api_version=GA,
        ids=ids,
        query={},
        headers={},
        body=b"",
        token_keys=(),
        secrets=None,
        http_on_loopback=False,
    )


def answer(monkeypatch: pytest.MonkeyPatch, where: str, found: object) -> None:
    async def service(*arguments: object, **options: object) -> object:
        return found

    monkeypatch.setattr(where, service)


async def test_accepting_an_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "router.usecases.offers.accept", ("j/1", "a1"))
    reply = await workers.accept(call("AcceptJobOffer", "w é", "o1"))
    assert json_bytes(reply.body) == '{"assignmentId":"a1","jobId":"j/1","workerId":"w é"}'.encode()


async def test_unassigning_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "router.usecases.jobs.unassign", 2)
    reply = await jobs.unassign(call("UnassignJob", "j", "a"))
    assert json_bytes(reply.body) == b'{"jobId":"j","unassignmentCount":2}'


async def test_a_position(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "router.usecases.figures.position", Position("j", 3, "q", 7, Wait(12)))
    reply = await jobs.position(call("GetInQueuePosition", "j"))
    assert json_bytes(reply.body) == (
        b'{"jobId":"j","position":3,"queueId":"q","queueLength":7,"estimatedWaitTimeMinutes":12}'
    )


async def test_a_range_and_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    basis = EstimatedWaitBasis(assignments=96, minutes=84.5, competing=2)
    known = EstimatedWait(
        mean_seconds=400, p50_seconds=370.5, p80_seconds=561, sentence="less than 10 minutes", basis=basis
    )
    shown = (
        b'{"meanSeconds":400,"p50Seconds":370.5,"p80Seconds":561,"sentence":"less than 10 minutes",'
        b'"basis":{"assignments":96,"minutes":84.5,"competing":2}}'
    )
    answer(monkeypatch, "router.usecases.figures.position", Position("j", 3, "q", 7, Wait(7, known)))
    reply = await jobs.position(call("GetInQueuePosition", "j"))
    assert json_bytes(reply.body).endswith(b'"estimatedWaitTimeMinutes":7,"estimatedWait":' + shown + b"}")
    statistics = Statistics("q", 3, {5: Wait(7, known), 1: Wait(9, unknown="Nobody.")}, None)
    answer(monkeypatch, "router.usecases.figures.statistics", statistics)
    reply = await resources.queue_statistics(call("GetQueueStatistics", "q"))
    ends = b'"estimatedWait":{"5":' + shown + b'},"estimatedWaitUnknown":{"1":"Nobody."}}'
    assert json_bytes(reply.body).endswith(ends)


@pytest.mark.parametrize(
    ("figures", "body"),
    [
        (Statistics("q", 0, {}, None), b'{"queueId":"q","length":0,"estimatedWaitTimeMinutes":{}}'),
        (
            Statistics("q", 3, {10: Wait(4), -1: Wait(9), 2: Wait(6)}, 1.5),
            b'{"queueId":"q","length":3,"estimatedWaitTimeMinutes":{"-1":9,"2":6,"10":4},'
            b'"longestJobWaitTimeMinutes":1.5}',
        ),
        (
            Statistics("q", 1, {1: Wait(2)}, 0.0),
            b'{"queueId":"q","length":1,"estimatedWaitTimeMinutes":{"1":2},"longestJobWaitTimeMinutes":0}',
        ),
    ],
)
async def test_a_queues_statistics(monkeypatch: pytest.MonkeyPatch, figures: Statistics, body: bytes) -> None:
    answer(monkeypatch, "router.usecases.figures.statistics", figures)
    reply = await resources.queue_statistics(call("GetQueueStatistics", "q"))
    assert json_bytes(reply.body) == body
