"""Ids, and the limits on what is accepted (docs/behaviour.md, "Ids")."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.raw_wire import CONTAINERS, RawWire, segment

ODD = [
    "with space", " ", "#", "?", "100%", "%2F", "%", "a%20b", "back\\slash", "quote'double\"", "tilde~bang!(round)*",
    "plus+and&equals=semi;comma,", "@$[square]{curly}|^`", "Zürich 東京 😀", "a:b", "x:cancel", ":cancel", ":", "a/b", "/", "//",
    "...", ".a", "<tag>", "e\u0301", "\u00e9", "\u00a0", "\u2028", "\ufeff", "\U0010ffff", "_", "-", "'", "$", "a'b''c",
]  # fmt: skip


async def life(wire: RawWire, id: str) -> None:
    """A worker and a job of that id, through every kind of path."""
    path = f"/routing/workers/{segment(id)}"
    created = (await wire.patch(path, {"capacity": 1})).expect(201)
    assert created["id"] == created["labels"]["Id"] == id
    assert (await wire.get(path)).expect(200) == created
    assert (await wire.delete(path)).status == 204
    (await wire.get(path)).refused(404, "NotFound")

    queue = (await wire.make("Queue", {"distributionPolicyId": await wire.policy()}, id)).rpartition("/")[2]
    job = await wire.make("Job", {"channelId": id, "queueId": id, "matchingMode": {"kind": "suspend"}}, id)
    assert (await wire.get(f"/routing/queues/{queue}/statistics")).expect(200)["queueId"] == id
    (await wire.get(f"{job}/position")).refused(409, "Conflict")
    listed = (await wire.get("/routing/jobs", query={"queueId": id, "channelId": id})).expect(200)["value"]
    assert [one["id"] for one in listed] == [id]
    (await wire.post(f"{job}/assignments/{segment(id)}:complete")).refused(404, "NotFound")
    assert (await wire.post(f"{job}:cancel")).expect(200) == {}
    assert (await wire.delete(job)).status == 204
    assert (await wire.delete(f"/routing/queues/{queue}")).status == 204


async def test_ids_of_any_letters(wire: RawWire) -> None:
    await asyncio.gather(*(life(wire, f"{wire.run}{odd}{wire.run}") for odd in ODD))


async def test_ids_that_are_nothing_but_odd_letters(wire: RawWire) -> None:
    for odd in (" ", "#", "%", "'", "…", ":", "/", "\\", "?", "...", "😀"):
        path = f"/routing/workers/{segment(odd)}"
        assert (await wire.patch(path, {"capacity": 1})).body["id"] == odd
        assert (await wire.get(path)).expect(200)["id"] == odd
        assert (await wire.delete(path)).status == 204


async def test_an_id_is_decoded_once(wire: RawWire) -> None:
    await wire.make("Worker", {"capacity": 1}, f"{wire.run}%20")
    (await wire.get(f"/routing/workers/{wire.run}%20")).refused(404, "NotFound")
    (await wire.get(f"/routing/workers/{wire.run}%2520")).expect(200)


async def test_encodings_of_one_id_are_one_id(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1}, f"{wire.run}a:b~!")
    same = {f"/routing/workers/{wire.run}{tail}" for tail in ("a:b~!", "a%3Ab%7E%21", "a%3ab%7e%21", "%61:%62~!")} | {
        path
    }
    for one in same:
        (await wire.get(one)).expect(200)


async def test_ids_are_case_sensitive_and_distinct(wire: RawWire) -> None:
    for id in ("Case", "case", "é", "e\u0301", "a b", "a+b"):
        await wire.make("Worker", {"capacity": 1}, f"{wire.run}{id}")
    (await wire.get(f"/routing/workers/{wire.run}CASE")).refused(404, "NotFound")


async def test_in_a_post_the_action_is_what_follows_the_last_colon(wire: RawWire) -> None:
    queue = await wire.queue()
    for id in (f"{wire.run}x:cancel", f"{wire.run}x:reclassify:", f"{wire.run}:unknown"):
        job = await wire.make("Job", {"channelId": "v", "queueId": queue, "matchingMode": {"kind": "suspend"}}, id)
        plain = f"/routing/jobs/{id}"  # the colon of the id not encoded either
        (await wire.get(plain)).expect(200)
        assert (await wire.post(f"{plain}:cancel")).expect(200) == {}
        assert (await wire.get(job)).expect(200)["status"] == "cancelled"


@pytest.mark.parametrize("id", ["\x01", "\n", "a\tb", "\x7f", "\x85", "x" * 257, "%FF", "%C3", "%ED%A0%80"])
@pytest.mark.parametrize("method", ["PATCH", "GET", "DELETE"])
async def test_ids_that_are_refused(wire: RawWire, id: str, method: str) -> None:
    encoded = id if id.startswith("%") else segment(id)
    answer = await wire.send(method, f"/routing/workers/{encoded}", {"capacity": 1} if method == "PATCH" else None)
    error = answer.refused(400, "BadRequest")
    assert error["details"][0]["code"] == "InvalidId"
    assert error["details"][0]["target"] == "workerId"


@pytest.mark.parametrize("id", ["%2E", "%2e%2E", "%2E."])
async def test_dots_are_no_ids(wire: RawWire, id: str) -> None:
    for method in ("GET", "DELETE"):
        # The platform takes some of them out of the path before the router sees it.
        # What is left is not what was signed.
        answer = await wire.send(method, f"/routing/workers/{id}")
        assert answer.status in (400, 401, 404)
        error = answer.error
        if error["code"] == "Unauthorized":
            assert error["details"][0]["code"] == "SignatureMismatch"
        elif error["code"] == "NotFound":
            assert error["message"].startswith("Route"), "no worker was looked for"
        else:
            assert error["details"][0]["code"] == "InvalidId"


async def test_a_zero_byte_does_not_pass_the_platform(wire: RawWire) -> None:
    assert (await wire.get("/routing/workers/a%00b")).status == 400


async def test_the_longest_id(wire: RawWire) -> None:
    await life(wire, (wire.run + "é" * 256)[:256])


@pytest.mark.parametrize("field", ["queueId", "classificationPolicyId", "channelId"])
@pytest.mark.parametrize("id", ["", ".", "a\0", "x" * 257, 5, True, [], "\ud800"])
async def test_ids_in_a_body(wire: RawWire, field: str, id: Any) -> None:
    body = {"channelId": "v", "queueId": await wire.queue(), field: id}
    error = (await wire.patch(f"/routing/jobs/{wire.id()}", body)).error
    if id == "\ud800":  # half a character is no JSON either
        assert error["code"] == "InvalidJson"
    else:
        assert [detail["target"] for detail in error["details"]] == [field]


@pytest.mark.parametrize("field", ["labels", "tags"])
async def test_labels_and_tags(wire: RawWire, field: str) -> None:
    fine = {"s": "", "i": -5, "f": 1.5, "t": True, "f2": False, "big": 2**53, " key ": "é", "x" * 256: "y" * 16_384}
    path = await wire.make("Worker", {"capacity": 1, field: fine})
    found = (await wire.get(path)).expect(200)[field]
    assert {key: found[key] for key in fine} == fine
    assert isinstance(found["t"], bool)
    assert not isinstance(found["i"], bool)
    for bad in ([1], {"a": 1}, "y" * 16_385, 10**400, 2**64):
        answer = await wire.patch(path, {field: {"bad": bad}})
        assert answer.status == 400, bad
        assert answer.error["code"] in ("BadRequest", "InvalidJson")
    for key in ("", "x" * 257):
        (await wire.patch(path, {field: {key: 1}})).refused(400, "BadRequest")
    hundred = {str(number): number for number in range(100)}
    (await wire.patch(await wire.make("Worker", {"capacity": 1}), {field: hundred})).expect(200)
    over = await wire.patch(await wire.make("Worker", {"capacity": 1}), {field: {**hundred, "one more": 1}})
    over.refused(400, "BadRequest")
    (await wire.patch(path, {field: "text"})).refused(400, "BadRequest")


@pytest.mark.parametrize("priority", [2**31, -(2**31) - 1, 1.5, 1.0, "1", True, 10**30, 1e10, None])
async def test_a_priority_is_an_int32(wire: RawWire, priority: Any) -> None:
    body = {"channelId": "v", "queueId": await wire.queue(), "priority": priority, "matchingMode": {"kind": "suspend"}}
    answer = await wire.patch(f"/routing/jobs/{wire.id()}", body)
    if priority is None:  # null removes: what is left is the default
        assert answer.expect(201)["priority"] == 1
        return
    error = answer.refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["priority"]


@pytest.mark.parametrize("priority", [100, -100, 0])
async def test_the_ends_of_the_range_of_priorities(wire: RawWire, priority: int) -> None:
    job = await wire.job(await wire.queue(), priority=priority, matchingMode={"kind": "suspend"})
    assert (await wire.get(job)).expect(200)["priority"] == priority


@pytest.mark.parametrize(
    ("kind", "body", "targets"),
    [
        ("Worker", {}, ["capacity"]),
        ("Worker", {"capacity": 0}, ["capacity"]),
        ("Worker", {"capacity": 2**31}, ["capacity"]),
        ("Worker", {"capacity": 1, "availableForOffers": "yes", "queues": "q"}, ["availableForOffers", "queues"]),
        ("Worker", {"capacity": 1, "channels": [{"channelId": "v", "capacityCostPerJob": 0}]}, ["channels[0].capacityCostPerJob"]),
        ("Worker", {"capacity": 1, "channels": [{"channelId": "v", "capacityCostPerJob": 1}] * 2}, ["channels"]),
        ("Worker", {"capacity": 1, "queues": ["no such queue"]}, ["queues[0]"]),
        ("DistributionPolicy", {}, ["mode"]),
        ("DistributionPolicy", {"mode": {}}, ["mode.kind"]),
        ("DistributionPolicy", {"mode": {"kind": "best"}}, ["mode.kind"]),
        ("DistributionPolicy", {"mode": {"kind": "roundRobin"}, "offerExpiresAfterSeconds": 0}, ["offerExpiresAfterSeconds"]),
        ("DistributionPolicy", {"mode": {"kind": "roundRobin"}, "offerExpiresAfterSeconds": "60"}, ["offerExpiresAfterSeconds"]),
        ("DistributionPolicy", {"mode": {"kind": "roundRobin", "minConcurrentOffers": 2}}, ["mode.maxConcurrentOffers"]),
        ("DistributionPolicy", {"mode": {"kind": "roundRobin", "minConcurrentOffers": 0}}, ["mode.minConcurrentOffers"]),
        ("ClassificationPolicy", {"prioritizationRule": {"kind": "expression"}}, ["prioritizationRule.expression"]),
        ("ClassificationPolicy", {"workerSelectorAttachments": [{"kind": "static"}]}, ["workerSelectorAttachments[0].workerSelector"]),
        ("ClassificationPolicy", {"name": 5, "queueSelectorAttachments": {}}, ["name", "queueSelectorAttachments"]),
        ("ExceptionPolicy", {"exceptionRules": [{"id": "r"}]}, ["exceptionRules[0].actions", "exceptionRules[0].trigger"]),
        ("Queue", {}, ["distributionPolicyId"]),
        ("Queue", {"distributionPolicyId": "none such", "exceptionPolicyId": "none"}, ["distributionPolicyId", "exceptionPolicyId"]),
        ("Job", {}, ["channelId", "queueId"]),
        ("Job", {"channelId": "v"}, ["queueId"]),
        ("Job", {"channelId": "v", "queueId": "none such"}, ["queueId"]),
        ("Job", {"channelId": "v", "classificationPolicyId": "none such"}, ["classificationPolicyId"]),
        ("Job", {"channelId": "v", "queueId": "q", "notes": [{}], "matchingMode": {"kind": "x"}}, ["matchingMode.kind", "notes[0].message", "queueId"]),
        ("Job", {"channelId": "v", "queueId": "q", "requestedWorkerSelectors": [{"labelOperator": "is"}]},
         ["queueId", "requestedWorkerSelectors[0].key", "requestedWorkerSelectors[0].labelOperator"]),
    ],
)  # fmt: skip
async def test_every_invalid_field_is_named(wire: RawWire, kind: str, body: dict[str, Any], targets: list[str]) -> None:
    path = f"/routing/{CONTAINERS[kind]}/{wire.id()}"
    error = (await wire.patch(path, body)).refused(400, "BadRequest")
    assert sorted(detail["target"] for detail in error["details"]) == targets
    assert all(detail["message"] and detail["code"] for detail in error["details"])
    (await wire.get(path)).refused(404, "NotFound")


async def test_a_schedule_must_lie_in_the_future(wire: RawWire) -> None:
    body = {"channelId": "v", "queueId": await wire.queue()}
    mode = {"kind": "scheduleAndSuspend", "scheduleAt": "2020-01-01T00:00:00Z"}
    error = (await wire.patch(f"/routing/jobs/{wire.id()}", {**body, "matchingMode": mode})).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["matchingMode.scheduleAt"]
    assert "2020-01-01" in error["message"]


async def test_every_expression_that_does_not_compile_is_named(wire: RawWire) -> None:
    bad, good = {"kind": "expression", "expression": "If(job.Vip = , 1"}, {"kind": "expression", "expression": "true"}
    attachments = [
        {"kind": "conditional", "condition": good, "queueSelectors": []},
        {"kind": "conditional", "condition": bad, "queueSelectors": []},
        {"kind": "ruleEngine", "rule": {"kind": "static", "value": bad}},
    ]
    path = f"/routing/classificationPolicies/{wire.id()}"
    error = (await wire.patch(path, {"prioritizationRule": bad, "queueSelectorAttachments": attachments})).refused(
        400, "BadRequest"
    )
    assert {(detail["code"], detail["target"]) for detail in error["details"]} == {
        ("InvalidExpression", "prioritizationRule.expression"),
        ("InvalidExpression", "queueSelectorAttachments[1].condition.expression"),
    }
    (await wire.get(path)).refused(404, "NotFound")
