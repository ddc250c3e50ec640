"""The operations of queues and policies, as a client calls them (docs/behaviour.md, "Operations", "Conditions" and
"Deleting what is in use")."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.storage.port import Entity, RowChanged
from tests.memory_router import Call, in_virtual_time
from tests.unit.api.api_caller import Caller

RULES: list[dict[str, Any]] = [
    {"id": "r", "trigger": {"kind": "queueLength", "threshold": 1}, "actions": [{"kind": "cancel"}]}
]
KINDS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("DistributionPolicy", "ListDistributionPolicies", {"mode": {"kind": "roundRobin"}}, {"name": "n"}),
    ("ClassificationPolicy", "ListClassificationPolicies", {"fallbackQueueId": "q"}, {"name": "n"}),
    ("ExceptionPolicy", "ListExceptionPolicies", {"exceptionRules": RULES}, {"name": "n"}),
    ("Queue", "GetQueues", {"distributionPolicyId": "q"}, {"labels": {"a": True}}),
]


@pytest.mark.parametrize(("kind", "list_name", "body", "change"), KINDS)
@in_virtual_time
async def test_a_setting_is_created_read_changed_left_alone_listed_and_deleted(
    kind: str, list_name: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    call = Caller()
    await call.settings()
    assert (await call(f"Get{kind}", "x")).code == "NotFound"
    created = await call(f"Upsert{kind}", "x", body=body)
    assert (created.status, created.body["id"]) == (201, "x")
    assert created.headers["ETag"] == created.body["etag"]
    await asyncio.sleep(2)
    same = await call(f"Upsert{kind}", "x", body=body)
    assert (same.status, same.body) == (200, created.body)
    assert same.headers["Last-Modified"] == created.headers["Last-Modified"]
    changed = await call(f"Upsert{kind}", "x", body=change)
    assert (changed.status, changed.body["etag"] == created.body["etag"]) == (200, False)
    assert changed.headers["Last-Modified"] != created.headers["Last-Modified"]
    read = await call(f"Get{kind}", "x")
    assert (read.status, read.body) == (200, changed.body)
    assert read.body.items() >= {name: value for name, value in change.items() if name == "name"}.items()
    assert "x" in (await call(list_name)).ids
    assert (await call(f"Delete{kind}", "x")).status == 204
    assert (await call(f"Get{kind}", "x")).status == 404
    assert "x" not in (await call(list_name)).ids
    assert (await call(f"Delete{kind}", "x")).status == 204


@in_virtual_time
async def test_conditions_hold_or_nothing_is_written() -> None:
    call = Caller()
    await call.settings()
    etag = (await call("GetQueue", "q")).headers["ETag"]
    change = {"name": "new"}
    for headers in ({"if-match": '"other"'}, {"if-none-match": "*"}, {"if-none-match": etag}):
        refused = await call("UpsertQueue", "q", body=change, headers=headers)
        assert (refused.status, refused.code) == (412, "ConditionNotMet")
    assert (await call("GetQueue", "q")).headers["ETag"] == etag
    assert (await call("UpsertQueue", "x", body={"distributionPolicyId": "q"}, headers={"if-match": "*"})).status == 412
    assert (await call("UpsertQueue", "q", body=change, headers={"if-match": etag})).body["name"] == "new"
    assert (await call("UpsertQueue", "q", body={"name": "old"}, headers={"if-match": etag})).status == 412


@in_virtual_time
async def test_two_who_change_a_queue_at_once_both_succeed() -> None:
    """Whoever comes second reads again and merges into what is there by then."""
    call = Caller()
    await call.settings()
    met = False

    async def before(one: Call) -> None:
        nonlocal met
        if (one.kind, one.table) == ("replace", "queues") and not met:
            met = True
            await call("UpsertQueue", "q", body={"labels": {"a": 1}})

    call.process.tables.before = before
    changed = await call("UpsertQueue", "q", body={"name": "n"})
    assert (changed.status, changed.body["name"], changed.body["labels"]["a"]) == (200, "n", 1)


@in_virtual_time
async def test_a_condition_is_looked_at_again_after_somebody_was_faster() -> None:
    call = Caller()
    await call.settings()
    etag, met = (await call("GetQueue", "q")).headers["ETag"], False

    async def before(one: Call) -> None:
        nonlocal met
        if (one.kind, one.table) == ("replace", "queues") and not met:
            met = True
            await call("UpsertQueue", "q", body={"labels": {"a": 1}})

    call.process.tables.before = before
    refused = await call("UpsertQueue", "q", body={"name": "n"}, headers={"if-match": etag})
    assert refused.status == 412
    assert "name" not in (await call("GetQueue", "q")).body


@in_virtual_time
async def test_a_row_that_is_fought_over_for_ever_is_busy() -> None:
    call = Caller()
    await call.settings()

    async def before(one: Call) -> None:
        if (one.kind, one.table) == ("replace", "queues"):
            raise RowChanged

    call.process.tables.before = before
    answer = await call("UpsertQueue", "q", body={"name": "n"})
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert "name" not in (await call("GetQueue", "q")).body


@in_virtual_time
async def test_a_write_whose_answer_was_lost_has_been_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage has written it at the first try, and refuses the second one."""
    call = Caller()
    await call.settings()
    rows = call.process.tables.of("queues")
    replace = rows.replace

    def twice(entity: Entity) -> str:
        replace(entity)
        return replace(entity)

    with monkeypatch.context() as patched:
        patched.setattr(rows, "replace", twice)
        answer = await call("UpsertQueue", "q", body={"name": "n"})
    assert (answer.status, answer.body["name"]) == (200, "n")
    assert (await call("GetQueue", "q")).body == answer.body


