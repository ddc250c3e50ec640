"""Requests beside the raw storage operations that they cannot do without, and how soon a job is offered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import UpdateMode

from bench.figures import Figure, heading, line, table, timed
from bench.stage import Stage, stage

_TIMES = 200


async def run() -> None:
    async with stage() as scene:
        heading("Floor of this run: azure-data-tables as it comes, on the same Azurite, and one event published")
        read, write, transaction, publish = await _floor(scene)
        table([read, write, transaction, publish])
        await _requests(scene, read.p50, read.p50 + transaction.p50)
        await _offers(scene)


async def _floor(scene: Stage) -> tuple[Figure, Figure, Figure, Figure]:
    client = await scene.tables.create_table(f"floor{time.time_ns()}")
    document = json.dumps({"text": "x" * 700})
    row: dict[str, Any] = {"PartitionKey": "a", "RowKey": "a", "Doc": document, "Kind": "job", "Active": True}
    etag = (await client.upsert_entity(row))["etag"]

    async def read(_: int) -> None:
        await client.get_entity("a", "a")

    async def write(_: int) -> None:
        nonlocal etag
        condition = MatchConditions.IfNotModified
        answer = await client.update_entity(row, mode=UpdateMode.REPLACE, etag=etag, match_condition=condition)
        etag = answer["etag"]

    async def transaction(number: int) -> None:
        nonlocal etag
        found = await client.get_entity("b", "b") if number < -10 else None
        del found
        outbox = {"PartitionKey": "a", "RowKey": f"outbox{time.time_ns()}", "Doc": document}
        condition = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        answers = await client.submit_transaction([("update", row, condition), ("create", outbox)])
        etag = answers[0]["etag"]

    async def publish(number: int) -> None:
        event = {
            "id": str(number),
            "subject": "bench",
            "eventType": "Bench.Floor",
            "eventTime": "2024-01-01T00:00:00Z",
            "dataVersion": "1.0",
            "data": {"text": "x" * 300},
        }
        await scene.topic.send([event])

    return (
        await timed("one raw point read", read, _TIMES),
        await timed("one conditional write", write, _TIMES),
        await timed("one conditional transaction (row + outbox row)", transaction, _TIMES),
        await timed("one event published", publish, _TIMES),
    )


async def _requests(scene: Stage, read: float, upsert: float) -> None:
    policy, queue = scene.name("policy"), scene.name("queue")
    await scene.put(f"/routing/distributionPolicies/{policy}", {"mode": {"kind": "longestIdle"}})
    await scene.put(f"/routing/queues/{queue}", {"distributionPolicyId": policy})
    worker = {"capacity": 10, "queues": [queue], "channels": [{"channelId": "voice", "capacityCostPerJob": 1}]}
    await scene.put("/routing/workers/bench", worker)
    job = {"channelId": "chat", "queueId": queue, "labels": {"a": 1, "b": "two", "c": True}}
    await scene.put("/routing/jobs/bench", job)
    exceptions = {"id": "rule", "trigger": {"kind": "queueLength", "threshold": 10}, "actions": [{"kind": "cancel"}]}
    await scene.put(f"/routing/exceptionPolicies/{policy}", {"exceptionRules": [exceptions]})
    await scene.put(f"/routing/classificationPolicies/{policy}", {"fallbackQueueId": queue})
    idle, queues = scene.name("queue"), [scene.name("queue") for _ in range(10)]  # where no jobs wait
    available = {**worker, "queues": [idle], "availableForOffers": True}
    for one in (idle, *queues):
        await scene.put(f"/routing/queues/{one}", {"distributionPolicyId": policy})
    everywhere = {**available, "queues": queues}
    await scene.put("/routing/workers/available", available)
    await scene.put("/routing/workers/everywhere", everywhere)
    await asyncio.sleep(0.5)

    def get(path: str) -> Any:
        return lambda _: scene.wire.get(path)

    gets = [
        await timed(f"Get{kind}", get(path), _TIMES)
        for kind, path in (
            ("Job", "/routing/jobs/bench"),
            ("Worker", "/routing/workers/bench"),
            ("Queue", f"/routing/queues/{queue}"),
            ("DistributionPolicy", f"/routing/distributionPolicies/{policy}"),
            ("ClassificationPolicy", f"/routing/classificationPolicies/{policy}"),
            ("ExceptionPolicy", f"/routing/exceptionPolicies/{policy}"),
        )
    ]
    heading("Get, as a client sees it (wanted: at most 2.0 times one raw point read)")
    table(gets, read, "point read")

    async def new_job(number: int) -> None:
        await scene.put(f"/routing/jobs/{scene.name('job')}", job)

    async def job_again(number: int) -> None:
        await scene.put("/routing/jobs/bench", {"tags": {"number": number}})

    async def worker_again(number: int) -> None:
        await scene.put("/routing/workers/bench", {"tags": {"number": number}})

    def new_worker(wanted: dict[str, Any]) -> Any:
        return lambda _: scene.put(f"/routing/workers/{scene.name('worker')}", wanted)

    def other_labels(worker_id: str) -> Any:
        return lambda number: scene.put(f"/routing/workers/{worker_id}", {"labels": {"number": number}})

    async def new_queue(number: int) -> None:
        await scene.put(f"/routing/queues/{scene.name('queue')}", {"distributionPolicyId": policy})

    async def policy_again(number: int) -> None:
        await scene.put(f"/routing/distributionPolicies/{policy}", {"name": f"policy {number}"})

    async def queue_again(number: int) -> None:
        await scene.put(f"/routing/queues/{queue}", {"name": f"queue {number}"})

    upserts = [
        await timed("UpsertJob, a new one", new_job, _TIMES),
        await timed("UpsertJob, an update", job_again, _TIMES),
        await timed("UpsertWorker, an update", worker_again, _TIMES),
        await timed("UpsertWorker, a new one, available in 1 queue", new_worker(available), _TIMES),
        await timed("UpsertWorker, other labels, available in 1 queue", other_labels("available"), _TIMES),
        await timed("UpsertQueue, a new one", new_queue, _TIMES),
        await timed("UpsertQueue, an update", queue_again, _TIMES),
        await timed("UpsertDistributionPolicy, an update", policy_again, _TIMES),
    ]
    heading("Upsert, as a client sees it (wanted: at most 2.0 times read + conditional transaction)")
    table(upserts, upsert, "read + transaction")
    many = [
        await timed("UpsertWorker, a new one, available in 10 queues", new_worker(everywhere), _TIMES),
        await timed("UpsertWorker, other labels, available in 10 queues", other_labels("everywhere"), _TIMES),
    ]
    heading("The same in 10 queues: index rows in 10 partitions, written side by side")
    table(many, upsert, "read + transaction")


async def _offers(scene: Stage) -> None:
    """From the request that submits the job to the first answer that shows its offer."""
    policy, queue = scene.name("policy"), scene.name("queue")
    await scene.put(f"/routing/distributionPolicies/{policy}", {"mode": {"kind": "longestIdle"}})
    await scene.put(f"/routing/queues/{queue}", {"distributionPolicyId": policy})
    worker: dict[str, Any] = {
        "capacity": 1,
        "queues": [queue],
        "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
        "availableForOffers": True,
    }
    await scene.put("/routing/workers/agent", worker)

    async def offered(number: int) -> None:
        job = scene.name("job")
        await scene.put(f"/routing/jobs/{job}", {"channelId": "voice", "queueId": queue})
        while not (offers := (await scene.wire.get("/routing/workers/agent")).body["offers"]):
            await asyncio.sleep(0.002)
        elapsed.append((time.perf_counter() - started[0]) * 1000)
        accepted = (await scene.wire.post(f"/routing/workers/agent/offers/{offers[0]['offerId']}:accept")).body
        path = f"/routing/jobs/{job}/assignments/{accepted['assignmentId']}"
        await scene.wire.post(f"{path}:complete")
        await scene.wire.post(f"{path}:close")
        await asyncio.sleep(0.15)

    elapsed: list[float] = []
    started = [0.0]
    for number in range(53):
        started[0] = time.perf_counter()
        await offered(number)
    figure = Figure("job submitted to offer visible", elapsed[3:])
    heading("A job's way to its offer")
    line(figure.name, f"p50 {figure.p50:.0f} ms, p95 {figure.p95:.0f} ms", "p50 under 150 ms, p95 under 400 ms")
