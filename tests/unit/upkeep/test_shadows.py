"""Each morning's report of what candidates for distribution policies would have done."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from jobrouter.whatif.changes import changed
from jobrouter.whatif.changes import shadows as as_changes
from router.models.jobs import CloseJobOptions, CompleteJobOptions
from router.models.selectors import RouterWorkerSelector
from router.models.types import format_time
from router.replay.behaviour import Draws, observe
from router.replay.history import Day
from router.replay.play import Play
from router.replay.shadows import shadows
from router.upkeep import shadow_process
from router.upkeep import shadows as upkeep
from router.upkeep.facts import FactCounter
from router.upkeep.shadows import ShadowReplayer, TookTooLong, TooMuch, in_a_process
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from tests.memory_router import START, Process, Tables, in_virtual_time
from tests.unit.api.api_caller import Caller
from tests.unit.whatif.whatif_days import day as made_day
from tests.unit.whatif.whatif_days import profile

FRENCH = RouterWorkerSelector.model_validate({"key": "french", "labelOperator": "equal", "value": True})
MIDNIGHT = START.replace(hour=0) + timedelta(days=1)
YESTERDAY = START.date()


class InProcess:
    """In this process, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []

    async def __call__(self, told: AsyncIterator[str]) -> list[dict[str, Any]]:
        self.told.append([line async for line in told])
        return shadow_process.found(self.told[-1])


async def upsert(process: Process, kind: str, id: str, document: dict[str, Any]) -> None:
    await setting_usecases.upsert(process.parts, kind, id, lambda _: document, lambda *_: None)


