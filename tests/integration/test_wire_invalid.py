"""What is refused changes nothing, and everything wrong is named at once (docs/behaviour.md, "Requests" and "Errors")."""

from __future__ import annotations

from typing import Any

import pytest

from router.models.operations import OPERATIONS
from tests.conftest import StartRouter
from tests.eventually import eventually_async
from tests.raw_wire import RawWire


async def _live(wire: RawWire) -> tuple[dict[str, str], list[str]]:
    """Every action on something that is there and in the state for it, by its name; and what it could change."""
    queue = await wire.queue()
    policy = (await wire.make("ClassificationPolicy", {"fallbackQueueId": queue})).rpartition("/")[2]
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    worker = await wire.worker(queue, capacity=3, channels=channels, availableForOffers=True)

    async def offer(job: str) -> str:
        async def offered() -> str | None:
            offers = (await wire.get(worker)).expect(200)["offers"]
            return next((one["offerId"] for one in offers if one["jobId"] == job.rpartition("/")[2]), None)

        found: str = await eventually_async(offered, "an offer")
        return f"{worker}/offers/{found}"

    assignments, jobs = [], []
    for _ in range(2):
        jobs.append(await wire.job(queue))
        accepted = (await wire.post(f"{await offer(jobs[-1])}:accept")).expect(200)
        assignments.append(f"{jobs[-1]}/assignments/{accepted['assignmentId']}")
    (await wire.post(f"{assignments[1]}:complete")).expect(200)
    jobs.append(await wire.job(queue))
    offered = await offer(jobs[-1])
    suspended = await wire.job(queue, classificationPolicyId=policy, matchingMode={"kind": "suspend"})

    async def rests() -> bool:
        found = (await wire.get(worker)).expect(200)
        return len(found["assignedJobs"]) == 2 and len(found["offers"]) == 1

    await eventually_async(rests, "the worker has two assignments and an offer")
    actions = {
        "accept": offered, "decline": offered, "complete": assignments[0], "unassign": assignments[0], "close": assignments[1],
        "cancel": suspended, "reclassify": suspended,
    }  # fmt: skip
    return actions, [worker, suspended, *jobs]


async def test_no_action_is_carried_out_with_a_body_that_is_refused(wire: RawWire) -> None:
    actions, paths = await _live(wire)
    assert set(actions) == {one.route.rpartition(":")[2] for one in OPERATIONS if one.method == "POST"}

    async def read() -> list[Any]:
        return [(await wire.get(path)).expect(200) for path in paths]

    before = await read()
    for action, path in actions.items():
        (await wire.post(f"{path}:{action}", b"{bad")).refused(400, "InvalidJson")
        (await wire.post(f"{path}:{action}", b'{"a": 1}', headers={"Content-Type": "text/plain"})).refused(
            415, "UnsupportedMediaType"
        )
        (await wire.post(f"{path}:{action}", [])).refused(400, "BadRequest")
        assert await read() == before, action
    for action in ("accept", "complete", "close", "cancel"):
        (await wire.post(f"{actions[action]}:{action}", b'{"unknown": 1}')).expect(200)


async def test_everything_that_is_wrong_is_named_at_once(wire: RawWire) -> None:
    """What fields hold, rules, references and times: nobody has to send a request twice to learn of the second."""
    none, queue = wire.id("none"), await wire.queue()
    past = {"kind": "scheduleAndSuspend", "scheduleAt": "2020-01-01T00:00:00Z"}
    voice = {"channelId": "voice", "capacityCostPerJob": 1}
    many = {str(number): number for number in range(100)}
    expression = {"kind": "expression", "expression": "1 +"}
    for container, body, targets in (
        ("workers", {"capacity": 0, "queues": [queue, none, 5]}, {"capacity", "queues[1]", "queues[2]"}),
        ("workers", {"capacity": 0, "QUEUES": [none]}, {"capacity", "queues[0]"}),
        ("workers", {"capacity": 1, "queues": [none, none]}, {"queues[0]", "queues[1]"}),
        ("workers", {"capacity": 0, "queues": [none] * 201}, {"capacity", "queues"}),
        ("workers", {"capacity": 1, "channels": [voice, {**voice, "capacityCostPerJob": 0}]}, {"channels", "channels[1].capacityCostPerJob"}),
        ("workers", {"capacity": 1, "labels": {**many, "a": []}}, {"labels", "labels.a"}),
        ("jobs", {"channelId": "c", "queueId": none, "matchingMode": past}, {"queueId", "matchingMode.scheduleAt"}),
        ("jobs", {"channelId": 5, "queueId": queue, "classificationPolicyId": none}, {"channelId", "classificationPolicyId"}),
        ("jobs", {"channelId": "c", "queueId": "\u0001", "classificationPolicyId": none}, {"queueId", "classificationPolicyId"}),
        ("jobs", {"priority": 1.5, "matchingMode": past}, {"channelId", "queueId", "priority", "matchingMode.scheduleAt"}),
        ("queues", {"distributionPolicyId": none, "exceptionPolicyId": none, "labels": {"a": []}},
         {"distributionPolicyId", "exceptionPolicyId", "labels.a"}),
        ("queues", {"exceptionPolicyId": none}, {"distributionPolicyId", "exceptionPolicyId"}),
        ("classificationPolicies", {"name": 1, "prioritizationRule": expression}, {"name", "prioritizationRule.expression"}),
        ("distributionPolicies", {"name": 1, "mode": {"kind": "bestWorker", "scoringRule": {"kind": "function", "functionUri": "ftp://x"}}},
         {"name", "mode.scoringRule.functionUri"}),
    ):  # fmt: skip
        path = f"/routing/{container}/{wire.id()}"
        error = (await wire.patch(path, body)).refused(400, "BadRequest")
        found = [detail["target"] for detail in error["details"]]
        assert sorted(found) == sorted(targets), body
        (await wire.get(path)).refused(404, "NotFound")


