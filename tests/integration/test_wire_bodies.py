"""What a PATCH does with its body, and which bodies are none (docs/behaviour.md, "Requests")."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.eventually import eventually_async
from tests.raw_wire import JSON, MERGE_PATCH, RawWire


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
        assert error["target"] == path
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
