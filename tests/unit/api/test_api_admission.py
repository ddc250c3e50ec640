"""One who floods waits behind himself; what moves work on goes before new work; nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from router.api.admission import MOST_AHEAD, SUBMISSIONS, Admission, TooManyAtOnce
from router.errors import Busy
from router.models.operations import OPERATIONS


async def hold(admission: Admission, caller: str, operation: str, order: list[str], seconds: float = 0.01) -> None:
    async with admission.take(caller, operation):
        order.append(f"{caller} {operation}")
        await asyncio.sleep(seconds)


async def test_callers_take_turns() -> None:
    admission, order = Admission(most=1, most_submissions=1), list[str]()
    flood = [asyncio.create_task(hold(admission, "flood", "UpsertJob", order)) for _ in range(20)]
    await asyncio.sleep(0)
    calm = [asyncio.create_task(hold(admission, "calm", "UpsertJob", order)) for _ in range(2)]
    await asyncio.gather(*flood, *calm)
    places = [number for number, who in enumerate(order) if who.startswith("calm")]
    assert places[-1] <= 5
    assert (admission.running, admission.running_submissions) == (0, 0)


async def test_what_reads_or_moves_work_on_goes_first() -> None:
    admission, order = Admission(most=1, most_submissions=1), list[str]()
    jobs = [asyncio.create_task(hold(admission, "a", "UpsertJob", order)) for _ in range(5)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(hold(admission, "a", name, order)) for name in ("GetJob", "AcceptJobOffer")]
    await asyncio.gather(*jobs, *others)
    assert order[1:3] == ["a GetJob", "a AcceptJobOffer"]


async def test_a_flood_of_reads_does_not_keep_out_all_submissions() -> None:
    admission, order = Admission(most=1, most_submissions=1), list[str]()
    reads = [asyncio.create_task(hold(admission, "a", "GetJob", order, 0)) for _ in range(3 * MOST_AHEAD)]
    await asyncio.sleep(0)
    jobs = [asyncio.create_task(hold(admission, "a", "UpsertJob", order, 0)) for _ in range(5)]
    await asyncio.gather(*reads, *jobs)
    places = [number for number, who in enumerate(order) if who == "a UpsertJob"]
    assert places[0] <= MOST_AHEAD + 2  # some reads were there before
    assert places[1] - places[0] == MOST_AHEAD + 1


async def test_submissions_leave_room_for_the_others() -> None:
    admission, order = Admission(most=3, most_submissions=2), list[str]()
    jobs = [asyncio.create_task(hold(admission, "a", "UpsertJob", order, 0.2)) for _ in range(10)]
    await asyncio.sleep(0)
    assert (admission.running, admission.running_submissions) == (2, 2)
    await asyncio.wait_for(hold(admission, "b", "GetJob", order), 0.1)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert (admission.running, admission.running_submissions) == (0, 0)
    await asyncio.wait_for(hold(admission, "b", "UpsertJob", order), 0.1)


async def test_one_too_many_of_the_caller_who_floods_is_told_so_and_another_is_not() -> None:
    admission, order = Admission(most=1, most_submissions=1, most_waiting=10), list[str]()
    flood = [asyncio.create_task(hold(admission, "flood", "UpsertJob", order, 0.05)) for _ in range(11)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAtOnce) as refused:
        await hold(admission, "flood", "UpsertJob", order)
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    await hold(admission, "calm", "GetJob", order)
    await asyncio.gather(*flood)


async def test_nobody_waits_for_longer_than_a_client_would() -> None:
    admission, order = Admission(most=1, most_submissions=1, longest=0.05), list[str]()
    first = asyncio.create_task(hold(admission, "a", "GetJob", order, 0.3))
    await asyncio.sleep(0)
    with pytest.raises((TooManyAtOnce, Busy)):
        await hold(admission, "a", "GetJob", order)
    await first
    assert admission.running == 0


async def test_with_room_nobody_waits() -> None:
    admission, order = Admission(), list[str]()
    await asyncio.gather(*(hold(admission, "a", "UpsertJob", order) for _ in range(200)))
    assert len(order) == 200


def test_submissions_are_operations() -> None:
    assert {one.name for one in OPERATIONS} >= SUBMISSIONS


async def test_few_pages_are_made_at_a_time_and_they_hold_up_nothing_else() -> None:
    """Each may take some times its size while it is made."""
    admission, order = Admission(most_pages=2), list[str]()
    lists = [asyncio.create_task(hold(admission, "a", name, order)) for name in ("GetJobs", "ExplainJob", "GetQueues")]
    await asyncio.sleep(0)
    assert admission.running == 2
    await hold(admission, "a", "GetJob", order, 0)
    await asyncio.gather(*lists)
    assert order == ["a GetJobs", "a ExplainJob", "a GetJob", "a GetQueues"]
    assert admission.running == 0
