"""The examples of the REST specification (JobRouter, 2023-11-01 and 2024-01-18-preview): each request sent, its status
and every field of its answer compared. What an example names (queues, policies) is made first; ids are this run's.

Not as the specification has it, since an example contradicts the models or the other examples:
- examples in the shapes of former builds (`totalCapacity`, `queueAssignments` and `channelConfigurations` of workers,
  `modeType` of jobs, exception rules and actions as objects by id) are sent in the shapes of the models;
- a null in an answer is a field that is not there, and an answer's kinds are those of the models;
- a job is created `created` or `pendingSchedule`, not `queued` at once, and `scheduledAt` is not there yet;
- a job is not scheduled for 2023, which is past: the example's time is moved to 2100;
- queues and workers have the label `Id`;
- a worker of two queues answers both, where the example has lost one;
- ids of assignments, offers and actions, ETags, times of the service and estimates are the service's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.eventually import eventually_async
from tests.raw_wire import GA, PREVIEW, Answer, RawWire

ANY: Any = object()
CHANNELS = [
    {"channelId": "CustomChatChannel", "capacityCostPerJob": 11, "maxNumberOfJobs": 4},
    {"channelId": "CustomVoiceChannel", "capacityCostPerJob": 10, "maxNumberOfJobs": 1},
]
BIG_CHANNELS = [
    {"channelId": "CustomChatChannel", "capacityCostPerJob": 10, "maxNumberOfJobs": 4},
    {"channelId": "CustomVoiceChannel", "capacityCostPerJob": 100, "maxNumberOfJobs": 1},
]
SELECTOR = {"key": "Sales", "labelOperator": "equal", "value": True}
REFERENCE = "1d5896f3-8b54-40be-82d3-910323f5e2af"
#: What every answer to a job, and to a worker, has.
JOB = {
    "attachedWorkerSelectors": [],
    "labels": {},
    "assignments": {},
    "tags": {},
    "notes": [],
    "matchingMode": {"kind": "queueAndMatch"},
}
WORKER: dict[str, Any] = {"tags": {}, "offers": [], "assignedJobs": [], "loadRatio": 0}

versions = pytest.mark.parametrize("version", [GA, PREVIEW])


def same(answer: Any, example: Any, where: str = "") -> None:
    """Every field of both, but for what is the service's own."""
    if example is ANY:
        assert answer is not None, where
    elif isinstance(example, Mapping):
        assert set(answer) == set(example), where
        for name, value in example.items():
            same(answer[name], value, f"{where}.{name}")
    elif isinstance(example, list):
        assert len(answer) == len(example), where
        for one, other in zip(answer, example, strict=True):
            same(one, other, f"{where}[]")
    else:
        assert (answer, type(answer)) == (example, type(example)), where