async def work(process: Process, worker_id: str, until: float) -> None:
    """Takes whatever it is offered, and is done after two minutes."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        offers = (await process.read_worker(worker_id)).worker.offers
        if not offers:
            await asyncio.sleep(5)
            continue
        job_id, assignment_id = await offer_usecases.accept(process.parts, worker_id, offers[0].offer_id)
        await asyncio.sleep(120)
        await job_usecases.complete(process.parts, job_id, assignment_id, CompleteJobOptions())
        await job_usecases.close(process.parts, job_id, assignment_id, CloseJobOptions())


async def a_day(process: Process) -> None:
    """Jobs that ask for French come each 100 s, and take 120 s of the one who speaks it; another worker does not. The
    candidate looks at no selectors. Then it is night, and all is counted."""
    await process.queue()
    free = {"offerExpiresAfterSeconds": 60, "mode": {"kind": "longestIdle", "bypassSelectors": True}}
    await upsert(process, "DistributionPolicy", "free", free)
    labels = {"shadowPolicyId": "free", "serviceLevelSeconds": 30}
    await upsert(process, "Queue", "q", {"distributionPolicyId": "q", "labels": labels})
    await process.worker("speaks", labels={"french": True})
    await process.worker("does-not")
    working = [asyncio.create_task(work(process, one, 2700.0)) for one in ("speaks", "does-not")]
    for number in range(20):
        await process.job(f"j{number}", requested_worker_selectors=[FRENCH])
        await asyncio.sleep(100)
    await asyncio.gather(*working)
    await counted(process)


async def counted(process: Process) -> None:
    """It is the next day, five past midnight, and yesterday is added up."""
    now = process.parts.clock.now()
    await asyncio.sleep((MIDNIGHT - now).total_seconds() + 300)
    await FactCounter(process.parts).count(process.parts.clock.now())
    assert await process.parts.days.done() == YESTERDAY


async def rows(process: Process) -> list[dict[str, Any]]:
    return [dict(one) for one in await process.parts.shadows.of(START - timedelta(days=1), MIDNIGHT, None)]


def told_of_a_day() -> list[str]:
    """What a process that plays the day is told."""
    told: list[list[str]] = []

    @in_virtual_time
    async def story() -> None:
        process, played = Process(Tables()), InProcess()
        await a_day(process)
        await ShadowReplayer(process.parts, played).look(process.parts.clock.now())
        told.extend(played.told)

    story()
    (only,) = told
    return only


@in_virtual_time
async def test_what_the_candidate_would_have_done_is_in_the_report() -> None:
    call = Caller()
    process = call.process
    await a_day(process)
    before = {name: process.tables.of(name).all() for name in ("jobs", "workers", "queues", "policies", "backlog")}
    played = InProcess()
    replayer = ShadowReplayer(process.parts, played)
    now = process.parts.clock.now()
    await replayer.look(now)
    (row,) = (await call("GetShadowReport")).body["value"]
    assert (row["from"], row["to"]) == (format_time(MIDNIGHT - timedelta(days=1)), format_time(MIDNIGHT))
    assert (row["queueId"], row["distributionPolicyId"], row["candidatePolicyId"]) == ("q", "q", "free")
    assert (row["jobs"], row["replications"], row["thresholdSeconds"]) == (20, 10, 30)
    wait = row["figures"]["meanWait"]
    assert wait["before"] > 150, "the only one who speaks French has more to do than there is time for"
    assert wait["after"] < 10, "the other one would have had every second job"
    assert wait["difference"] < -140
    assert 0 <= wait["half95"] < 10
    assert row["figures"]["serviceLevel"]["after"] > 95
    assert row["sentence"].startswith("queue 'q' with policy 'free' instead of 'q': service level")
    # It writes nothing of routing, and is done once, whoever looks again.
    assert {name: process.tables.of(name).all() for name in before} == before
    for one in (replayer, ShadowReplayer(process.parts, played)):
        await one.look(now + timedelta(minutes=30))
    assert len(played.told) == 1
    sheet = (await call("GetShadowReport", format="csv", queueId="q")).raw.decode()
    (line,) = csv.DictReader(io.StringIO(sheet))
    assert (line["queueId"], float(line["meanWaitAfter"])) == ("q", wait["after"])
    assert (await call("GetShadowReport", queueId="other")).body["value"] == []
    long_ago = format_time(START - timedelta(days=500))
    assert (await call("GetShadowReport", **dict[str, Any]([("from", long_ago)]))).status == 400


def test_a_process_of_its_own_finds_the_same() -> None:
    told = told_of_a_day()

    async def lines() -> AsyncIterator[str]:
        for one in told:
            yield one

    found = asyncio.run(in_a_process(lines()))
    assert found == shadow_process.found(told)
    assert [one["queueId"] for one in found] == ["q"]
    asked = json.loads(told[0])[1]
    assert asked["thresholds"] == {"q": 30.0}


def test_a_process_that_fails_says_why() -> None:
    async def lines() -> AsyncIterator[str]:
        yield json.dumps(["asked", {"from": "x", "to": "y", "thresholds": {}, "otherwise": 20}])
        yield "no JSON"

    with pytest.raises(OSError, match="the day has failed"):
        asyncio.run(in_a_process(lines()))


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_ENDS_SECONDS", 0.01)

    async def lines() -> AsyncIterator[str]:
        await asyncio.sleep(60)
        yield ""

    with pytest.raises(TookTooLong):
        asyncio.run(in_a_process(lines()))


@in_virtual_time
async def test_nothing_is_read_of_the_day_where_no_queue_names_a_candidate() -> None:
    process, played = Process(Tables()), InProcess()
    await process.queue()
    await counted(process)
    replayer = ShadowReplayer(process.parts, played)
    await replayer.look(process.parts.clock.now())
    assert played.told == []
    assert await rows(process) == []
    calls = len(process.tables.calls)
    for _ in range(3):
        replayer.refresh()
        await asyncio.sleep(61)
    assert len(process.tables.calls) == calls, "until the next midnight there is nothing to ask for"


@in_virtual_time
async def test_who_dies_at_it_is_replaced_and_nobody_does_it_beside_him() -> None:
    process, played = Process(Tables()), InProcess()
    await a_day(process)
    now = process.parts.clock.now()

    async def dies(told: AsyncIterator[str]) -> list[dict[str, Any]]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await ShadowReplayer(process.parts, dies).look(now)
    other = ShadowReplayer(process.parts, played)
    await other.look(now + timedelta(minutes=5))
    assert played.told == []
    await other.look(now + timedelta(minutes=21))
    assert len(played.told) == 1
    assert len(await rows(process)) == 1


@in_virtual_time
async def test_a_day_that_is_not_counted_yet_waits() -> None:
    process, played = Process(Tables()), InProcess()
    await a_day(process)
    tomorrow = process.parts.clock.now() + timedelta(days=1)
    await ShadowReplayer(process.parts, played).look(tomorrow)
    assert played.told == []


@pytest.mark.parametrize("failure", [TooMuch("too many entries"), OSError("no such file")])
def test_why_nothing_is_predicted_is_in_the_report(failure: Exception) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await a_day(process)

        async def fails(told: AsyncIterator[str]) -> list[dict[str, Any]]:
            raise failure

        await ShadowReplayer(process.parts, fails).look(process.parts.clock.now())
        (row,) = await rows(process)
        assert (row["queueId"], row["candidatePolicyId"], row["notPredicted"]) == ("q", "free", str(failure))

    story()


@in_virtual_time
async def test_what_took_too_long_is_tried_again() -> None:
    process, played = Process(Tables()), InProcess()
    await a_day(process)
    now = process.parts.clock.now()

    async def slow(told: AsyncIterator[str]) -> list[dict[str, Any]]:
        raise TookTooLong("It was not played within 10 minutes.")

    await ShadowReplayer(process.parts, slow).look(now)
    (row,) = await rows(process)
    assert "notPredicted" in row
    await ShadowReplayer(process.parts, played).look(now + timedelta(minutes=21))
    (row,) = await rows(process)
    assert "figures" in row


@in_virtual_time
async def test_a_candidate_that_is_no_policy_is_told() -> None:
    process, played = Process(Tables()), InProcess()
    await a_day(process)
    await upsert(process, "Queue", "q", {"distributionPolicyId": "q", "labels": {"shadowPolicyId": "gone"}})
    # The queue named the other one when the day ended: that is what it is about.
    await ShadowReplayer(process.parts, played).look(process.parts.clock.now())
    (row,) = await rows(process)
    assert row["candidatePolicyId"] == "free"
    told = [one.replace('\\"shadowPolicyId\\":\\"free\\"', '\\"shadowPolicyId\\":\\"gone\\"') for one in played.told[0]]
    assert told != played.told[0]
    (found,) = shadow_process.found(told)
    assert found["notPredicted"] == "queue 'q': its shadowPolicyId 'gone' is no distribution policy of the file"


def test_too_large_a_day_is_left_to_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.replay.verdicts.MOST_JOBS", 10)
    (found,) = shadow_process.found(told_of_a_day())
    assert "`jobrouter whatif --shadow`" in found["notPredicted"]


def test_the_command_and_the_router_change_a_day_alike() -> None:
    made = profile()
    made["queues"]["q"]["labels"] = {"shadowPolicyId": "other"}
    made["distributionPolicies"]["other"] = {"mode": {"kind": "roundRobin", "bypassSelectors": True}}
    before = made_day(made)
    (shadow,) = shadows(before)
    (change,) = as_changes(before)

    def assigned(day: Day) -> list[tuple[str, str, float]]:
        return Play(day, Draws(observe(before), 0)).run().assignments

    by_router, by_command = assigned(shadow.on(before)), assigned(changed(before, change))
    assert by_router == by_command
    assert by_router != assigned(before)


def test_a_claim_is_by_day() -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        now, store = process.parts.clock.now(), process.parts.shadows
        until = now + timedelta(minutes=20)
        assert await store.claim(date(2024, 3, 3), now, until) is True
        assert await store.claim(date(2024, 3, 3), now, until) is False
        await store.finish(date(2024, 3, 3))
        assert await store.claim(date(2024, 3, 3), now, until) is None
        assert await store.claim(date(2024, 3, 2), now, until) is None, "older days are not made up for"
        assert await store.claim(date(2024, 3, 4), now, until) is True

    story()