async def test_references_that_are_kept_are_not_looked_at_again(wire: RawWire) -> None:
    """An exception policy does not keep the queue that an action of it names."""
    queue = await wire.queue()
    path = await wire.make(
        "ExceptionPolicy", {"exceptionRules": [_rule({"kind": "manualReclassify", "queueId": queue})]}
    )
    (await wire.delete(f"/routing/queues/{queue}")).expect(204)
    error = (await wire.patch(path, {"name": 5})).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["name"]
    (await wire.patch(path, {"name": "n"})).expect(200)


def _rule(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": 10}, "actions": list(actions)}


async def test_what_exception_actions_and_fallbacks_name_must_exist(wire: RawWire) -> None:
    actions: list[dict[str, Any]] = [
        {"kind": "reclassify", "classificationPolicyId": "gone"},
        {"kind": "manualReclassify", "queueId": "gone-too", "priority": 101},
        {"kind": "manualReclassify", "queueId": await wire.queue(), "priority": -100},
        {"kind": "reclassify"},
        {"kind": "cancel"},
    ]
    path = f"/routing/exceptionPolicies/{wire.id()}"
    error = (await wire.patch(path, {"exceptionRules": [_rule(*actions)]})).refused(400, "BadRequest")
    assert [(one["code"], one["target"]) for one in error["details"]] == [
        ("InvalidValue", "exceptionRules[0].actions[1].priority"),
        ("ClassificationPolicyNotFound", "exceptionRules[0].actions[0].classificationPolicyId"),
        ("QueueNotFound", "exceptionRules[0].actions[1].queueId"),
    ]
    assert "'gone'" in error["details"][1]["message"]
    (await wire.get(path)).refused(404, "NotFound")
    (await wire.patch(path, {"exceptionRules": [_rule(*actions[2:])]})).expect(201)
    error = (await wire.patch(f"/routing/classificationPolicies/{wire.id()}", {"fallbackQueueId": "gone"})).refused(
        400, "BadRequest"
    )
    assert [(one["code"], one["target"]) for one in error["details"]] == [("QueueNotFound", "fallbackQueueId")]
    assert "'gone'" in error["details"][0]["message"]


@pytest.mark.parametrize(("priority", "fine"), [(-101, False), (-100, True), (0, True), (100, True), (101, False)])
async def test_priorities_that_clients_may_give(wire: RawWire, priority: int, fine: bool) -> None:
    body = {"channelId": "c", "queueId": await wire.queue(), "priority": priority, "matchingMode": {"kind": "suspend"}}
    answer = await wire.patch(f"/routing/jobs/{wire.id()}", body)
    if fine:
        assert answer.expect(201)["priority"] == priority
    else:
        assert [one["target"] for one in answer.refused(400, "BadRequest")["details"]] == ["priority"]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "not a uri",
        "ftp://x",
        "http://f.example/",
        "http://169.254.169.254/x",
        "https://me:pw@f.example/",
        "https://f:0/",
    ],
)
async def test_a_rule_that_no_call_could_use_is_not_saved(wire: RawWire, uri: str) -> None:
    path = f"/routing/classificationPolicies/{wire.id()}"
    for field, rule in (
        ("functionUri", {"kind": "function", "functionUri": uri}),
        ("webhookUri", {"kind": "webhook", "webhookUri": uri}),
        (
            "authorizationServerUri",
            {"kind": "webhook", "webhookUri": "https://w.example", "authorizationServerUri": uri},
        ),
    ):
        error = (await wire.patch(path, {"prioritizationRule": rule})).refused(400, "BadRequest")
        assert [detail["target"] for detail in error["details"]] == [f"prioritizationRule.{field}"]
        (await wire.get(path)).refused(404, "NotFound")


async def test_http_on_loopback_is_a_setting(wire: RawWire, start_router: StartRouter) -> None:
    body = {"prioritizationRule": {"kind": "function", "functionUri": "http://127.0.0.1:9/api"}}
    (await wire.patch(f"/routing/classificationPolicies/{wire.id()}", body)).expect(201)  # `make start` sets it
    strict = start_router(environment={"ROUTER_RULES_ALLOW_HTTP_LOOPBACK": "false"})
    async with RawWire(strict.port, strict.key) as other:
        path = f"/routing/classificationPolicies/{other.id()}"
        error = (await other.patch(path, body)).refused(400, "BadRequest")
        assert [detail["target"] for detail in error["details"]] == ["prioritizationRule.functionUri"]


async def test_a_field_that_is_refused_leaves_the_others_unwritten(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    before = (await wire.get(path)).expect(200)
    answer = await wire.patch(path, {"capacity": 7, "labels": {"a": 1}, "channels": [{"channelId": "v"}]})
    assert [detail["target"] for detail in answer.refused(400, "BadRequest")["details"]] == [
        "channels[0].capacityCostPerJob"
    ]
    assert (await wire.get(path)).expect(200) == before
