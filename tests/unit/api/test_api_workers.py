"""The operations of workers and their offers, as a client calls them (docs/behaviour.md, "Workers" and "Offers")."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from router.models.operations import GA
from router.models.types import format_time
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller

VOICE = {"channelId": "voice", "capacityCostPerJob": 1}
CHAT = {"channelId": "chat", "capacityCostPerJob": 5}


async def offered(call: Caller, **fields: Any) -> str:
    """A worker with a job's offer: the offer's id."""
    await call.settings()
    await call.worker("w", **fields)
    await call.job("j")
    await asyncio.sleep(0.1)
    return await offer_of(call)


async def offer_of(call: Caller, worker: str = "w") -> str:
    (offer,) = (await call("GetWorker", worker)).body["offers"]
    return str(offer["offerId"])


@in_virtual_time
async def test_a_worker_is_created_changed_left_alone_and_deleted() -> None:
    call = Caller()
    await call.settings()
    created = await call.worker("w")
    assert (created.status, created.body["state"]) == (201, "active")
    assert created.headers["ETag"] == created.body["etag"]
    changed = await call("UpsertWorker", "w", body={"availableForOffers": False})
    assert (changed.status, changed.body["state"]) == (200, "inactive")
    same = await call("UpsertWorker", "w", body={"availableForOffers": False})
    assert (same.status, same.headers["ETag"]) == (200, changed.headers["ETag"])
    assert (await call("DeleteWorker", "w")).status == 204
    assert (await call("GetWorker", "w")).status == 404
    assert (await call("DeleteWorker", "w")).status == 204


@in_virtual_time
async def test_every_queue_that_is_named_anew_must_be_there() -> None:
    call = Caller()
    await call.settings()
    refused = await call.worker("w", queues=["q", "none", "q2"])
    assert (refused.status, refused.details) == (400, ["QueueNotFound", "QueueNotFound"])
    assert [one["target"] for one in refused.body["error"]["details"]] == ["queues[1]", "queues[2]"]
    both = await call.worker("w", queues=["none"], capacity=0)
    assert "QueueNotFound" in both.details
    assert len(both.details) == 2
    assert (await call("GetWorker", "w")).status == 404
    await call.worker("w")
    await call.parts.resources.delete("Queue", "q")
    await asyncio.sleep(5)
    assert (await call("UpsertWorker", "w", body={"queues": ["q"], "capacity": 2})).status == 200


@in_virtual_time
async def test_the_older_version_neither_shows_nor_changes_the_limit_of_offers() -> None:
    call = Caller()
    await call.settings()
    assert (await call.worker("w", maxConcurrentOffers=2)).body["maxConcurrentOffers"] == 2
    old = await call("UpsertWorker", "w", body={"maxConcurrentOffers": 9, "capacity": 3}, version=GA)
    assert "maxConcurrentOffers" not in old.body
    assert "maxConcurrentOffers" not in (await call("GetWorker", "w", version=GA)).body
    shown = (await call("GetWorker", "w")).body
    assert (shown["maxConcurrentOffers"], shown["capacity"]) == (2, 3)


@in_virtual_time
async def test_accepting_an_offer_twice_is_accepting_it_once() -> None:
    call = Caller()
    offer = await offered(call)
    first, second = await call("AcceptJobOffer", "w", offer), await call("AcceptJobOffer", "w", offer, body={})
    assert (first.status, first.body["jobId"], first.body["workerId"]) == (200, "j", "w")
    assert (second.status, second.body) == (200, first.body)
    worker = (await call("GetWorker", "w")).body
    assert worker["offers"] == []
    assert [one["assignmentId"] for one in worker["assignedJobs"]] == [first.body["assignmentId"]]
    assert (await call("DeclineJobOffer", "w", offer)).status == 404


@in_virtual_time
async def test_who_declines_does_not_get_the_job_again_before_its_time() -> None:
    call = Caller()
    offer = await offered(call)
    later = format_time(call.parts.clock.now() + timedelta(seconds=30))
    answer = await call("DeclineJobOffer", "w", offer, body={"retryOfferAt": later})
    assert (answer.status, answer.body) == (200, {})
    await asyncio.sleep(5)
    assert (await call("GetWorker", "w")).body["offers"] == []
    assert (await call("AcceptJobOffer", "w", offer)).status == 409
    assert (await call("DeclineJobOffer", "w", offer)).status == 404
    told = (await call("ExplainJob", "j")).body
    assert [one["what"] for one in told["next"]] == ["retryOffer", "lifeEnds"]
    assert (told["workers"][0]["qualifies"], told["workers"][0]["reason"]) == (False, "declined")


@in_virtual_time
async def test_an_offer_that_never_was() -> None:
    call = Caller()
    offer = await offered(call)
    await call.worker("v")
    assert (await call("AcceptJobOffer", "v", offer)).status == 404
    assert (await call("DeclineJobOffer", "v", offer)).status == 404
    assert (await call("AcceptJobOffer", "w", "none")).status == 404
    assert (await call("AcceptJobOffer", "none", offer)).status == 404


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"tags": {"a": 1}}, True),
        ({"capacity": 7}, True),
        ({"availableForOffers": False}, False),
        ({"queues": []}, False),
        ({"channels": [CHAT]}, False),
    ],
)
@in_virtual_time
async def test_a_change_revokes_what_the_worker_would_not_get_any_more(change: dict[str, Any], kept: bool) -> None:
    call = Caller()
    offer = await offered(call)
    changed = await call("UpsertWorker", "w", body=change)
    assert [one["offerId"] for one in changed.body["offers"]] == ([offer] if kept else [])
    assert (await call("AcceptJobOffer", "w", offer)).status == (200 if kept else 409)


@in_virtual_time
async def test_a_worker_with_a_job_is_in_use() -> None:
    call = Caller()
    assignment = (await call("AcceptJobOffer", "w", await offered(call))).body["assignmentId"]
    assert (await call("DeleteWorker", "w")).status == 409
    assert (await call("CompleteJob", "j", assignment)).status == 200
    assert (await call("DeleteWorker", "w")).status == 409
    assert (await call("CloseJob", "j", assignment)).status == 200
    assert (await call("DeleteWorker", "w")).status == 204


@in_virtual_time
async def test_who_is_deleted_loses_the_offers_and_the_job_goes_on_to_others() -> None:
    call = Caller()
    offer = await offered(call)
    await call.worker("v")
    assert (await call("DeleteWorker", "w")).status == 204
    await asyncio.sleep(0.1)
    assert await offer_of(call, "v") != offer
    assert (await call("AcceptJobOffer", "w", offer)).status in (404, 409)


@in_virtual_time
async def test_a_reservation_that_is_no_offer_yet_is_not_shown() -> None:
    """Nobody can accept it; it may be given back."""
    call = Caller()
    offer = await offered(call)
    table = call.process.tables.of("jobs")
    (kept,) = [one for one in table.all() if one.row == "j"]
    table.delete(kept.partition, kept.row)
    other = Caller(call.process.tables)  # has not seen the offer on its job
    shown = await other("GetWorker", "w")
    assert (shown.body["offers"], shown.body["loadRatio"]) == ([], 0)
    table.insert(kept)
    assert await offer_of(other) == offer
    assert (await other("GetWorker", "w")).body["loadRatio"] == 1


async def several(call: Caller) -> None:
    await call.settings()
    await call("UpsertQueue", "other", body={"distributionPolicyId": "q"})
    await call.worker("a")
    await call.worker("b", queues=["other"])
    await call.worker("c", channels=[CHAT], capacity=4)
    await call.worker("d", channels=[VOICE, CHAT], capacity=10, queues=["q", "other"])
    await call.worker("e", availableForOffers=False)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, "abcde"),
        ({"state": "all"}, "abcde"),
        ({"state": "ACTIVE"}, "abcd"),
        ({"state": "inactive"}, "e"),
        ({"state": "draining"}, ""),
        ({"queueId": "other"}, "bd"),
        ({"channelId": "chat"}, "cd"),
        ({"channelId": "chat", "hasCapacity": "true"}, "d"),
        ({"channelId": "chat", "hasCapacity": "false"}, "cd"),
        ({"hasCapacity": "true", "state": "active"}, "abd"),
        ({"channelId": "voice", "queueId": "q", "state": "active"}, "ad"),
        ({"channelId": "none"}, ""),
    ],
)
@in_virtual_time
async def test_the_filters_of_the_list(query: dict[str, Any], ids: str) -> None:
    call = Caller()
    await several(call)
    assert (await call("GetWorkers", **query)).ids == list(ids)


@pytest.mark.parametrize("query", [{}, {"queueId": "other"}, {"state": "active", "hasCapacity": "true"}])
@in_virtual_time
async def test_pages_together_are_the_list(query: dict[str, Any]) -> None:
    call = Caller()
    await several(call)
    whole = (await call("GetWorkers", **query)).ids
    pages = await call.pages("GetWorkers", maxpagesize="1", **query)
    assert all(len(page.ids) <= 1 for page in pages)
    assert [id for page in pages for id in page.ids] == whole
