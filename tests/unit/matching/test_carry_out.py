"""What a plan leaves: offers that both sides know, and nothing reserved for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from router.engine.plan import Match, Plan
from router.matching import carry_out, rows
from router.matching.attach import ATTACH_WITHIN
from router.matching.carry_out import Done
from router.matching.notes import Notes
from router.matching.rounds import HoldLost
from router.matching.scene import Scene
from router.matching.scene import scene as scene_of
from router.matching.scores import back_off
from router.models.jobs import CancelJobOptions, JobStatus
from router.storage.port import Entity, RowChanged, StorageUnavailable
from router.usecases import jobs as job_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time
from tests.unit.engine.engine_records import selector


async def _process(
    *, kind: str = "longestIdle", workers: Sequence[str] = ("w",), jobs: Sequence[str] = ("j",)
) -> Process:
    """One whose commits ask for no rounds: the test carries out a plan of its own."""
    process = Process(Tables(), drives=False)
    await process.queue("q", kind)
    for id in workers:
        await process.worker(id)
        await asyncio.sleep(0.01)
    for id in jobs:
        await process.job(id)
        await asyncio.sleep(0.01)
    return process


async def _claimed() -> None:
    """Whoever carries out has the queue."""


async def _carry_out(
    process: Process,
    *pairs: tuple[str, str],
    meanwhile: Callable[[], Awaitable[object]] | None = None,
    announced: list[tuple[list[str], list[str]]] | None = None,
) -> tuple[Done, Scene]:
    """Carries out what was planned of the queue as it is; `meanwhile` happens between the two."""
    parts = process.parts
    scene = await scene_of(parts, "q", Notes())
    found = (await rows.jobs(parts, scene, 99, _claimed)).found
    records = {id: row.record for id, (_, row) in found.items() if row.record is not None}
    plan = Plan(tuple(Match(records[job_id], worker_id) for job_id, worker_id in pairs), frozenset())
    if meanwhile is not None:
        await meanwhile()

    async def announce(workers: Sequence[str], jobs: Sequence[str]) -> None:
        if announced is not None:
            announced.append((list(workers), list(jobs)))

    round: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    try:
        return await carry_out.carry_out(parts, scene, plan, found, announce, _claimed, round), scene
    finally:
        round.set_result(None)


async def _held(process: Process, worker_id: str) -> list[str]:
    return [one.job_id for one in (await process.read_worker(worker_id)).worker.offers]


async def _agree(process: Process, jobs: Sequence[str], workers: Sequence[str]) -> None:
    """Each offer is known to both sides."""
    by_jobs = {
        (offer_id, one.worker_id)
        for id in jobs
        for offer_id, one in (await process.read_job(id)).routing.offers.items()
    }
    by_workers = {(one.offer_id, id) for id in workers for one in (await process.read_worker(id)).worker.offers}
    assert by_jobs == by_workers


@in_virtual_time
async def test_a_job_that_enters_is_queued_and_offered_by_one_write() -> None:
    process = await _process()
    process.tables.calls.clear()
    done, _ = await _carry_out(process, ("j", "w"))
    assert (done.offered, done.again) == (1, False)
    assert process.tables.count("replace", "jobs") == 1
    assert process.tables.count("replace", "workers") == 1
    assert (await process.read_job("j")).status is JobStatus.QUEUED
    await _agree(process, ["j"], ["w"])
    assert await process.offered_to("j") == ["w"]
    assert (await process.parts.backlog.line("q", 9)).jobs == []  # it has all its offers
    assert await process.parts.backlog.count("q") == 1


@in_virtual_time
async def test_what_is_about_to_happen_is_announced_first() -> None:
    process = await _process(jobs=["j", "k"])
    announced: list[tuple[list[str], list[str]]] = []
    await _carry_out(process, ("j", "w"), announced=announced)
    assert announced == [(["w"], ["j"])]


@in_virtual_time
async def test_nothing_is_begun_when_the_hold_is_lost() -> None:
    process = await _process()
    parts = process.parts
    scene = await scene_of(parts, "q", Notes())
    found = (await rows.jobs(parts, scene, 99, _claimed)).found
    record = await process.read_job("j")

    async def lost(workers: Sequence[str], jobs: Sequence[str]) -> None:
        raise HoldLost

    round: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(HoldLost):
        await carry_out.carry_out(parts, scene, Plan((Match(record, "w"),), frozenset()), found, lost, _claimed, round)
    assert await _held(process, "w") == []
    assert (await process.read_job("j")).status is JobStatus.CREATED


@in_virtual_time
async def test_who_enters_is_queued_though_nobody_is_free() -> None:
    process = await _process(workers=[], jobs=["j", "k"])
    done, _ = await _carry_out(process)
    assert done.offered == 0
    for id in ("j", "k"):
        assert (await process.read_job(id)).status is JobStatus.QUEUED
    line = (await process.parts.backlog.line("q", 9)).jobs
    assert [(one.job_id, one.entering) for one in line] == [("j", False), ("k", False)]


@pytest.mark.parametrize("stands_still", [False, True])
@in_virtual_time
async def test_who_enters_late_waits_without_the_selectors_whose_time_is_over(stands_still: bool) -> None:
    """They are counted from when it came. With one more worker for it, it is planned again before those behind it."""
    process = await _process(jobs=[])
    await process.job(
        "j", priority=5, requested_worker_selectors=[selector("language", "equal", "x", expires_after_seconds=2)]
    )
    # Before it looks at what there is, or between that and what it writes.
    await asyncio.sleep(0 if stands_still else 3)
    done, _ = await _carry_out(process, meanwhile=(lambda: asyncio.sleep(3)) if stands_still else None)
    assert (done.entered, done.again) == (1, True)
    (waiting,) = (await process.parts.backlog.line("q", 9)).jobs
    assert (waiting.entering, list(waiting.selectors)) == (False, [])
    record = await process.read_job("j")
    assert [str(one.status) for one in record.job.requested_worker_selectors] == ["expired"]
    assert record.job.enqueued_at == record.routing.created_at
    done, _ = await _carry_out(process, ("j", "w"))
    assert (done.offered, done.again) == (1, False)


@pytest.mark.parametrize("offered", [False, True])
@in_virtual_time
async def test_who_enters_late_and_is_not_urgent_any_more_waits_where_that_puts_it(offered: bool) -> None:
    process = await _process(jobs=["k"])
    await process.job(
        "j", requested_worker_selectors=[selector("Id", "equal", "w", expires_after_seconds=2, expedite=True)]
    )
    assert [one.job_id for one in (await process.parts.backlog.line("q", 9)).jobs] == ["j", "k"]
    await asyncio.sleep(3)
    done, _ = await _carry_out(process, *([("j", "w")] if offered else []))
    assert (done.offered, done.entered, done.again) == (0, 2, True)
    assert await _held(process, "w") == []
    line = (await process.parts.backlog.line("q", 9)).jobs
    assert [(one.job_id, one.entering) for one in line] == [("k", False), ("j", False)]


async def _waiting(*, workers: Sequence[str] = ("w",), jobs: Sequence[str] = ("j",)) -> Process:
    """The jobs have been queued before the workers came."""
    process = await _process(workers=[], jobs=jobs)
    await _carry_out(process)
    for id in workers:
        await process.worker(id)
    process.tables.calls.clear()
    return process


async def _open(process: Process) -> list[str]:
    return [one.job_id for one in (await process.parts.backlog.line("q", 9)).jobs]


@in_virtual_time
async def test_a_row_of_the_line_is_closed_before_its_job_has_the_offers() -> None:
    """Who accepts one at once takes the row away: what is closed with it in one transaction would fail."""
    process = await _waiting(workers=["v", "w"], jobs=["j", "k"])
    announced: list[tuple[list[str], list[str]]] = []
    await _carry_out(process, ("j", "v"), ("k", "w"), announced=announced)
    calls = [(call.kind, call.table) for call in process.tables.calls]
    assert calls.index(("transact", "backlog")) < calls.index(("replace", "jobs"))
    assert calls.count(("transact", "backlog")) == 1
    assert announced == [(["v", "w"], ["j", "k"])]  # whoever takes over opens them again
    assert await _open(process) == []
    assert await process.parts.backlog.count("q") == 2


@in_virtual_time
async def test_a_job_that_takes_more_offers_stays_open() -> None:
    process = await _waiting(workers=["v", "w"])
    await process.queue("q", maxConcurrentOffers=2)
    await _carry_out(process, ("j", "v"))
    assert await _open(process) == ["j"]
    await _carry_out(process, ("j", "w"))
    assert await _open(process) == []


@in_virtual_time
async def test_a_row_that_was_closed_in_vain_is_opened_again() -> None:
    process = await _waiting(workers=["v", "w"], jobs=["j", "k"])
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(
        process, ("j", "v"), ("k", "w"), meanwhile=lambda: other.worker("v", available_for_offers=False)
    )
    # The worker of `j` has changed, and `k` is not to have what `j` could have instead.
    assert (done.offered, done.again) == (0, True)
    assert await _open(process) == ["j", "k"]


@in_virtual_time
async def test_a_row_that_somebody_has_written_since_is_not_closed() -> None:
    process = await _waiting()
    other = Process(process.tables, seed=2, drives=False)
    labels = [selector("Id", "equal", "nobody")]
    done, _ = await _carry_out(process, ("j", "w"), meanwhile=lambda: other.job("j", requested_worker_selectors=labels))
    assert done.offered == 0
    (found,) = (await process.parts.backlog.line("q", 9)).jobs
    assert [one.value for one in found.selectors] == ["nobody"]


@in_virtual_time
async def test_a_reservation_whose_answer_was_lost_is_given_back_though_somebody_wrote_after_it() -> None:
    process = await _process()
    workers = process.tables.of("workers")
    write = workers.replace

    def answer_is_lost(entity: Entity) -> str:
        workers.replace = write  # type: ignore[method-assign]
        workers.replace(entity)
        (row,) = workers.all()
        workers.replace(replace(row, columns={**row.columns, "Commit": "another"}))
        raise RowChanged

    workers.replace = answer_is_lost  # type: ignore[method-assign]
    done, _ = await _carry_out(process, ("j", "w"))
    assert (done.offered, done.again) == (0, True)
    assert await _held(process, "w") == []


@in_virtual_time
async def test_the_index_follows_the_reservations() -> None:
    process = await _process()
    await process.worker("w", capacity=2)
    done, _ = await _carry_out(process, ("j", "w"))
    ((found,), _) = await process.parts.availability.available("q", "i", 9)
    assert found.candidate is not None
    assert found.candidate.used == 1
    assert found.row in done.rows


@in_virtual_time
async def test_a_worker_that_has_changed_gets_nothing_and_the_job_is_planned_again() -> None:
    process = await _process()
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(process, ("j", "w"), meanwhile=lambda: other.worker("w", available_for_offers=False))
    assert (done.offered, done.again) == (0, True)
    assert await process.offered_to("j") == []
    assert await _held(process, "w") == []
    assert (await process.read_job("j")).status is JobStatus.QUEUED
    assert [one.job_id for one in (await process.parts.backlog.line("q", 9)).jobs] == ["j"]


@in_virtual_time
async def test_a_job_that_has_ended_gives_its_worker_back() -> None:
    process = await _process()
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(
        process, ("j", "w"), meanwhile=lambda: job_usecases.cancel(other.parts, "j", CancelJobOptions())
    )
    assert (done.offered, done.again) == (0, True)
    assert await _held(process, "w") == []
    assert (await process.read_job("j")).status is JobStatus.CANCELLED
    assert await process.parts.backlog.count("q") == 0


@in_virtual_time
async def test_a_job_that_has_gone_further_back_does_not_take_the_offer() -> None:
    """Somebody else comes first now: who that is says the next plan."""
    process = await _process()
    await process.job("j", priority=5)
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(process, ("j", "w"), meanwhile=lambda: other.job("j", priority=1))
    assert (done.offered, done.again) == (0, True)
    assert await _held(process, "w") == []


@in_virtual_time
async def test_a_job_that_has_come_further_forward_takes_it() -> None:
    process = await _process()
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(process, ("j", "w"), meanwhile=lambda: other.job("j", priority=9))
    assert done.offered == 1
    await _agree(process, ["j"], ["w"])


@in_virtual_time
async def test_who_comes_first_and_lost_its_worker_is_not_passed_over() -> None:
    """`first` lost `v`, and could have `w`: that is not given to `second`."""
    process = await _process(workers=["v", "w"], jobs=["first", "second"])
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(
        process, ("first", "v"), ("second", "w"), meanwhile=lambda: other.worker("v", available_for_offers=False)
    )
    assert (done.offered, done.again) == (0, True)
    assert await _held(process, "w") == []
    assert await process.offered_to("second") == []


@in_virtual_time
async def test_who_cannot_have_the_other_worker_holds_nobody_back() -> None:
    process = await _process(workers=["v", "w"], jobs=["first", "second"])
    await process.job("first", requested_worker_selectors=[selector("Id", "equal", "v")])
    other = Process(process.tables, seed=2, drives=False)
    done, _ = await _carry_out(
        process, ("first", "v"), ("second", "w"), meanwhile=lambda: other.worker("v", available_for_offers=False)
    )
    assert (done.offered, done.again) == (1, True)
    assert await process.offered_to("second") == ["w"]
    await _agree(process, ["first", "second"], ["v", "w"])


@in_virtual_time
async def test_one_write_reserves_for_all_jobs_of_a_worker() -> None:
    process = await _process(jobs=["j", "k", "l"])
    await process.worker("w", capacity=2)
    process.tables.calls.clear()
    done, _ = await _carry_out(process, ("j", "w"), ("k", "w"), ("l", "w"))
    assert (done.offered, done.again) == (2, True)  # the third no longer fits
    assert process.tables.count("replace", "workers") == 1
    assert sorted(await _held(process, "w")) == ["j", "k"]
    await _agree(process, ["j", "k", "l"], ["w"])


@in_virtual_time
async def test_an_offer_that_comes_too_late_is_given_back() -> None:
    """Whoever takes the queue over may have given the capacity to somebody else by then."""
    process = await _process()
    slow = ATTACH_WITHIN.total_seconds() + 1

    async def before(call: Call) -> None:
        if (call.kind, call.table) == ("replace", "workers") and not process.tables.count("replace", "jobs"):
            await asyncio.sleep(slow)

    process.tables.before = before
    done, _ = await _carry_out(process, ("j", "w"))
    assert (done.offered, done.again) == (0, True)
    assert await _held(process, "w") == []
    assert await process.offered_to("j") == []


@in_virtual_time
async def test_what_storage_leaves_open_is_not_given_back() -> None:
    """The job may have the offer: a reservation that is given back would leave an offer that its worker does not
    know. Whoever holds the queue next looks after it."""
    process = await _process()

    async def before(call: Call) -> None:
        if (call.kind, call.table) == ("replace", "jobs"):
            raise StorageUnavailable("no answer")

    process.tables.before = before
    with pytest.raises(StorageUnavailable):
        await _carry_out(process, ("j", "w"))
    assert await _held(process, "w") == ["j"]


@in_virtual_time
async def test_a_reservation_that_fails_gives_the_others_back() -> None:
    process = await _process(workers=["v", "w"], jobs=["j", "k"])

    async def before(call: Call) -> None:
        if (call.kind, call.table, call.row) == ("replace", "workers", "w"):
            raise StorageUnavailable("no answer")

    process.tables.before = before
    with pytest.raises(StorageUnavailable):
        await _carry_out(process, ("j", "v"), ("k", "w"))
    assert await _held(process, "v") == []


@in_virtual_time
async def test_round_robin_remembers_who_was_served_last() -> None:
    process = await _process(kind="roundRobin", workers=["a", "b"], jobs=["j", "k"])
    await _carry_out(process, ("j", "a"), ("k", "b"))
    turn = await process.parts.availability.turn("q")
    assert turn is not None
    assert turn.worker_id == "b"


@in_virtual_time
async def test_an_offer_expires_as_its_policy_says() -> None:
    process = await _process()
    _, scene = await _carry_out(process, ("j", "w"))
    (offer,) = (await process.read_job("j")).routing.offers.values()
    lasts: datetime = scene.now + timedelta(seconds=60)
    assert (offer.offered_at, offer.expires_at) == (scene.now, lasts)
    (held,) = (await process.read_worker("w")).worker.offers
    assert held.expires_at == lasts


@in_virtual_time
async def test_scoring_that_fails_is_put_off_at_most_five_minutes() -> None:
    process = await _process(workers=[])
    await _carry_out(process)
    waits = []
    for _ in range(10):
        await back_off(process.parts, "q", "j", "why")
        record = await process.read_job("j")
        assert record.routing.retry_at is not None
        waits.append((record.routing.retry_at - process.parts.clock.now()).total_seconds())
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]


@in_virtual_time
async def test_who_does_not_wait_is_not_put_off() -> None:
    process = await _process()
    await back_off(process.parts, "q", "j", "why")
    assert (await process.read_job("j")).routing.retry_at is None
