"""The operations of jobs, as a client calls them (docs/behaviour.md, "Operations" and "Job life")."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from router.models.types import format_time
from router.upkeep.deadlines import DeadlineRunner
from tests.memory_router import START, in_virtual_time
from tests.unit.api.api_caller import Caller


async def assigned(call: Caller, job: str = "j", worker: str = "w") -> str:
    """A job that a worker has accepted: the assignment's id."""
    await call.settings()
    await call.worker(worker)
    await call.job(job)
    await asyncio.sleep(0.1)
    (offer,) = (await call("GetWorker", worker)).body["offers"]
    return str((await call("AcceptJobOffer", worker, offer["offerId"])).body["assignmentId"])


async def status(call: Caller, job: str = "j") -> str:
    return str((await call("GetJob", job)).body["status"])


@in_virtual_time
async def test_a_job_is_created_read_changed_and_left_alone() -> None:
    call = Caller()
    await call.settings()
    created = await call.job("j", labels={"a": 1})
    assert (created.status, created.body["id"], created.body["status"]) == (201, "j", "created")
    await asyncio.sleep(0.1)
    read = await call("GetJob", "j")
    assert (read.body["status"], read.headers["ETag"]) == ("queued", read.body["etag"])
    changed = await call("UpsertJob", "j", body={"tags": {"b": "c"}})
    assert (changed.status, changed.body["tags"], changed.body["labels"]) == (200, {"b": "c"}, {"a": 1})
    assert changed.body["etag"] != read.body["etag"]
    same = await call("UpsertJob", "j", body={"tags": {"b": "c"}})
    assert (same.status, same.headers["ETag"]) == (200, changed.headers["ETag"])
    assert same.headers["Last-Modified"] == changed.headers["Last-Modified"]


@in_virtual_time
async def test_what_a_job_names_must_be_there() -> None:
    call = Caller()
    await call.settings()
    missing = await call.job("j", queueId="none", classificationPolicyId="none")
    assert (missing.status, set(missing.details)) == (400, {"QueueNotFound", "ClassificationPolicyNotFound"})
    both = await call.job("j", queueId="none", priority="high")
    assert "QueueNotFound" in both.details
    assert len(both.details) == 2
    assert (await call("GetJob", "j")).status == 404


@in_virtual_time
async def test_a_reference_that_stays_is_not_looked_at_again() -> None:
    call = Caller()
    await call.settings()
    await call.job("j")
    await call.parts.resources.delete("Queue", "q")
    await asyncio.sleep(5)
    assert (await call("UpsertJob", "j", body={"queueId": "q", "tags": {"a": 1}})).status == 200
    assert (await call.job("k")).details == ["QueueNotFound"]


@in_virtual_time
async def test_an_assigned_job_is_completed_closed_and_deleted() -> None:
    call = Caller()
    assignment = await assigned(call)
    refused = await call("DeleteJob", "j")
    assert (refused.status, refused.code) == (409, "Conflict")
    assert (await call("CloseJob", "j", assignment)).status == 409
    completed = await call("CompleteJob", "j", assignment, body={"note": "done"})
    assert (completed.status, completed.body) == (200, {})
    assert await status(call) == "completed"
    assert (await call("GetWorker", "w")).body["loadRatio"] == 1
    assert (await call("CompleteJob", "j", assignment)).status == 409
    closed = await call("CloseJob", "j", assignment, body={"dispositionCode": "sold"})
    assert (closed.status, closed.body) == (200, {})
    job = (await call("GetJob", "j")).body
    assert (job["status"], job["dispositionCode"]) == ("closed", "sold")
    assert [note["message"] for note in job["notes"]] == ["done"]
    assert (await call("GetWorker", "w")).body["loadRatio"] == 0
    assert (await call("DeleteJob", "j")).status == 204
    assert (await call("GetJob", "j")).status == 404
    assert (await call("DeleteJob", "j")).status == 204


@in_virtual_time
async def test_a_close_that_is_put_off_is_done_at_its_time() -> None:
    call = Caller()
    assignment = await assigned(call)
    await call("CompleteJob", "j", assignment)
    at = format_time(call.parts.clock.now() + timedelta(seconds=30))
    assert (await call("CloseJob", "j", assignment, body={"closeAt": at})).body == {}
    await asyncio.sleep(29.5)
    assert await status(call) == "completed"
    runner = DeadlineRunner(call.parts)
    await runner.tick()
    await runner.drain()
    assert await status(call) == "closed"
    assert (await call("GetWorker", "w")).body["loadRatio"] == 0


@in_virtual_time
async def test_a_job_is_unassigned_three_times_and_no_more() -> None:
    call = Caller()
    assignment = await assigned(call)
    for count in (1, 2, 3):
        answer = await call("UnassignJob", "j", assignment)
        assert (answer.status, answer.body["jobId"], answer.body["unassignmentCount"]) == (200, "j", count)
        await asyncio.sleep(0.1)
        (offer,) = (await call("GetWorker", "w")).body["offers"]
        assignment = (await call("AcceptJobOffer", "w", offer["offerId"])).body["assignmentId"]
    assert (await call("UnassignJob", "j", assignment)).status == 409
    assert await status(call) == "assigned"


@in_virtual_time
async def test_a_job_that_is_unassigned_and_suspended_waits_for_its_activation() -> None:
    call = Caller()
    assignment = await assigned(call)
    await call("UnassignJob", "j", assignment, body={"suspendMatching": True})
    await asyncio.sleep(1)
    job = (await call("GetJob", "j")).body
    assert (job["status"], job["matchingMode"]["kind"]) == ("waitingForActivation", "suspend")
    assert (await call("GetWorker", "w")).body["offers"] == []
    activated = await call("UpsertJob", "j", body={"matchingMode": {"kind": "queueAndMatch"}})
    assert activated.body["status"] == "queued"
    await asyncio.sleep(0.1)
    assert len((await call("GetWorker", "w")).body["offers"]) == 1


