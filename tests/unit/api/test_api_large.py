"""Resources as large as they may be: no turn of the loop is long, whatever is done with them, and no page is larger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from router.models.sizes import LARGEST_PAGE
from tests.loop_holds import measured
from tests.unit.api.api_caller import Caller
from tests.yardstick import slower

pytestmark = pytest.mark.timed

T = TypeVar("T")

#: Near the limit of what a client may write, each of a kind that takes long to read and to write.
NOTES = {"notes": [{"message": "n" * 95, "addedAt": "2025-01-01T00:00:00Z"} for _ in range(1000)]}
LABELS = {"labels": {f"k{number}": "中" * 5_000 for number in range(10)}}
TEXTS = {"labels": {f"k{number}": "x" * 15_500 for number in range(10)}}
RULES = {
    "exceptionRules": [
        {
            "id": f"r{number}",
            "trigger": {"kind": "queueLength", "threshold": 1_000_000},
            "actions": [{"kind": "cancel", "note": "n"} for _ in range(16)],
        }
        for number in range(90)
    ]
}
#: Of processor time: up to 3, on a quick machine. The longest of these steps took 7 to 21 ms on the loop.
MOST_MS = 6.0
#: The best of so many counts: whatever else takes time, it is not there each time.
ROUNDS = 3


class Steps:
    """Steps by name, and the longest turn of the loop in each, at best."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}

    async def take(self, name: str, step: Coroutine[Any, Any, T]) -> T:
        with measured() as holds:
            done = await asyncio.create_task(step)
            await asyncio.sleep(0)
        took = holds.longest()
        self.longest[name] = min(took, self.longest.get(name, took))
        return done

    def check(self, most: float = MOST_MS) -> None:
        assert max(self.longest.values()) < most * slower(time.thread_time), self.longest


async def until_offered(call: Caller) -> str:
    async with asyncio.timeout(30):
        while True:
            worker = (await asyncio.create_task(call("GetWorker", "w"))).body
            if worker["offers"]:
                return str(worker["offers"][0]["offerId"])
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("shape", [NOTES, LABELS], ids=["notes", "labels"])
async def test_the_life_of_a_large_job(shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # What the tables in memory look at besides is no work of the router.
    monkeypatch.setattr("tests.sim.memory_tables.check", lambda _: None)
    call, steps = Caller(), Steps()
    await call.settings()
    await call.worker("w", **({"labels": shape["labels"]} if "labels" in shape else {}))
    for number in range(ROUNDS):
        job = f"j{number}"
        assert (await steps.take("create", call.job(job, **shape))).status == 201
        assert (await steps.take("get", call("GetJob", job))).status == 200
        assert (await steps.take("patch", call("UpsertJob", job, body={"tags": {"a": number}}))).status == 200
        offer = await steps.take("offer", until_offered(call))
        accepted = await steps.take("accept", call("AcceptJobOffer", "w", offer))
        assignment = accepted.body["assignmentId"]
        assert (await steps.take("complete", call("CompleteJob", job, assignment))).status == 200
        assert (await steps.take("close", call("CloseJob", job, assignment))).status == 200
        await steps.take("follow", asyncio.sleep(0.5))  # its events go out, and its row is cleared
        assert (await steps.take("list", call("GetJobs"))).status == 200
    steps.check()


async def test_a_large_policy() -> None:
    call, steps = Caller(), Steps()
    await call.settings()
    for number in range(ROUNDS):
        id = f"p{number}"
        assert (await call("UpsertExceptionPolicy", id, body=RULES)).status == 201
        assert (await steps.take("get", call("GetExceptionPolicy", id))).status == 200
        assert (await steps.take("list", call("ListExceptionPolicies"))).status == 200
    steps.check(4)


@pytest.mark.parametrize("singly", [False, True], ids=["together", "singly"])
async def test_a_page_of_large_jobs_ends_early_and_the_pages_have_them_all(
    singly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Caller()
    await call.settings()
    made = [f"j{number:03}" for number in range(70)]
    for job in made:
        assert (await call.job(job, **TEXTS)).status == 201
    await call.job("small")
    if singly:
        monkeypatch.setattr("router.usecases.lists.Lister._few", nothing)
        monkeypatch.setattr("router.usecases.lists.Lister._read_together", nothing)
    filters: tuple[dict[str, Any], ...] = ({}, {"status": "active"})
    for query in filters:
        pages = await call.pages("GetJobs", maxpagesize="1000", **query)
        assert [id for page in pages for id in page.ids] == ["small", *reversed(made)]
        assert len(pages) == 3
        assert max(len(page.raw) for page in pages) <= LARGEST_PAGE * 1.1
        assert all(len(page.raw) > LARGEST_PAGE / 2 for page in pages[:-1])


async def nothing(*_: Any) -> None:
    return None


async def test_a_page_of_large_settings_ends_early_too() -> None:
    call = Caller()
    made = [f"q{number:03}" for number in range(40)]
    await call("UpsertDistributionPolicy", "q", body={"mode": {"kind": "longestIdle"}})
    for queue in made:
        assert (await call("UpsertQueue", queue, body={"distributionPolicyId": "q", **TEXTS})).status == 201
    pages = await call.pages("GetQueues", maxpagesize="1000")
    assert [id for page in pages for id in page.ids] == made[::-1]
    assert len(pages) == 2
    assert max(len(page.raw) for page in pages) <= LARGEST_PAGE * 1.1
