"""Contract section 1: what a PATCH does with its body, and what the answer makes of it."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from router.models.operations import OPERATIONS
from tests.conftest import StartRouter
from tests.eventually import eventually_async
from tests.raw_wire import JSON, MERGE_PATCH, RawWire

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    "content_type",
    [
        MERGE_PATCH,
        JSON,
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/merge-patch+json;charset="UTF-8"',
    ],
)
async def test_a_patch_takes_two_content_types(wire: RawWire, content_type: str) -> None:
    path = f"/routing/workers/{wire.id()}"
    (await wire.patch(path, {"capacity": 1}, headers={"Content-Type": content_type})).expect(201)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json-patch+json",
        "application/x-www-form-urlencoded",
        "application/json;charset=utf-16",
        "x",
    ],
)
async def test_any_other_content_type_is_415(wire: RawWire, content_type: str) -> None:
    path = f"/routing/workers/{wire.id()}"
    answer = await wire.patch(path, {"capacity": 1}, headers={"Content-Type": content_type})
    error = answer.refused(415, "UnsupportedMediaType")
    assert MERGE_PATCH in error["message"]
    (await wire.get(path)).refused(404, "NotFound")
    action = await wire.post("/routing/jobs/none:cancel", {"note": "n"}, headers={"Content-Type": content_type})
    action.refused(415, "UnsupportedMediaType")


async def test_a_body_in_a_content_coding_is_415(wire: RawWire) -> None:
    path, body = f"/routing/workers/{wire.id()}", b'{"capacity": 1}'
    for coding, content in (("gzip", gzip.compress(body)), ("br", body), ("identity, gzip", body)):
        headers = {"Content-Type": MERGE_PATCH, "Content-Encoding": coding}
        error = (await wire.patch(path, content, headers=headers)).refused(415, "UnsupportedMediaType")
        assert error["target"] == "Content-Encoding"
        (await wire.post("/routing/jobs/none:cancel", content, headers={**headers, "Content-Type": JSON})).refused(
            415, "UnsupportedMediaType"
        )
    (await wire.get(path, headers={"Content-Encoding": "gzip"})).refused(
        404, "NotFound"
    )  # without a body it says nothing
    (await wire.patch(path, body, headers={"Content-Type": MERGE_PATCH, "Content-Encoding": "Identity"})).expect(201)


async def test_a_merge_goes_key_by_key_and_null_removes(wire: RawWire) -> None:
    queue = await wire.queue(name="n", labels={"a": 1, "b": "x", "c": True})
    path = f"/routing/queues/{queue}"
    changed = (await wire.patch(path, {"labels": {"a": 2, "b": None, "absent": None, "d": 1.5}})).expect(200)
    assert changed["labels"] == {"a": 2, "c": True, "d": 1.5, "Id": queue}
    assert changed["name"] == "n"
    changed = (await wire.patch(path, {"name": None, "labels": None})).expect(200)
    assert "name" not in changed
    assert changed["labels"] == {"Id": queue}


async def test_an_array_replaces(wire: RawWire) -> None:
    queue = await wire.queue()
    job = await wire.job(
        queue,
        matchingMode={"kind": "suspend"},
        notes=[{"message": "one"}],
        requestedWorkerSelectors=[{"key": "a", "labelOperator": "equal", "value": 1}],
    )
    changed = (await wire.patch(job, {"notes": [{"message": "two"}], "requestedWorkerSelectors": []})).expect(200)
    assert [note["message"] for note in changed["notes"]] == ["two"]
    assert changed["requestedWorkerSelectors"] == []


async def test_another_kind_replaces_the_whole_object(wire: RawWire) -> None:
    best = {
        "kind": "bestWorker",
        "minConcurrentOffers": 2,
        "maxConcurrentOffers": 3,
        "bypassSelectors": True,
        "scoringRule": {"kind": "expression", "expression": "worker.score"},
        "scoringRuleOptions": {"batchSize": 5},
    }
    path = await wire.make("DistributionPolicy", {"mode": best})
    other = (await wire.patch(path, {"mode": {"kind": "longestIdle"}})).expect(200)
    assert other["mode"] == {
        "kind": "longestIdle",
        "minConcurrentOffers": 1,
        "maxConcurrentOffers": 1,
        "bypassSelectors": False,
    }
    same = (await wire.patch(path, {"mode": {"maxConcurrentOffers": 7}})).expect(200)
    assert same["mode"]["kind"] == "longestIdle"
    assert same["mode"]["maxConcurrentOffers"] == 7
    same = (await wire.patch(path, {"mode": {"kind": "longestIdle", "minConcurrentOffers": 2}})).expect(200)
    assert same["mode"]["maxConcurrentOffers"] == 7
    (await wire.patch(path, {"mode": None})).refused(400, "BadRequest")


async def test_another_kind_of_a_rule_inside_leaves_nothing_of_the_old_one(wire: RawWire) -> None:
    body = {
        "prioritizationRule": {
            "kind": "function",
            "functionUri": "https://example.com/f",
            "credential": {"clientId": "c"},
        }
    }
    path = await wire.make("ClassificationPolicy", body)
    changed = (await wire.patch(path, {"prioritizationRule": {"kind": "static", "value": 3}})).expect(200)
    assert changed["prioritizationRule"] == {"kind": "static", "value": 3}


async def test_property_names_match_without_regard_to_case(wire: RawWire) -> None:
    worker = wire.id("worker")
    body = {
        "CAPACITY": 3,
        "Labels": {"Kept": 1, "kept": 2},
        "channels": [{"ChannelId": "voice", "capacitycostperjob": 1, "MaxNumberOfJobs": 2}],
    }
    created = (await wire.patch(f"/routing/workers/{worker}", body)).expect(201)
    assert created["capacity"] == 3
    assert created["labels"] == {"Kept": 1, "kept": 2, "Id": worker}
    assert created["channels"] == [{"channelId": "voice", "capacityCostPerJob": 1, "maxNumberOfJobs": 2}]
    policy = (await wire.patch(f"/routing/distributionPolicies/{worker}", {"Mode": {"Kind": "roundRobin"}})).expect(201)
    assert policy["mode"]["kind"] == "roundRobin"


async def test_read_only_and_unknown_fields_are_ignored(wire: RawWire) -> None:
    path = f"/routing/workers/{wire.id('worker')}"
    created = (await wire.patch(path, {"capacity": 1, "tags": {"a": 1}})).expect(201)
    back = {
        **created,
        "etag": "stale",
        "id": "another",
        "state": "active",
        "loadRatio": 0.7,
        "offers": [{"jobId": "j"}],
        "assignedJobs": "nonsense",
        "unknown": {"deep": [1]},
    }
    again = await wire.patch(path, back)
    assert again.expect(200) == created
    assert (await wire.patch(path, {"etag": ""})).expect(200) == created
    assert (await wire.patch(path, {"ETag": 5, "Id": None})).expect(200) == created


async def test_a_job_sent_back_as_it_was_read_changes_nothing(wire: RawWire) -> None:
    queue = await wire.queue()
    job = await wire.job(
        queue,
        matchingMode={"kind": "suspend"},
        requestedWorkerSelectors=[
            {"key": "a", "labelOperator": "greaterThan", "value": 1, "expiresAfterSeconds": 3600, "expedite": True}
        ],
        notes=[{"message": "n"}],
    )
    read = (await wire.get(job)).expect(200)
    assert (await wire.patch(job, read)).expect(200) == read


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
    rule = {
        "id": "r",
        "trigger": {"kind": "waitTime", "thresholdSeconds": 10},
        "actions": [
            {"kind": "manualReclassify", "queueId": "q"},
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
    assert first[0] == {"kind": "manualReclassify", "id": first[0]["id"], "queueId": "q", "workerSelectors": []}
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


async def test_secrets_never_come_back(wire: RawWire) -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/f", "credential": {"functionKey": "the-secret-key"}}
    path = f"/routing/classificationPolicies/{wire.id()}"
    created = await wire.patch(path, {"prioritizationRule": rule})
    created.expect(201)
    listed = await wire.get("/routing/classificationPolicies", query={"maxpagesize": 1000})
    for answer in (created, await wire.get(path), await wire.patch(path, {"name": "n"}), listed):
        assert b"the-secret-key" not in answer.content


@pytest.mark.parametrize("body", [None, b"", b" \r\n", b"null", b"{}", b'{"unknown": 1}'])
async def test_an_action_needs_no_body(wire: RawWire, body: bytes | None) -> None:
    queue = await wire.queue()
    job = await wire.job(queue, matchingMode={"kind": "suspend"})
    assert (await wire.post(f"{job}:cancel", body)).expect(200) == {}
    found = (await wire.get(job)).expect(200)
    assert found["status"] == "cancelled"
    assert found["dispositionCode"] == "Cancelled"


async def test_a_get_and_a_delete_may_have_the_content_type_of_a_body(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    headers = {"Content-Type": JSON}
    (await wire.get(path, headers=headers)).expect(200)
    assert (await wire.delete(path, headers=headers)).status == 204


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b'{"a":1}x', b'{"a":NaN}', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b'{"capacity":01}',
        b"\xff\xfe{}", b'\xef\xbb\xbf{"capacity":2}', b'{"capacity":2,"unknown":"\xc3"}', b'"\\ud800"', b"[" * 200_000,
        b'{"capacity":2,"unknown":' + b"[" * 150 + b"]" * 150 + b"}", b'{"capacity":2,}', b'{"capacity":2}/**/', b"{'capacity':2}",
    ],
)  # fmt: skip
async def test_a_body_that_is_not_json(wire: RawWire, body: bytes) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    before = (await wire.get(path)).expect(200)
    answer = await wire.patch(path, body, headers={"Content-Type": MERGE_PATCH})
    answer.refused(400, "InvalidJson")
    assert (await wire.get(path)).expect(200) == before


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
    queue = await wire.queue()
    path = await wire.worker(queue)
    (await wire.delete(f"/routing/queues/{queue}")).expect(204)
    error = (await wire.patch(path, {"capacity": 0})).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["capacity"]
    (await wire.patch(path, {"capacity": 2})).expect(200)


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


async def test_of_a_repeated_name_the_last_counts(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    body = b'{"capacity": 2, "labels": {"a": 1, "a": 2}, "tags": {"t": 1}, "Capacity": 3, "TAGS": null}'
    changed = (await wire.patch(path, body, headers={"Content-Type": MERGE_PATCH})).expect(200)
    assert (changed["capacity"], changed["labels"]["a"], changed["tags"]) == (3, 2, {})


@pytest.mark.parametrize("body", [[], [{"capacity": 2}], 5, "text", True, b"null"])
async def test_a_patch_must_be_an_object(wire: RawWire, body: Any) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    (await wire.patch(path, body)).refused(400, "BadRequest")


async def test_a_body_of_more_than_a_mebibyte_is_413(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    frame = b'{"capacity": 1, "unknown": ""}'
    fits = frame[:-2] + b"x" * (1024 * 1024 - len(frame)) + frame[-2:]
    (await wire.patch(path, fits)).expect(200)
    (await wire.patch(path, fits[:-2] + b"x" + fits[-2:])).refused(413, "RequestEntityTooLarge")
    (await wire.patch(path, fits * 3)).refused(413, "RequestEntityTooLarge")
    (await wire.post("/routing/jobs/none:cancel", fits + b" ")).refused(413, "RequestEntityTooLarge")


async def test_a_resource_too_large_to_be_stored_is_413_and_stays_as_it_was(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    tags = [{f"t{number}": "x" * 16_000} for number in range(12)]
    statuses = [(await wire.patch(path, {"tags": one})).status for one in tags]
    assert set(statuses) == {200, 413}
    kept = statuses.index(413)
    assert statuses == [200] * kept + [413] * (12 - kept)
    (await wire.patch(path, {"tags": tags[-1]})).refused(413, "ResourceTooLarge")
    assert set((await wire.get(path)).expect(200)["tags"]) == {f"t{number}" for number in range(kept)}
    # It is not stuck: what makes it smaller is taken.
    assert (await wire.patch(path, {"tags": None, "capacity": 2})).expect(200)["tags"] == {}
    new = await wire.patch(f"{path}-new", {"capacity": 1, "tags": {name: tag[name] for tag in tags for name in tag}})
    new.refused(413, "ResourceTooLarge")
    (await wire.get(f"{path}-new")).refused(404, "NotFound")


async def test_a_field_that_is_refused_leaves_the_others_unwritten(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    before = (await wire.get(path)).expect(200)
    answer = await wire.patch(path, {"capacity": 7, "labels": {"a": 1}, "channels": [{"channelId": "v"}]})
    assert [detail["target"] for detail in answer.refused(400, "BadRequest")["details"]] == [
        "channels[0].capacityCostPerJob"
    ]
    assert (await wire.get(path)).expect(200) == before


async def test_a_job_whose_queue_is_taken_away_is_classified_again(wire: RawWire) -> None:
    queue = await wire.queue()
    policy = (await wire.make("ClassificationPolicy", {"fallbackQueueId": queue})).rpartition("/")[2]
    job = await wire.make("Job", {"channelId": "v", "classificationPolicyId": policy})

    async def queued() -> bool:
        found = (await wire.get(job)).expect(200)
        return (found["status"], found.get("queueId")) == ("queued", queue)

    await eventually_async(queued, "the job is in the queue of its policy")
    assert (await wire.patch(job, {"queueId": None})).expect(200)["status"] == "pendingClassification"
    await eventually_async(queued, "and again")