@in_virtual_time
async def test_a_cancelled_job_frees_its_worker() -> None:
    call = Caller()
    await assigned(call)
    answer = await call("CancelJob", "j", body={"note": "why", "dispositionCode": "gone"})
    assert (answer.status, answer.body) == (200, {})
    job = (await call("GetJob", "j")).body
    assert (job["status"], job["dispositionCode"]) == ("cancelled", "gone")
    assert (await call("GetWorker", "w")).body["assignedJobs"] == []
    assert (await call("CancelJob", "j")).status == 409


@in_virtual_time
async def test_a_job_is_classified_again_when_a_client_asks() -> None:
    call = Caller()
    await call.settings()
    rule: dict[str, Any] = {"kind": "static", "value": 5}
    await call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "q", "prioritizationRule": rule})
    created = await call("UpsertJob", "j", body={"channelId": "voice", "classificationPolicyId": "c"})
    assert created.body["status"] == "pendingClassification"
    await asyncio.sleep(0.1)
    job = (await call("GetJob", "j")).body
    assert (job["status"], job["priority"], job["queueId"]) == ("queued", 5, "q")
    await call("UpsertClassificationPolicy", "c", body={"prioritizationRule": {"kind": "static", "value": 9}})
    await asyncio.sleep(5)
    assert (await call("ReclassifyJob", "j")).body == {}
    await asyncio.sleep(0.1)
    assert (await call("GetJob", "j")).body["priority"] == 9
    await call.job("k")
    assert (await call("ReclassifyJob", "k")).status == 400


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("GetJob", ["none"]),
        ("GetInQueuePosition", ["none"]),
        ("ExplainJob", ["none"]),
        ("ReclassifyJob", ["none"]),
        ("CancelJob", ["none"]),
        ("CompleteJob", ["none", "a"]),
        ("CloseJob", ["none", "a"]),
        ("UnassignJob", ["none", "a"]),
        ("CompleteJob", ["j", "none"]),
        ("CloseJob", ["j", "none"]),
        ("UnassignJob", ["j", "none"]),
    ],
)
@in_virtual_time
async def test_what_is_not_there(name: str, ids: list[str]) -> None:
    call = Caller()
    await assigned(call)
    answer = await call(name, *ids)
    assert (answer.status, answer.code) == (404, "NotFound")


@in_virtual_time
async def test_the_position_of_a_queued_job() -> None:
    call = Caller()
    await call.settings()
    for number in range(3):
        await call.job(f"j{number}", priority=number + 1)
        await asyncio.sleep(0.1)
    found = (await call("GetInQueuePosition", "j0")).body
    assert (found["jobId"], found["queueId"], found["position"], found["queueLength"]) == ("j0", "q", 3, 3)
    assert (await call("GetInQueuePosition", "j2")).body["position"] == 1
    await call("CancelJob", "j2")
    assert (await call("GetInQueuePosition", "j2")).status == 409
    statistics = (await call("GetQueueStatistics", "q")).body
    assert (statistics["queueId"], statistics["length"]) == ("q", 2)
    assert set(statistics["estimatedWaitTimeMinutes"]) == {"1", "2"}


async def many(call: Caller) -> None:
    """Six jobs of several kinds."""
    await call.settings()
    await call("UpsertQueue", "other", body={"distributionPolicyId": "q"})
    await call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "other"})
    await call.job("a")
    await call.job("b", channelId="chat")
    await call.job("c", queueId="other")
    await call("UpsertJob", "d", body={"channelId": "voice", "classificationPolicyId": "c"})
    at = format_time(START + timedelta(hours=1))
    await call.job("e", matchingMode={"kind": "scheduleAndSuspend", "scheduleAt": at})
    await call.job("f")
    await call("CancelJob", "f")
    await asyncio.sleep(0.1)


BEFORE, AT, AFTER = (format_time(START + timedelta(minutes=minutes)) for minutes in (59, 60, 61))


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, "abcdef"),
        ({"status": "all"}, "abcdef"),
        ({"status": "active"}, "abcde"),
        ({"status": "QUEUED"}, "abcd"),
        ({"status": "cancelled"}, "f"),
        ({"status": "assigned"}, ""),
        ({"queueId": "other"}, "cd"),
        ({"channelId": "chat"}, "b"),
        ({"classificationPolicyId": "c"}, "d"),
        ({"status": "queued", "channelId": "voice", "queueId": "q"}, "a"),
        ({"scheduledBefore": BEFORE}, ""),
        ({"scheduledBefore": AT}, "e"),
        ({"scheduledAfter": AT}, "e"),
        ({"scheduledAfter": AFTER}, ""),
        ({"scheduledAfter": BEFORE, "scheduledBefore": AFTER}, "e"),
    ],
)
@in_virtual_time
async def test_the_filters_of_the_list(query: dict[str, Any], ids: str) -> None:
    call = Caller()
    await many(call)
    assert (await call("GetJobs", **query)).ids == list(ids)


@in_virtual_time
async def test_pages_keep_their_size_and_filter() -> None:
    call = Caller()
    await many(call)
    pages = await call.pages("GetJobs", maxpagesize="2", status="active")
    assert all(len(page.ids) <= 2 for page in pages)
    assert [id for page in pages for id in page.ids] == list("abcde")
    assert (await call("GetJobs", continuationToken="x")).details == ["InvalidContinuationToken"]
    assert (await call("GetJobs", maxpagesize="0")).status == 400
