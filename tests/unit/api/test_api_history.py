"""Timelines, changes and reports, as a client calls them (docs/history.md)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from router.api.auth.authenticate import Caller as Client
from router.commit.acting import acting
from router.engine.facts import Level
from router.engine.then import MOST_OFFERS_TOLD, Told
from router.models.history import Actor
from router.models.sizes import LARGEST_PAGE
from router.models.types import format_time
from router.upkeep.deadlines import HANDLERS
from router.upkeep.facts import FactCounter
from router.usecases import reports
from router.wire.paging import PageToken, seal_token
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller

KEY = {"kind": "key", "name": "primary"}
SECRET = "c2VjcmV0cyB0aGF0IG5vYm9keSBzZWVzISEhMTIzNDU="
FUNCTION = {"kind": "function", "functionUri": "https://f.example/api", "credential": {"functionKey": "hush-hush"}}


async def timeline(call: Caller, kind: str, id: str, **query: str) -> list[dict[str, Any]]:
    answer = await call(f"Get{kind}Timeline", id, **dict[str, Any](query))
    assert answer.status == 200, answer.body
    return list(answer.body["value"])


async def routed(call: Caller, job: str = "j") -> str:
    """A job that a worker has accepted: its assignment."""
    await call.settings()
    await call.worker("w")
    await call.job(job)
    await asyncio.sleep(0.1)
    (offer,) = (await call("GetWorker", "w")).body["offers"]
    accepted = await call("AcceptJobOffer", "w", offer["offerId"])
    return str(accepted.body["assignmentId"])


async def closed(call: Caller, assignment: str, job: str = "j") -> None:
    await asyncio.sleep(30)
    await call("CompleteJob", job, assignment)
    await asyncio.sleep(10)
    await call("CloseJob", job, assignment, body={"dispositionCode": "Solved"})


def names(entries: list[dict[str, Any]]) -> list[str | None]:
    return [one["eventType"] and one["eventType"].rsplit(".Router", 1)[1] for one in entries]


def test_a_caller_is_named_and_never_by_its_secret() -> None:
    assert Client("key", 0).actor == Actor("key", "primary")
    assert Client("key", 1).actor == Actor("key", "secondary")
    assert Client("entra", subject="8a1f").actor == Actor("entra", "8a1f")


@in_virtual_time
async def test_a_job_is_told_in_order_with_who_did_it_and_what_decided() -> None:
    call = Caller()
    await closed(call, await routed(call))
    told = await timeline(call, "Job", "j")
    assert names(told) == ["JobReceived", "JobQueued", "WorkerOfferAccepted", "JobCompleted", "JobClosed"]
    assert [one["actor"] for one in told] == [KEY, {"kind": "router", "name": "router"}, KEY, KEY, KEY]
    queued = told[1]
    assert (queued["workerId"], queued["decidedBy"]) == ("w", "distributionPolicy/q")
    assert [one["eventType"] for one in queued["events"]] == [
        "Microsoft.Communication.RouterJobQueued",
        "Microsoft.Communication.RouterWorkerOfferIssued",
    ]
    assert told[0]["what"]["queueId"] == "q"
    assert told[2]["what"]["status"] == "assigned"
    assert told[4]["what"]["dispositionCode"] == "Solved"
    published = [event.id for event in call.process.topic.events if event.subject.startswith("job/j/")]
    assert sorted(event["eventId"] for one in told for event in one["events"]) == sorted(
        {*published, *(event.id for event in call.process.topic.events if event.data.get("jobId") == "j")}
    )


@in_virtual_time
async def test_what_has_no_event_is_told_too_and_a_page_at_a_time() -> None:
    call = Caller()
    await call.settings()
    await call.job("j")
    await asyncio.sleep(1)
    await call.job("j", tags={"a": True})
    await call.job("j", tags={"a": True})  # nothing changes
    await call.job("j", tags={"a": True}, notes=[{"message": "called back"}])
    told = await timeline(call, "Job", "j")
    assert names(told) == ["JobReceived", "JobQueued", None, None]
    assert told[2]["what"] == {"tags": {"a": True}}
    assert [note["message"] for note in told[3]["what"]["notes"]] == ["called back"]
    page = await call("GetJobTimeline", "j", maxpagesize="3")
    rest = await call.follow("GetJobTimeline", page.body["nextLink"])
    assert [*page.body["value"], *rest.body["value"]] == told
    assert "nextLink" not in rest.body


@in_virtual_time
async def test_a_timeline_outlives_its_job() -> None:
    call = Caller()
    await closed(call, await routed(call))
    before = await timeline(call, "Job", "j")
    await call("DeleteJob", "j")
    assert await timeline(call, "Job", "j") == [*before, (await timeline(call, "Job", "j"))[-1]]
    await asyncio.sleep(60)
    told = await timeline(call, "Job", "j")
    assert (told[:-1], names(told)[-1]) == (before, "JobDeleted")
    assert (await call("GetJob", "j")).status == 404
    assert (await call("GetJobTimeline", "none")).status == 404
    assert (await call("GetWorkerTimeline", "none")).status == 404


@in_virtual_time
async def test_a_worker_is_told_of_its_jobs_once_while_it_has_them_and_after() -> None:
    call = Caller()
    assignment = await routed(call)
    early = await timeline(call, "Worker", "w")
    assert names(early) == ["WorkerRegistered", "WorkerOfferIssued", "WorkerOfferAccepted"]
    await closed(call, assignment)
    await asyncio.sleep(60)
    told = await timeline(call, "Worker", "w")
    assert names(told) == [*names(early), "JobCompleted", "JobClosed"]
    assert told[-1]["what"] == {}
    since = (await call("GetWorkerTimeline", "w", **dict[str, Any]([("from", told[3]["at"])]))).body["value"]
    assert names(since) == ["JobCompleted", "JobClosed"]
    until = await timeline(call, "Worker", "w", to=told[3]["at"])
    assert until == told[:3]
    assert (await call("GetWorkerTimeline", "w", to="yesterday")).status == 400


@in_virtual_time
async def test_who_declines_has_it_told_though_the_job_goes_on_waiting() -> None:
    call = Caller()
    await call.settings()
    await call.worker("w")
    await call.job("j")
    await asyncio.sleep(0.1)
    (offer,) = (await call("GetWorker", "w")).body["offers"]
    await call("DeclineJobOffer", "w", offer["offerId"])
    await asyncio.sleep(30)
    assert names(await timeline(call, "Worker", "w"))[-1] == "WorkerOfferDeclined"


@in_virtual_time
async def test_deadlines_and_rules_are_named() -> None:
    call = Caller()
    rule = {"id": "late", "trigger": {"kind": "waitTime", "thresholdSeconds": 5}, "actions": [{"kind": "cancel"}]}
    await call("UpsertDistributionPolicy", "q", body={"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": 20})
    await call("UpsertExceptionPolicy", "e", body={"exceptionRules": [rule]})
    await call("UpsertQueue", "q", body={"distributionPolicyId": "q", "exceptionPolicyId": "e"})
    await call.job("j")
    await asyncio.sleep(5)
    with acting(Actor("deadline", "wait")):
        await HANDLERS["wait"](call.parts, (await call.process.deadlines("wait"))[0])
    await asyncio.sleep(1)
    told = await timeline(call, "Job", "j")
    assert names(told)[2:] == ["JobExceptionTriggered", "JobCancelled"]
    assert told[2]["actor"] == {"kind": "deadline", "name": "wait"}
    assert told[3]["actor"] == {"kind": "rule", "name": "e/late"}
    assert {told[2]["decidedBy"], told[3]["decidedBy"]} == {"exceptionPolicy/e/late"}


@in_virtual_time
async def test_changes_of_settings_are_told_before_and_after_without_secrets() -> None:
    call = Caller(secrets=SECRET)
    other = {**FUNCTION, "credential": {"functionKey": "hush-hush-2"}}
    for name, id, body in (
        ("UpsertDistributionPolicy", "q", {"mode": {"kind": "longestIdle"}}),
        ("UpsertQueue", "q", {"distributionPolicyId": "q"}),
        ("UpsertQueue", "q", {"name": "First"}),
        ("UpsertQueue", "q", {"name": "First"}),
        ("UpsertClassificationPolicy", "c", {"prioritizationRule": FUNCTION}),
        ("UpsertClassificationPolicy", "c", {"prioritizationRule": other}),
        ("DeleteClassificationPolicy", "c", None),
    ):
        assert (await call(name, id, body=body)).status < 300, name
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    told = (await call("ListChanges")).body["value"]
    assert [(one["kind"], one["what"]) for one in told] == [
        ("DistributionPolicy", "created"),
        ("Queue", "created"),
        ("Queue", "updated"),
        ("ClassificationPolicy", "created"),
        ("ClassificationPolicy", "updated"),
        ("ClassificationPolicy", "deleted"),
    ]
    assert (told[2]["before"].get("name"), told[2]["after"]["name"]) == (None, "First")
    assert told[4]["secretsChanged"] is True
    text = json.dumps([told, [dict(row.columns) for row in call.process.tables.of("history").all()]])
    assert "hush" not in text
    assert "sealed" not in text
    assert [one["what"] for one in (await call("ListChanges", kind="queue", id="q")).body["value"]] == [
        "created",
        "updated",
    ]


@in_virtual_time
async def test_a_change_whose_process_died_is_told_by_its_deadline() -> None:
    call = Caller()
    await call.settings()
    await asyncio.sleep(1)
    rows = call.process.tables.of("history")
    for row in rows.all():
        rows.delete(row.partition, row.row)
    another = Caller(call.process.tables)
    for deadline in await call.process.deadlines("change"):
        await HANDLERS["change"](another.parts, deadline)
    assert {one["kind"] for one in (await call("ListChanges")).body["value"]} == {"DistributionPolicy", "Queue"}


@in_virtual_time
async def test_a_change_is_put_where_it_is_kept_once_by_whoever_has_made_it() -> None:
    call = Caller()
    await call.settings()
    await asyncio.sleep(1)
    call.process.tables.calls.clear()
    await call("UpsertQueue", "q", body={"name": "x"})
    await asyncio.sleep(1)
    for deadline in await call.process.deadlines("change"):
        await HANDLERS["change"](call.parts, deadline)
    assert call.process.tables.count("upsert", "history") == 1


@in_virtual_time
async def test_why_a_job_went_where_it_went() -> None:
    call = Caller()
    await routed(call)
    told = await timeline(call, "Job", "j")
    then = (await call("ExplainJob", "j", at=told[-1]["at"])).body
    assert (then["status"], then["assigned"]["workerId"]) == ("assigned", "w")
    assert then["assigned"]["decidedBy"] == "distributionPolicy/q"
    assert then["notKnown"]
    before = (await call("ExplainJob", "j", at=told[1]["at"])).body
    assert (before["status"], before["summary"]) == ("queued", "The job was offered to 'w'.")
    early = format_time(call.parts.clock.now() - timedelta(days=1))
    assert (await call("ExplainJob", "j", at=early)).status == 404


@in_virtual_time
async def test_reports_count_what_happened_and_counting_again_counts_the_same() -> None:
    call = Caller()
    await closed(call, await routed(call))
    await call("UpsertWorker", "w", body={"availableForOffers": False})
    await call.job("waits")
    await asyncio.sleep(3)
    await call("CancelJob", "waits")
    await asyncio.sleep(20)
    counter = FactCounter(call.parts)
    for _ in range(2):
        await counter.count(call.parts.clock.now())
    (row,) = (await call("GetQueueReport", grain="1d")).body["value"]
    counts = ("offered", "accepted", "assigned", "completed", "closed", "cancelledWhileWaiting", "declined")
    assert [row[name] for name in counts] == [1, 1, 1, 1, 1, 1, 0]
    assert (row["handleCount"], row["wrapUpCount"]) == (1, 1)
    assert 29.9 < row["handleSum"] < 30.5
    assert (row["servedWithinThreshold"], row["shortAbandoned"]) == (1, 1)
    assert (row["serviceLevel"], row["serviceLevelWithoutShortAbandons"], row["servicelevelPerf2"]) == (50, 100, 100)
    (worker,) = (await call("GetWorkerReport", workerId="w")).body["value"]
    assert (worker["accepted"], worker["dispositions"]) == (1, {"Solved": 1})
    assert 40 < worker["availableSeconds"] < 41
    assert 29.9 < worker["busySeconds"] < 30.5
    sheet = await call("GetQueueReport", grain="15m", format="csv")
    assert sheet.headers["x-ms-request-id"]
    assert sheet.raw.decode().splitlines()[0].startswith("from,to,queueId,channelId,offered")
    levels, reads = await reports.service_levels(call.parts, call.parts.clock.now())
    assert (levels, reads) == ({"q": Level(served=1, gone=1, within=1)}, 1)
    later = call.parts.clock.now() + timedelta(minutes=17)
    assert (await reports.service_levels(call.parts, later))[0] == {}
    assert (await call("GetQueueReport", tz="Mars/Olympus")).status == 400
    long_ago = format_time(call.parts.clock.now() - timedelta(days=500))
    assert (await call("GetQueueReport", grain="1d", **dict[str, Any]([("from", long_ago)]))).status == 400


@in_virtual_time
async def test_a_queue_says_by_labels_what_served_well_is() -> None:
    call = Caller()
    await routed(call)
    await call("UpsertQueue", "q", body={"labels": {"serviceLevelSeconds": 0, "shortAbandonSeconds": 1}})
    await asyncio.sleep(20)
    await FactCounter(call.parts).count(call.parts.clock.now())
    (row,) = (await call("GetQueueReport")).body["value"]
    assert (row["assigned"], row["servedWithinThreshold"], row["serviceLevel"]) == (1, 0, 0)


@in_virtual_time
async def test_a_worker_is_deleted_with_all_of_its_traces() -> None:
    call = Caller()
    await closed(call, await routed(call))
    await call.worker("other")
    await call.job("j2")
    await asyncio.sleep(20)
    await FactCounter(call.parts).count(call.parts.clock.now())
    await call("DeleteJob", "j")
    await call("DeleteWorker", "w")
    await asyncio.sleep(61)
    (deadline,) = await call.process.deadlines("forget-worker")
    for _ in range(2):
        await HANDLERS["forget-worker"](call.parts, deadline)
    tables = call.process.tables
    rows = [
        (row.partition, row.row, dict(row.columns)) for name in ("history", "facts") for row in tables.of(name).all()
    ]
    log = [dict(row.columns) for row in tables.of("deadlines").all() if row.row.startswith("h~")]
    assert '"w"' not in json.dumps([rows, log]).replace("\\", "")
    assert not [row for row in rows if row[1].startswith("w~")]
    told = await timeline(call, "Job", "j")
    assert {event.get("workerId") for one in told for event in one["events"]} == {None, "deleted"}
    assert (await call("GetWorkerTimeline", "w")).status == 404
    assert (await call("GetWorkerReport", workerId="w")).body["value"] == []
    assert names(await timeline(call, "Worker", "other"))[0] == "WorkerRegistered"


@in_virtual_time
async def test_a_report_of_times_at_the_ends_of_the_calendar_is_refused() -> None:
    call = Caller()
    ends = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00")
    for kind in ("Queue", "Worker"):
        for at in ends:
            for query in ({"from": at}, {"to": at}, {"from": at, "to": at}):
                for tz in ("UTC", "America/Adak", "Pacific/Kiritimati"):
                    answer = await call(f"Get{kind}Report", **dict[str, Any]({**query, "grain": "1d", "tz": tz}))
                    assert answer.status == 400, (query, tz, answer.body)


@in_virtual_time
async def test_a_place_that_no_page_ends_at_is_refused() -> None:
    """Whoever has an access key can seal a token of any content."""
    call = Caller()
    await call.settings()
    places = ("x", "-1", "٣" * 20, "2024-01-01T00:00:00Z~-3", "2024-01-01T00:00:00Z~x", "x~1")
    for name, path in (
        ("GetQueueReport", "reports/queues"),
        ("GetWorkerReport", "reports/workers"),
        ("GetShadowReport", "reports/shadows"),
        ("GetJobs", "jobs"),
        ("GetWorkers", "workers"),
    ):
        for place in places:
            token = seal_token(PageToken(f"/routing/{path}", 10, ("", place)), call.gate.token_keys)
            answer = await call(name, continuationToken=token)
            assert answer.status == 400, (name, place)
            assert answer.body["error"]["details"][0]["code"] == "InvalidContinuationToken", (name, place)


@in_virtual_time
async def test_a_page_of_large_changes_ends_early_and_the_next_goes_on() -> None:
    call = Caller()
    await call.settings()
    for number in range(40):
        rule = {"kind": "static", "value": number}
        selectors = [{"key": f"k{n}", "labelOperator": "equal", "value": "x" * 1_400} for n in range(100)]
        attachments = [{"kind": "static", "workerSelector": one} for one in selectors]
        body = {"prioritizationRule": rule, "workerSelectorAttachments": attachments}
        await call("UpsertClassificationPolicy", "large", body=body)
    await asyncio.sleep(1)
    pages = await call.pages("ListChanges", maxpagesize="1000")
    assert all(len(page.raw) < 1.1 * LARGEST_PAGE for page in pages)
    found = [one["eventId"] for page in pages for one in page.body["value"] if one["id"] == "large"]
    assert len(found) == len(set(found)) == 40
    assert len(pages) > 2


def test_of_very_many_offers_the_last_are_told() -> None:
    told = Told()
    for number in range(MOST_OFFERS_TOLD + 10):
        event = {"eventType": "Microsoft.Communication.RouterWorkerOfferIssued", "offerId": str(number)}
        told.add({"at": "2026-11-30T00:00:00Z", "events": [event]})
    offers = told.explained()["offers"]
    assert (len(offers), offers[-1]["offerId"]) == (MOST_OFFERS_TOLD, str(MOST_OFFERS_TOLD + 9))
