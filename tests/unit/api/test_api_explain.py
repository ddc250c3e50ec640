"""Why a job is where it is, and what happens next (docs/behaviour.md, "Explanation")."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from router.models.types import format_time, parse_time
from tests.eventually import eventually_async
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller

EXPLAINING: ContextVar[bool] = ContextVar("explaining", default=False)
CHAT = {"channelId": "chat", "capacityCostPerJob": 1}


async def explained(call: Caller, job: str = "j") -> Any:
    answer = await call("ExplainJob", job)
    assert answer.status == 200
    assert answer.body["jobId"] == job
    assert answer.body["status"] == (await call("GetJob", job)).body["status"]
    return answer.body


def reasons(body: Any) -> dict[str, str | None]:
    """Each worker, with the reason why it does not qualify."""
    assert all(one["qualifies"] is ("reason" not in one) for one in body["workers"])
    assert all(bool(one.get("message")) is ("reason" in one) for one in body["workers"])
    return {one["workerId"]: one.get("reason") for one in body["workers"]}


def what(body: Any) -> list[str]:
    times = [parse_time(one["at"]) for one in body["next"]]
    assert times == sorted(times)
    assert all(one["message"] for one in body["next"])
    return [one["what"] for one in body["next"]]


@in_virtual_time
async def test_a_scoring_rule_that_fails_is_named_with_its_reason_and_next_try() -> None:
    call = Caller()
    await call.settings()
    rule = {"kind": "function", "functionUri": "https://f.example/"}
    mode = {"kind": "bestWorker", "scoringRule": rule}
    await call("UpsertDistributionPolicy", "best", body={"offerExpiresAfterSeconds": 60, "mode": mode})
    await call("UpsertQueue", "scored", body={"distributionPolicyId": "best"})
    await call.worker("w", queues=["scored"], labels={"score": 1})
    await call.job("j", queueId="scored", labels={"scoring": "fails"})
    await asyncio.sleep(0.1)
    body = await explained(call)
    failed = "The scoring rule (function) of distribution policy 'best' failed: The rule fails"
    assert body["summary"] == f"Waits in queue 'scored'. {failed}."
    assert "retryScoring" in what(body)
    assert reasons(body) == {"w": None}


@in_virtual_time
async def test_a_job_that_waits_tells_of_each_worker_why_not() -> None:
    call = Caller()
    await call.settings()
    await call("UpsertQueue", "other", body={"distributionPolicyId": "q"})
    await call.job("busy")
    await call.worker("full")
    await asyncio.sleep(0.1)
    await call.worker("away", availableForOffers=False)
    await call.worker("chats", channels=[CHAT])
    await call.worker("elsewhere", queues=["other"])
    await call.worker("unskilled", labels={"Skill": 1})
    selector = {"key": "Skill", "labelOperator": "greaterThan", "value": 5}
    await call.job("j", requestedWorkerSelectors=[selector])
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert reasons(body) == {
        "full": "capacity",
        "away": "inactive",
        "chats": "otherChannel",
        "unskilled": "selector",
    }
    assert what(body) == ["lifeEnds"]
    assert (await explained(call, "busy"))["workers"][-1]["workerId"] != "elsewhere"


@in_virtual_time
async def test_limits_of_channels_and_offers_are_reasons() -> None:
    call = Caller()
    await call.settings()
    voice = {"channelId": "voice", "capacityCostPerJob": 1, "maxNumberOfJobs": 1}
    await call.worker("w", capacity=5, channels=[voice])
    await call.worker("v", capacity=5, maxConcurrentOffers=1)
    for number in range(3):
        await call.job(f"j{number}")
        await asyncio.sleep(0.1)
    assert reasons(await explained(call, "j2")) == {"w": "channelLimit", "v": "offerLimit"}
    held = reasons(await explained(call, "j0"))
    assert "hasOffer" in held.values()


@in_virtual_time
async def test_a_job_on_offer_tells_when_the_offer_expires() -> None:
    call = Caller()
    await call.settings()
    await call.worker("w")
    await call.job("j")
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert what(body) == ["offerExpires", "lifeEnds"]
    (offer,) = (await call("GetWorker", "w")).body["offers"]
    assert body["next"][0]["at"] == offer["expiresAt"]
    assert "'w'" in body["summary"]


@in_virtual_time
async def test_an_assigned_job_names_its_worker_and_a_closing_one_its_time() -> None:
    call = Caller()
    await call.settings()
    await call.worker("w")
    await call.job("j")
    await asyncio.sleep(0.1)
    (offer,) = (await call("GetWorker", "w")).body["offers"]
    assignment = (await call("AcceptJobOffer", "w", offer["offerId"])).body["assignmentId"]
    body = await explained(call)
    assert ("'w'" in body["summary"], body["workers"], what(body)) == (True, [], ["lifeEnds"])
    await call("CompleteJob", "j", assignment)
    at = format_time(call.parts.clock.now() + timedelta(hours=1))
    await call("CloseJob", "j", assignment, body={"closeAt": at})
    body = await explained(call)
    assert (what(body), body["next"][0]["at"]) == (["close", "lifeEnds"], at)


@in_virtual_time
async def test_a_job_that_is_over_has_nothing_to_come() -> None:
    call = Caller()
    await call.settings()
    await call.job("j")
    await call("CancelJob", "j")
    body = await explained(call)
    assert (body["workers"], body["next"]) == ([], [])
    assert "nextLink" not in body


@in_virtual_time
async def test_selectors_and_rules_have_their_times() -> None:
    call = Caller()
    rules = [
        {"id": name, "trigger": {"kind": "waitTime", "thresholdSeconds": seconds}, "actions": []}
        for name, seconds in (("soon", 10), ("late", 100))
    ]
    rules.append({"id": "long", "trigger": {"kind": "queueLength", "threshold": 5}, "actions": []})
    await call("UpsertExceptionPolicy", "e", body={"exceptionRules": rules})
    await call.settings()
    await call("UpsertQueue", "q", body={"exceptionPolicyId": "e"})
    selector = {"key": "a", "labelOperator": "equal", "value": 1, "expiresAfterSeconds": 50}
    await call.job("j", requestedWorkerSelectors=[selector, {**selector, "expiresAfterSeconds": None}])
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert what(body) == ["ruleFires", "selectorExpires", "ruleFires", "lifeEnds"]
    entered = parse_time((await call("GetJob", "j")).body["enqueuedAt"])
    assert [(parse_time(one["at"]) - entered).total_seconds() for one in body["next"][:3]] == [10, 50, 100]
    assert "'soon'" in body["next"][0]["message"]


@in_virtual_time
async def test_a_scheduled_job_tells_when_it_can_be_activated() -> None:
    call = Caller()
    await call.settings()
    at = format_time(call.parts.clock.now() + timedelta(hours=1))
    await call.job("j", matchingMode={"kind": "scheduleAndSuspend", "scheduleAt": at})
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert (what(body), body["next"][0]["at"]) == (["activation", "lifeEnds"], at)
    await call.job("k", matchingMode={"kind": "suspend"})
    await asyncio.sleep(0.1)
    assert "queueAndMatch" in (await explained(call, "k"))["summary"]


@in_virtual_time
async def test_a_scoring_rule_that_fails_is_tried_again() -> None:
    call = Caller()
    await call.settings()
    mode = {"kind": "bestWorker", "scoringRule": {"kind": "static", "value": 1}}
    await call("UpsertDistributionPolicy", "q", body={"mode": mode})
    await asyncio.sleep(5)
    await call.worker("w")
    await call.job("j", labels={"scoring": "fails"})
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert what(body) == ["retryScoring", "lifeEnds"]
    assert reasons(body) == {"w": None}


@in_virtual_time
async def test_a_job_that_could_not_be_classified_says_why() -> None:
    call = Caller()
    await call("UpsertClassificationPolicy", "c", body={})
    await call("UpsertJob", "j", body={"channelId": "voice", "classificationPolicyId": "c"})
    await asyncio.sleep(0.1)
    body = await explained(call)
    assert body["status"] == "classificationFailed"
    assert "queue" in body["summary"]
    assert body["workers"] == []


@in_virtual_time
async def test_a_queue_that_is_gone_is_told() -> None:
    call = Caller()
    await call.settings()
    await call.worker("w")
    await call("UpsertWorker", "w", body={"availableForOffers": False})
    await call.job("j")
    await asyncio.sleep(0.1)
    await call.parts.resources.delete("Queue", "q")
    await asyncio.sleep(5)
    body = await explained(call)
    assert body["workers"] == []
    assert "not there" in body["summary"]


async def pages(call: Caller, size: int) -> list[str]:
    found = [page.body["workers"] for page in await call.pages("ExplainJob", "j", maxpagesize=str(size))]
    assert all(len(some) <= size for some in found)
    return [one["workerId"] for some in found for one in some]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("longestIdle", ["c", "a", "b", "d"]),
        # The turn was last with `b`: first those behind it, then those before it.
        ("roundRobin", ["c", "d", "a", "b"]),
    ],
)
@in_virtual_time
async def test_workers_come_in_the_order_in_which_they_would_be_asked(kind: str, first: list[str], size: int) -> None:
    call = Caller()
    await call.settings()
    await call("UpsertDistributionPolicy", "q", body={"mode": {"kind": kind}})
    await asyncio.sleep(5)
    if kind == "roundRobin":
        for id in ("a", "b"):
            await call.worker(id)
            await call.job(f"for-{id}")
            await asyncio.sleep(0.1)
            await call("CancelJob", f"for-{id}")
            await asyncio.sleep(0.1)
    for id in ("c", "a", "b", "d"):
        await call.worker(id)
        await asyncio.sleep(1)
    for id in ("z", "y"):
        await call.worker(id, availableForOffers=False)
    nobody = {"key": "a", "labelOperator": "equal", "value": 1}
    await call.job("j", requestedWorkerSelectors=[nobody])
    await asyncio.sleep(0.1)
    assert await pages(call, size) == [*first, "y", "z"]


async def test_large_workers_are_read_a_few_at_a_time_and_the_pages_name_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand of the largest would fill the memory of an instance."""
    call = Caller()
    await call.settings()
    labels = {f"k{number}": "x" * 16_000 for number in range(9)}
    for number in range(70):
        await call.worker(f"w{number:02}", labels=labels, availableForOffers=number % 2 == 0)
    await call.job("j", channelId="chat")

    async def queued() -> bool:
        return bool((await call("GetJob", "j")).body["status"] == "queued")

    await eventually_async(queued, "the job is queued")
    reading = most = 0
    load = call.parts.workers.store.load

    async def watched(id: str) -> Any:
        nonlocal reading, most
        if not EXPLAINING.get():  # what follows the changes above
            return await load(id)
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        try:
            return await load(id)
        finally:
            reading -= 1

    monkeypatch.setattr(call.parts.workers.store, "load", watched)
    EXPLAINING.set(True)
    pages = [page.body["workers"] for page in await call.pages("ExplainJob", "j", maxpagesize="1000")]
    named = [one["workerId"] for page in pages for one in page]
    assert sorted(named) == [f"w{number:02}" for number in range(70)]
    assert max(map(len, pages)) <= 40
    assert 1 < most <= 32
