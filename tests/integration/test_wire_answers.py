"""What the answer makes of what was sent: defaults, labels, ids of actions, secrets (docs/behaviour.md, "Answers")."""

from __future__ import annotations

import re
from typing import Any

from tests.raw_wire import RawWire

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


async def test_the_label_id_is_the_routers(wire: RawWire) -> None:
    path = f"/routing/workers/{wire.id('worker')}"
    created = (await wire.patch(path, {"capacity": 1, "labels": {"Id": "mine", "id": "kept"}})).expect(201)
    assert created["labels"] == {"Id": created["id"], "id": "kept"}
    changed = (await wire.patch(path, {"labels": {"Id": None}})).expect(200)
    assert changed["labels"] == created["labels"]


async def test_a_new_worker_in_full(wire: RawWire) -> None:
    worker = wire.id("worker")
    created = (await wire.patch(f"/routing/workers/{worker}", {"capacity": 2})).expect(201)
    etag = created.pop("etag")
    assert etag
    assert created == {
        "id": worker,
        "state": "inactive",
        "queues": [],
        "capacity": 2,
        "labels": {"Id": worker},
        "tags": {},
        "channels": [],
        "offers": [],
        "assignedJobs": [],
        "loadRatio": 0.0,
    }  # availableForOffers was not set


async def test_a_new_job_in_full(wire: RawWire) -> None:
    queue, job = await wire.queue(), wire.id("job")
    selector = {"key": "a", "labelOperator": "equal", "value": "x"}
    body = {"channelId": "voice", "queueId": queue, "requestedWorkerSelectors": [selector]}
    created = (await wire.patch(f"/routing/jobs/{job}", body)).expect(201)
    created.pop("etag")
    assert created == {
        "id": job,
        "status": "created",
        "channelId": "voice",
        "queueId": queue,
        "priority": 1,
        "requestedWorkerSelectors": [{**selector, "expedite": False, "status": "active"}],
        "attachedWorkerSelectors": [],
        "labels": {},
        "assignments": {},
        "tags": {},
        "notes": [],
        "matchingMode": {"kind": "queueAndMatch"},
    }


async def test_new_policies_in_full(wire: RawWire) -> None:
    def without_ids(body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name not in ("etag", "id")}

    id = wire.id()
    distribution = await wire.patch(f"/routing/distributionPolicies/{id}", {"mode": {"kind": "roundRobin"}})
    mode = {"kind": "roundRobin", "minConcurrentOffers": 1, "maxConcurrentOffers": 1, "bypassSelectors": False}
    assert without_ids(distribution.expect(201)) == {"offerExpiresAfterSeconds": 60.0, "mode": mode}
    classification = await wire.patch(f"/routing/classificationPolicies/{id}", {})
    assert without_ids(classification.expect(201)) == {"queueSelectorAttachments": [], "workerSelectorAttachments": []}
    exception = await wire.patch(f"/routing/exceptionPolicies/{id}", {})
    assert without_ids(exception.expect(201)) == {"exceptionRules": []}
    queue = await wire.patch(f"/routing/queues/{id}", {"distributionPolicyId": id})
    assert without_ids(queue.expect(201)) == {"distributionPolicyId": id, "labels": {"Id": id}}


async def test_what_was_sent_comes_back_key_for_key(wire: RawWire) -> None:
    channel = {"channelId": "voice", "capacityCostPerJob": 1}
    path = await wire.worker(channels=[channel])
    assert (await wire.get(path)).expect(200)["channels"] == [channel]


async def test_a_policys_selectors_start_no_clock(wire: RawWire) -> None:
    selector = {"key": "a", "labelOperator": "equal", "value": True, "expiresAfterSeconds": 30}
    body = {
        "workerSelectorAttachments": [
            {"kind": "static", "workerSelector": selector},
            {
                "kind": "conditional",
                "condition": {"kind": "expression", "expression": "true"},
                "workerSelectors": [selector],
            },
        ],
        "queueSelectorAttachments": [
            {"kind": "static", "queueSelector": {"key": "Id", "labelOperator": "equal", "value": "q"}}
        ],
    }
    found = (await wire.get(await wire.make("ClassificationPolicy", body))).expect(200)
    answered = {**selector, "expiresAfterSeconds": 30.0, "expedite": False, "status": "active"}
    static, conditional = found["workerSelectorAttachments"]
    assert static["workerSelector"] == answered
    assert conditional["workerSelectors"] == [answered]
    assert conditional["condition"] == {"kind": "expression", "language": "powerFx", "expression": "true"}
    assert found["queueSelectorAttachments"] == body["queueSelectorAttachments"]


async def test_exception_actions_get_an_id_that_is_new_on_each_write(wire: RawWire) -> None:
    queue = await wire.queue()
    rule = {
        "id": "r",
        "trigger": {"kind": "waitTime", "thresholdSeconds": 10},
        "actions": [
            {"kind": "manualReclassify", "queueId": queue},
            {"kind": "cancel", "id": "mine"},
            {"kind": "reclassify"},
        ],
    }
    path = await wire.make("ExceptionPolicy", {"exceptionRules": [rule]})

    async def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await wire.get(path)).expect(200)["exceptionRules"][0]["actions"]
        return found

    first = await read()
    assert all(GUID.fullmatch(action["id"]) for action in first)
    assert first[0] == {"kind": "manualReclassify", "id": first[0]["id"], "queueId": queue, "workerSelectors": []}
    assert first[2] == {"kind": "reclassify", "id": first[2]["id"], "labelsToUpsert": {}}
    (await wire.patch(path, {"exceptionRules": [rule]})).expect(200)
    assert await read() == first  # nothing changed, nothing was written
    (await wire.patch(path, {"name": "another"})).expect(200)
    assert not {action["id"] for action in first} & {action["id"] for action in await read()}


async def test_the_value_of_a_static_rule_is_untouched(wire: RawWire) -> None:
    value = {
        "CamelCase": {"Kind": None, "kind": "?", "list": [1, None, {"X": 1.0}]},
        "": -0.5,
        "ünï": "\u2028",
        "big": 2**53,
    }
    rule = {"kind": "static", "value": [value]}
    path = await wire.make("ClassificationPolicy", {"prioritizationRule": rule})
    assert (await wire.get(path)).expect(200)["prioritizationRule"] == rule


async def test_a_secret_is_shown_in_the_answer_to_the_write_that_carried_it_alone(wire: RawWire) -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/f", "credential": {"functionKey": "the-secret-key"}}
    path = f"/routing/classificationPolicies/{wire.id()}"
    created = await wire.patch(path, {"prioritizationRule": rule})
    assert created.expect(201)["prioritizationRule"] == rule
    again = await wire.patch(path, {"prioritizationRule": rule})
    assert (again.expect(200), again.headers["ETag"]) == (created.body, created.headers["ETag"])
    listed = await wire.get("/routing/classificationPolicies", query={"maxpagesize": 1000})
    masked = await wire.get(path)
    for answer in (masked, await wire.patch(path, {"name": "n"}), listed):
        assert b"the-secret-key" not in answer.content
    back = (await wire.patch(path, masked.body)).expect(200)["prioritizationRule"]["credential"]
    assert back == {"functionKey": "********"}
    other = {"prioritizationRule": {**rule, "credential": {"functionKey": "********", "appKey": "another"}}}
    shown = (await wire.patch(path, other)).expect(200)["prioritizationRule"]["credential"]
    assert shown == {"functionKey": "********", "appKey": "another"}, "what this request carried, and nothing else"