class Examples:
    def __init__(self, wire: RawWire, version: str) -> None:
        self.wire = wire
        self.version = version
        self.run = wire.id("spec")

    def id(self, name: str) -> str:
        return f"{self.run}-{name}"

    async def upsert(
        self, kind: str, name: str, body: Mapping[str, Any], example: Mapping[str, Any], status: int
    ) -> None:
        """The PATCH, and the GET after it: both answer the same."""
        path = f"/routing/{kind}/{self.id(name)}"
        answer = await self.wire.patch(path, body, version=self.version)
        same(answer.expect(status), {"id": self.id(name), "etag": ANY, **example}, path)
        assert (await self.wire.get(path, version=self.version)).expect(200) == answer.body

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.wire.post(path, body, version=self.version)

    async def listed(self, kind: str, query: Mapping[str, Any], names: list[str]) -> None:
        """A page of the examples' size, and the items that the examples made, each as its GET shows it."""
        size = query.get("maxpagesize", 100)
        answer = (await self.wire.get(f"/routing/{kind}", query=query, version=self.version)).expect(200)
        assert set(answer) <= {"value", "nextLink"}
        assert len(answer["value"]) <= size
        found = [one for one in answer["value"] if one["id"] in {self.id(name) for name in names}]
        assert [one["id"] for one in found] == [self.id(name) for name in names]
        for one in found:
            assert (await self.wire.get(f"/routing/{kind}/{one['id']}", version=self.version)).body == one

    async def gone(self, kind: str, name: str) -> None:
        for _ in range(2):
            deleted = await self.wire.delete(f"/routing/{kind}/{self.id(name)}", version=self.version)
            assert (deleted.status, deleted.content) == (204, b"")

    async def set_up(self) -> None:
        mode = {"kind": "longestIdle"}
        await self.make("distributionPolicies", "MainDistributionPolicy", {"mode": mode})
        await self.make("exceptionPolicies", "MainExceptionPolicy", {})
        for name in ("MainQueue", "SecondaryQueue"):
            await self.make("queues", name, {"distributionPolicyId": self.id("MainDistributionPolicy")})
        await self.make("classificationPolicies", "Main", {"fallbackQueueId": self.id("MainQueue")})

    async def make(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        (await self.wire.patch(f"/routing/{kind}/{self.id(name)}", body)).expect(201)


@pytest.fixture
async def examples(wire: RawWire, version: str) -> Examples:
    examples = Examples(wire, version)
    await examples.set_up()
    return examples


@versions
async def test_distribution_policies(examples: Examples) -> None:
    mode = {"kind": "longestIdle", "minConcurrentOffers": 1, "maxConcurrentOffers": 5, "bypassSelectors": False}
    body = {"mode": mode, "offerExpiresAfterSeconds": 300, "name": "Main"}
    await examples.upsert("distributionPolicies", "policy", body, body, 201)
    former = {**body, "mode": {**mode, "kind": "longest-idle"}}
    await examples.upsert("distributionPolicies", "policy", former, body, 200)
    await examples.listed("distributionPolicies", {"maxpagesize": 2}, ["policy", "MainDistributionPolicy"])
    await examples.gone("distributionPolicies", "policy")


@versions
async def test_classification_policies(examples: Examples) -> None:
    condition = {"language": "powerFx", "expression": "1 = 1"}
    selectors = [{"key": "foo", "labelOperator": "equal", "value": "bar"}]

    def policy(rule: str, static: str) -> dict[str, Any]:
        attachment = {"kind": "conditional", "condition": {"kind": rule, **condition}, "queueSelectors": selectors}
        return {
            "name": "Main",
            "fallbackQueueId": examples.id("MainQueue"),
            "queueSelectorAttachments": [attachment],
            "prioritizationRule": {"kind": static, "value": "2"},
        }

    answer = {**policy("expression", "static"), "workerSelectorAttachments": []}
    await examples.upsert("classificationPolicies", "policy", policy("expression-rule", "static-rule"), answer, 201)
    renamed = {**answer, "name": "MainUpdate"}
    await examples.upsert("classificationPolicies", "policy", {"name": "MainUpdate"}, renamed, 200)
    await examples.listed("classificationPolicies", {"maxpagesize": 2}, ["policy", "Main"])
    await examples.gone("classificationPolicies", "policy")


@versions
async def test_exception_policies(examples: Examples) -> None:
    action = {
        "kind": "reclassify",
        "classificationPolicyId": examples.id("Main"),
        "labelsToUpsert": {"escalated": True},
    }

    def policy(name: str, trigger: str, **own: Any) -> dict[str, Any]:
        rule = {"id": "MaxWaitTimeExceeded", "trigger": {"kind": trigger, "thresholdSeconds": 20}}
        return {"name": name, "exceptionRules": [{**rule, "actions": [{**action, **own}]}]}

    for name, status in (("Main", 201), ("Main test", 200)):
        answer = policy(name, "waitTime", id=ANY)
        await examples.upsert("exceptionPolicies", "policy", policy(name, "wait-time"), answer, status)
    await examples.listed("exceptionPolicies", {"maxpagesize": 2}, ["policy", "MainExceptionPolicy"])
    await examples.gone("exceptionPolicies", "policy")


@versions
async def test_queues(examples: Examples) -> None:
    names = {
        "distributionPolicyId": examples.id("MainDistributionPolicy"),
        "exceptionPolicyId": examples.id("MainExceptionPolicy"),
    }
    answer = {"name": "Main", "labels": {"Id": examples.id("queue")}, **names}
    await examples.upsert("queues", "queue", {"name": "Main", "labels": {}, **names}, answer, 201)
    await examples.upsert("queues", "queue", {"name": "Main2"}, {**answer, "name": "Main2"}, 200)
    await examples.listed("queues", {"maxpagesize": 3}, ["queue", "SecondaryQueue", "MainQueue"])
    path = f"/routing/queues/{examples.id('queue')}/statistics"
    statistics = (await examples.wire.get(path, version=examples.version)).expect(200)
    same(statistics, {"queueId": examples.id("queue"), "length": 0, "estimatedWaitTimeMinutes": ANY})
    await examples.gone("queues", "queue")


@versions
async def test_workers(examples: Examples) -> None:
    queue = examples.id("MainQueue")
    body = {
        "capacity": 10,
        "queues": [queue],
        "labels": {},
        "tags": {},
        "channels": CHANNELS,
        "availableForOffers": False,
    }
    labels = {"Id": examples.id("worker")}
    answer = {**WORKER, **body, "labels": labels, "state": "inactive"}
    await examples.upsert("workers", "worker", body, answer, 201)
    both = [queue, examples.id("SecondaryQueue")]
    await examples.upsert("workers", "worker", {**body, "queues": both}, {**answer, "queues": both}, 200)
    active = {**answer, "queues": both, "availableForOffers": True, "state": "active"}
    await examples.upsert("workers", "worker", {"availableForOffers": True, "capacity": 10}, active, 200)
    inactive = {**active, "availableForOffers": False, "state": "inactive"}
    for _ in ("an active one", "an inactive one"):
        await examples.upsert("workers", "worker", {"availableForOffers": False, "capacity": 10}, inactive, 200)
    for name in ("SecondWorker", "DefaultWorker"):
        big = {"capacity": 100, "queues": both, "channels": BIG_CHANNELS, "availableForOffers": True}
        there = {**WORKER, **big, "labels": {"Id": examples.id(name)}, "state": "active"}
        await examples.upsert("workers", name, big, there, 201)
    query = {"state": "active", "channelId": "CustomChatChannel", "hasCapacity": "true", "queueId": queue}
    await examples.listed("workers", query, ["DefaultWorker", "SecondWorker"])
    await examples.listed("workers", {"maxpagesize": 3}, ["DefaultWorker", "SecondWorker", "worker"])
    for name in ("worker", "DefaultWorker", "SecondWorker"):
        await examples.gone("workers", name)


@versions
async def test_jobs_that_come_and_change(examples: Examples) -> None:
    queue = examples.id("MainQueue")
    body = {
        "channelId": "CustomChatChannel",
        "channelReference": REFERENCE,
        "queueId": queue,
        "priority": 5,
        "requestedWorkerSelectors": [SELECTOR],
        "labels": {},
    }
    asked = [{**SELECTOR, "expedite": False, "status": "active"}]
    answer = {**JOB, **body, "requestedWorkerSelectors": asked}
    path = f"/routing/jobs/{examples.id('JobId')}"
    created = await examples.wire.patch(
        path, {**body, "matchingMode": {"kind": "queueAndMatch"}}, version=examples.version
    )
    same(created.expect(201), {"id": examples.id("JobId"), "etag": ANY, "status": "created", **answer})

    async def queued() -> bool:
        return bool((await examples.wire.get(path)).body["status"] == "queued")

    await eventually_async(queued)
    there = {**answer, "status": "queued", "enqueuedAt": ANY, "channelReference": "another"}
    await examples.upsert("jobs", "JobId", {"channelReference": "another"}, there, 200)
    mode = {"kind": "scheduleAndSuspend", "scheduleAt": "2100-05-26T23:22:12.077422+00:00"}
    sent = {**mode, "kind": "schedule-and-suspend", "scheduleAt": "2100-05-26T23:22:12.0774222+00:00"}
    scheduled = await examples.wire.patch(
        f"/routing/jobs/{examples.id('later')}", {**body, "matchingMode": sent}, version=examples.version
    )
    expected = {**answer, "id": examples.id("later"), "etag": ANY, "status": "pendingSchedule", "matchingMode": mode}
    same(scheduled.expect(201), expected)
    position = (await examples.wire.get(f"{path}/position", version=examples.version)).expect(200)
    beyond = {"estimatedWait", "estimatedWaitUnknown"}  # clients ignore what is ours
    same(
        {name: value for name, value in position.items() if name not in beyond},
        {
            "jobId": examples.id("JobId"),
            "position": 1,
            "queueId": queue,
            "queueLength": 1,
            "estimatedWaitTimeMinutes": ANY,
        },
    )
    query = {"status": "active", "queueId": queue, "channelId": "", "maxpagesize": 2}
    page = (await examples.wire.get("/routing/jobs", query=query, version=examples.version)).expect(200)
    assert [one["id"] for one in page["value"]] == [examples.id("later"), examples.id("JobId")]
    assert "nextLink" not in page
    options = {"note": "Cancelling job.", "dispositionCode": "JobCancelledByUser"}
    for name in ("JobId", "later"):
        cancelled = await examples.post(f"/routing/jobs/{examples.id(name)}:cancel", options)
        assert cancelled.expect(200) == {}
        await examples.gone("jobs", name)


@versions
async def test_a_job_that_is_classified_again(examples: Examples) -> None:
    path = f"/routing/jobs/{examples.id('job')}"
    body = {"channelId": "CustomChatChannel", "classificationPolicyId": examples.id("Main")}
    (await examples.wire.patch(path, body, version=examples.version)).expect(201)
    assert (await examples.post(f"{path}:reclassify", {})).expect(200) == {}


@versions
async def test_offers_and_assignments(examples: Examples) -> None:
    queue = examples.id("MainQueue")
    worker, job = (f"/routing/{kind}/{examples.id('x')}" for kind in ("workers", "jobs"))
    body = {"capacity": 100, "queues": [queue], "channels": BIG_CHANNELS, "availableForOffers": True}
    (await examples.wire.patch(worker, body, version=examples.version)).expect(201)
    (await examples.wire.patch(job, {"channelId": "CustomChatChannel", "queueId": queue})).expect(201)

    async def offer() -> str | None:
        offers = (await examples.wire.get(worker)).body["offers"]
        return offers[0]["offerId"] if offers else None

    declined = await eventually_async(offer)
    options = {"retryOfferAt": "2023-05-26T00:00:00.0000000Z"}
    assert (await examples.post(f"{worker}/offers/{declined}:decline", options)).expect(200) == {}

    async def accept() -> str:
        answer = (await examples.post(f"{worker}/offers/{await eventually_async(offer)}:accept")).expect(200)
        same(answer, {"assignmentId": ANY, "jobId": examples.id("x"), "workerId": examples.id("x")})
        return f"{job}/assignments/{answer['assignmentId']}"

    unassigned = (await examples.post(f"{await accept()}:unassign", {"suspendMatching": False})).expect(200)
    same(unassigned, {"jobId": examples.id("x"), "unassignmentCount": 1})
    assignment = await accept()
    assert (await examples.post(f"{assignment}:complete", {"note": "Completed"})).expect(200) == {}
    options = {"dispositionCode": "JobCompleted.", "note": "Closing job"}
    assert (await examples.post(f"{assignment}:close", options)).expect(200) == {}
    await examples.gone("jobs", "x")