@in_virtual_time
async def test_a_queue_names_what_is_there() -> None:
    call = Caller()
    await call.settings()
    both = {"distributionPolicyId": "none", "exceptionPolicyId": "none"}
    refused = await call("UpsertQueue", "x", body=both)
    assert (refused.status, refused.details) == (400, ["DistributionPolicyNotFound", "ExceptionPolicyNotFound"])
    refused = await call("UpsertQueue", "x", body={**both, "name": 7})
    assert set(refused.details) >= {"DistributionPolicyNotFound", "ExceptionPolicyNotFound"}
    assert len(refused.details) == 3
    assert (await call("GetQueue", "x")).status == 404
    # What it names already is not looked at again.
    await call.parts.resources.delete("DistributionPolicy", "q")
    await asyncio.sleep(5)
    assert (await call("UpsertQueue", "q", body={"distributionPolicyId": "q", "name": "n"})).status == 200
    policy = await call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "none"})
    assert (policy.status, policy.details) == (400, ["QueueNotFound"])


@pytest.mark.parametrize(("named", "rejected"), [("", 1), (".", 1), ("x" * 257, 1), (5, 1)])
@in_virtual_time
async def test_a_reference_that_is_no_id_is_invalid_and_not_looked_for(named: Any, rejected: int) -> None:
    call = Caller()
    await call.settings()
    refused = await call("UpsertQueue", "x", body={"distributionPolicyId": "q", "exceptionPolicyId": named})
    assert (refused.status, len(refused.details)) == (400, rejected)
    assert "ExceptionPolicyNotFound" not in refused.details


@pytest.mark.parametrize(
    ("kind", "field", "code"),
    [
        ("DistributionPolicy", "distributionPolicyId", "QueueExistsWithDistributionPolicy"),
        ("ExceptionPolicy", "exceptionPolicyId", "QueueExistsWithExceptionPolicy"),
    ],
)
@in_virtual_time
async def test_a_policy_that_a_queue_names_is_not_deleted(kind: str, field: str, code: str) -> None:
    call = Caller()
    await call.settings()
    await call(f"Upsert{kind}", "x", body={"mode": {"kind": "longestIdle"}} if kind.startswith("Dist") else {})
    await call("UpsertQueue", "named", body={"distributionPolicyId": "q", field: "x"})
    refused = await call(f"Delete{kind}", "x")
    assert (refused.status, refused.details) == (400, [code])
    assert "named" in refused.body["error"]["message"]
    assert (await call(f"Get{kind}", "x")).status == 200
    await call("UpsertQueue", "named", body={"distributionPolicyId": "q", "exceptionPolicyId": None})
    assert (await call(f"Delete{kind}", "x")).status == 204


@in_virtual_time
async def test_a_queue_tells_every_reason_why_it_is_not_deleted() -> None:
    call = Caller()
    await call.settings()
    await call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "q"})
    await call.job("j")
    refused = await call("DeleteQueue", "q")
    assert (refused.status, refused.code) == (409, "Conflict")
    assert refused.details == ["ActiveJobInQueueExist", "ClassificationPolicyWithFallbackQueueExist"]
    await call("CancelJob", "j")
    assert (await call("DeleteQueue", "q")).details == ["ClassificationPolicyWithFallbackQueueExist"]
    await call("DeleteClassificationPolicy", "c")
    assert (await call("DeleteQueue", "q")).status == 204


@in_virtual_time
async def test_a_classification_policy_is_in_use_as_long_as_a_job_with_it_is_not_over() -> None:
    call = Caller()
    await call.settings()
    await call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "q"})
    await call("UpsertJob", "j", body={"channelId": "voice", "classificationPolicyId": "c"})
    refused = await call("DeleteClassificationPolicy", "c")
    assert (refused.status, refused.details) == (400, ["ActiveJobWithClassificationPolicyExist"])
    await call("CancelJob", "j")
    assert (await call("DeleteClassificationPolicy", "c")).status == 204


@in_virtual_time
async def test_marks_that_say_what_is_not_so_any_more_hinder_nothing() -> None:
    """Marks are hints: the jobs' rows decide, and marks of jobs that are over are removed on the way."""
    call = Caller()
    await call.settings()
    await call("UpsertQueue", "other", body={"distributionPolicyId": "q"})
    await call.job("elsewhere", queueId="other")
    await call.job("over")
    await call("CancelJob", "over")
    await asyncio.sleep(1)
    members = call.parts.members
    for id in ("elsewhere", "over", *(f"never{number}" for number in range(25))):
        await members.add(("q", "q"), id)
    assert len([id async for id in members.of(("q", "q"))]) == 27, "more than one page of marks"
    assert (await call("DeleteQueue", "q")).status == 204
    assert "over" not in [id async for id in members.of(("q", "q"))]
    assert (await call("DeleteQueue", "other")).details == ["ActiveJobInQueueExist"]


@in_virtual_time
async def test_a_queue_that_workers_name_is_in_use() -> None:
    call = Caller()
    await call.settings()
    await call.worker("w", availableForOffers=False)
    assert (await call("DeleteQueue", "q")).status == 409
    await call("DeleteWorker", "w")
    assert (await call("DeleteQueue", "q")).status == 204
    assert (await call("GetQueueStatistics", "q")).status == 404


@pytest.mark.parametrize(("kind", "list_name", "body", "change"), KINDS)
@in_virtual_time
async def test_pages_together_are_the_list(
    kind: str, list_name: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    call = Caller()
    await call.settings()
    for id in ("b", "a", "c"):
        await call(f"Upsert{kind}", id, body=body)
    whole = (await call(list_name)).ids
    assert [id for id in whole if id != "q"] == ["a", "b", "c"]
    page = await call(list_name, maxpagesize="2")
    assert len(page.ids) == 2
    assert page.ids + (await call.follow(list_name, page.body["nextLink"])).ids == whole
