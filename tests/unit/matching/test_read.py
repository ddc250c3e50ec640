"""What a round looks at: the line, the team, and rows that tell what is no longer true."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from router.engine.evolve import evolve
from router.engine.service_order import Standing, standing
from router.matching import rows
from router.matching.notes import MOST_JOBS, Notes
from router.matching.rivals import rivals
from router.matching.rows import LEFT_BEHIND
from router.matching.scene import Scene, note_hopeless
from router.matching.scene import scene as scene_of
from router.matching.scores import scores
from router.models.jobs import JobStatus
from router.models.workers import RouterChannel
from router.storage.availability import Move
from router.storage.port import RowChanged
from tests.memory_router import Process, Tables, in_virtual_time
from tests.unit.engine.engine_records import selector

SKILLED: dict[str, Any] = {"requested_worker_selectors": [selector("skill", "greaterThan", 5)]}


async def _process(kind: str = "longestIdle", **mode: Any) -> Process:
    """One whose commits ask for no rounds: the test looks by itself."""
    process = Process(Tables(), drives=False)
    await process.queue("q", kind, **mode)
    return process


async def _unclaimed() -> None:
    raise AssertionError("little is read, and the queue is not asked for")


async def _claimed() -> None:
    """The queue is this process's."""


async def _scene(process: Process, notes: Notes | None = None) -> Scene:
    return await scene_of(process.parts, "q", notes if notes is not None else Notes())


def _line(scene: Scene) -> list[str]:
    return [one.job_id for one in scene.line]


async def _fill(process: Process, jobs: int, **fields: Any) -> None:
    """Jobs that wait: queued, as a round leaves them."""
    for number in range(jobs):
        await process.job(f"j{number:03}", **fields)
    await process.parts.rounds.ask(["q"], sure=True)


@in_virtual_time
async def test_a_scene_has_the_line_and_who_is_available() -> None:
    process = await _process()
    await process.worker("w", capacity=3)
    await process.worker("away", available_for_offers=False)
    await process.job("j")
    scene = await _scene(process)
    assert _line(scene) == ["j"]
    assert [one.worker_id for one in scene.candidates] == ["w"]
    assert scene.all_workers
    assert scene.room == 3
    assert not scene.more


@in_virtual_time
async def test_a_limit_of_offers_limits_the_room() -> None:
    process = await _process()
    await process.worker("w", capacity=9, max_concurrent_offers=2)
    assert (await _scene(process)).room == 2


@in_virtual_time
async def test_a_queue_without_policy_has_no_workers() -> None:
    process = Process(Tables(), drives=False)
    await process.worker("w", queues=[])
    scene = await _scene(process)
    assert scene.policy is None
    assert scene.candidates == []


@in_virtual_time
async def test_who_enters_is_in_order_only_before_who_has_been_read() -> None:
    """Those who enter are read first, wherever their place is: nobody may overtake whom no one has read yet."""
    process = await _process()
    await _fill(process, 40)
    await process.job("late")
    await process.job("urgent", priority=9)
    scene = await _scene(process)
    assert scene.more
    by_id = {one.job_id: one for one in scene.line}
    assert _line(scene)[:2] == ["urgent", "late"]
    assert scene.is_in_order(by_id["urgent"])
    assert not scene.is_in_order(by_id["late"])
    assert scene.is_in_order(by_id["j000"])


@in_virtual_time
async def test_who_waits_is_seen_however_many_enter() -> None:
    process = await _process()
    await _fill(process, 5)
    for number in range(40):
        await process.job(f"new{number:02}")
    scene = await _scene(process)
    assert scene.more_enter
    assert _line(scene)[-6:] == ["new29", *(f"j{number:03}" for number in range(5))]


@in_virtual_time
async def test_nobody_is_looked_at_who_may_stand_behind_one_that_enters_and_was_not_read() -> None:
    process = await _process()
    await process.worker("w", capacity=9)
    await process.job("ahead", priority=8)
    await process.job("behind", priority=1)
    await process.parts.rounds.ask(["q"], sure=True)
    other = Process(process.tables, seed=2, drives=False)
    for id in ("w2", "w3"):
        await other.worker(id, capacity=9)
    for number in range(6):
        await process.job(f"new{number}", priority=5)
    scene = await _scene(process)
    taken = await rows.jobs(process.parts, scene, 4, _unclaimed)
    assert taken.some_left
    assert set(taken.found) <= {"ahead", *(f"new{number}" for number in range(4))}
    assert not (await rows.jobs(process.parts, scene, 6, _unclaimed)).some_left


@in_virtual_time
async def test_what_a_round_does_not_take_on_is_left_to_the_next() -> None:
    """Else nobody would ever ask again for those who wait and can be taken."""
    process = await _process()
    await _fill(process, 6)
    await process.worker("w", capacity=9)
    scene = await _scene(process)
    taken = await rows.jobs(process.parts, scene, 4, _unclaimed)
    assert (list(taken.found), taken.some_left) == ([f"j{number:03}" for number in range(4)], True)
    taken = await rows.jobs(process.parts, scene, 6, _unclaimed)
    assert (len(taken.found), taken.some_left) == (6, False)


@in_virtual_time
async def test_much_is_read_only_by_who_has_the_queue() -> None:
    process = await _process()
    for number in range(6):
        await process.job(f"j{number}")
    other = Process(process.tables, seed=2, drives=False)
    scene = await scene_of(other.parts, "q", Notes())
    claims: list[bool] = []

    async def claim() -> None:
        claims.append(True)

    await rows.jobs(process.parts, await _scene(process), 99, claim)
    assert not claims  # it remembers what it has written
    await rows.jobs(other.parts, scene, 4, claim)
    assert not claims  # little
    await rows.jobs(other.parts, scene, 99, claim)
    assert claims == [True]


def test_a_round_takes_on_what_can_be_done_in_good_time() -> None:
    notes = Notes()
    first = notes.most
    notes.took(0.01, 0)
    assert notes.most == first  # that tells nothing
    notes.took(0.01, 9)
    assert notes.most == 2 * first
    for _ in range(9):
        notes.took(0.06, 10)
    assert notes.most == MOST_JOBS
    notes.took(6.0, 100)
    assert notes.most == 10
    notes.failed()
    assert notes.most == 5
    notes.failed_to_match()
    assert notes.most == 10
    notes.took(60.0, 5)
    notes.failed()
    assert notes.most >= 1


@in_virtual_time
async def test_needs_that_nobody_can_meet_are_not_read_again() -> None:
    process = await _process()
    await process.worker("w", labels={"skill": 1})
    await _fill(process, 3, **SKILLED)
    notes = Notes()
    scene = await _scene(process, notes)
    assert _line(scene) == ["j000", "j001", "j002"]
    assert all(scene.is_hopeless(one) for one in scene.line)
    note_hopeless(scene, notes)
    assert _line(await _scene(process, notes)) == []


@in_virtual_time
async def test_hope_comes_back_with_who_can_meet_the_needs() -> None:
    process = await _process()
    await process.worker("w", labels={"skill": 1})
    await _fill(process, 2, **SKILLED)
    notes = Notes()
    note_hopeless(await _scene(process, notes), notes)
    assert notes.hopeless
    await process.worker("v", labels={"skill": 9})
    assert _line(await _scene(process, notes)) == ["j000", "j001"]
    assert not notes.hopeless


@in_virtual_time
async def test_a_worker_that_is_busy_is_no_reason_to_give_up_hope() -> None:
    """Only what a worker is counts: its row is not read when it can take nothing, so nobody who is away is noted."""
    process = await _process()
    await process.worker("w", labels={"skill": 9})
    await _fill(process, 1)
    await process.job("skilled", **SKILLED)
    scene = await _scene(process)
    assert scene.candidates == []
    notes = Notes()
    note_hopeless(scene, notes)
    await process.worker("v", labels={"skill": 9})
    assert "skilled" in _line(await _scene(process, notes))


@in_virtual_time
async def test_at_most_some_needs_are_noted() -> None:
    process = await _process()
    await process.worker("w")
    for number in range(12):
        await process.job(f"j{number}", requested_worker_selectors=[selector("a", "equal", number)])
    await process.parts.rounds.ask(["q"], sure=True)
    notes = Notes()
    note_hopeless(await _scene(process, notes), notes)
    assert len(notes.hopeless) == 8


async def _large_team(process: Process) -> None:
    for number in range(70):
        await process.worker(f"w{number:02}", labels={"skill": number % 10, "number": number})


@in_virtual_time
async def test_of_a_large_team_who_fits_is_asked_for() -> None:
    process = await _process()
    await _large_team(process)
    await process.job("j", requested_worker_selectors=[selector("number", "equal", 69)])
    notes = Notes()
    scene = await _scene(process, notes)
    assert notes.is_large
    assert not scene.all_workers
    assert [one.worker_id for one in scene.candidates] == ["w69"]
    assert not any(scene.is_hopeless(one) for one in scene.line)


@in_virtual_time
async def test_hope_comes_back_in_a_large_team() -> None:
    process = await _process()
    await _fill(process, 1, requested_worker_selectors=[selector("number", "equal", 99)])
    notes = Notes()
    await process.worker("only", labels={})
    note_hopeless(await _scene(process, notes), notes)
    assert notes.hopeless
    await _large_team(process)
    assert _line(await _scene(process, notes)) == []
    await process.worker("late", labels={"number": 99})
    scene = await _scene(process, notes)
    assert _line(scene) == ["j000"]
    assert [one.worker_id for one in scene.candidates] == ["late"]


@in_virtual_time
async def test_the_best_of_a_large_team_is_looked_for_among_all() -> None:
    process = await _process("bestWorker")
    await _large_team(process)
    await process.job("j", requested_worker_selectors=[selector("skill", "greaterThanOrEqual", 5)])
    assert len((await _scene(process)).candidates) == 35


@in_virtual_time
async def test_round_robin_goes_on_in_a_large_team() -> None:
    """From behind the last one, round the end, to the first."""
    process = await _process("roundRobin")
    await _large_team(process)
    await process.job("j")
    first = (await _scene(process)).candidates
    assert [one.worker_id for one in first][:2] == ["w00", "w01"]
    await process.parts.availability.save_turn("q", "w67")
    assert [one.worker_id for one in (await _scene(process)).candidates][:4] == ["w68", "w69", "w00", "w01"]
    await process.parts.availability.save_turn("q", "w20")
    assert next(one.worker_id for one in (await _scene(process)).candidates) == "w21"


@in_virtual_time
async def test_the_team_may_become_small_again() -> None:
    process = await _process()
    await _large_team(process)
    notes = Notes()
    await _scene(process, notes)
    for number in range(69):
        await process.worker(f"w{number:02}", available_for_offers=False)
    assert not (await _scene(process, notes)).all_workers
    for _ in range(40):
        scene = await _scene(process, notes)
    assert scene.all_workers
    assert [one.worker_id for one in scene.candidates] == ["w69"]


@in_virtual_time
async def test_a_row_that_its_job_does_not_know_is_removed_when_it_is_old() -> None:
    process = await _process()
    await process.worker("w")
    await process.job("j")
    record = await process.read_job("j")
    where = standing(record)
    assert where is not None
    gone = record.model_copy(update={"job": record.job.model_copy(update={"id": "gone"})})
    place = type(where.place)(1, -1, where.place.enqueued_at, "gone")
    await process.parts.backlog.put(gone, type(where)("q", place), process.parts.clock.now())
    assert list((await rows.jobs(process.parts, await _scene(process), 99, _unclaimed)).found) == ["j"]
    assert _line(await _scene(process)) == ["j", "gone"]  # it may have come before its job
    await asyncio.sleep(LEFT_BEHIND.total_seconds() + 1)
    await rows.jobs(process.parts, await _scene(process), 99, _unclaimed)
    assert _line(await _scene(process)) == ["j"]


@in_virtual_time
async def test_as_many_jobs_are_read_as_can_be_taken() -> None:
    process = await _process()
    await _fill(process, 30)
    await process.worker("w", capacity=2)
    found = (await rows.jobs(process.parts, await _scene(process), 99, _unclaimed)).found
    assert list(found) == [f"j{number:03}" for number in range(7)]


@in_virtual_time
async def test_old_rows_of_a_job_that_were_looked_at_in_vain_do_not_hide_the_one_that_counts() -> None:
    process = await _process()
    await process.job("j")
    await process.parts.rounds.ask(["q"], sure=True)
    await process.worker("w")
    where = standing(record := await process.read_job("j"))
    assert where is not None
    for minutes in range(1, 9):
        earlier = replace(where.place, enqueued_at=where.place.enqueued_at - timedelta(minutes=minutes))
        await process.parts.backlog.put(record, Standing("q", earlier), process.parts.clock.now())
    scene = await _scene(process)
    taken = await rows.jobs(process.parts, scene, 99, _claimed)
    assert (taken.found, taken.hardly_room) == ({}, True)
    taken = await rows.jobs(process.parts, scene, 99, _claimed, taken.looked_at)
    assert list(taken.found) == ["j"]


@in_virtual_time
async def test_who_does_not_fit_is_not_read() -> None:
    process = await _process()
    await _fill(process, 3, **SKILLED)
    await process.job("chat", channel_id="chat")
    await process.parts.rounds.ask(["q"], sure=True)
    await process.worker("w", channels=[RouterChannel(channel_id="chat", capacity_cost_per_job=1)])
    assert list((await rows.jobs(process.parts, await _scene(process), 99, _unclaimed)).found) == ["chat"]


@in_virtual_time
async def test_what_was_remembered_and_is_old_is_read_again() -> None:
    process = await _process()
    other = Process(process.tables, seed=2, drives=False)
    await _fill(process, 2)
    await process.worker("w", capacity=9)
    scene = await _scene(process)
    taken = await rows.jobs(process.parts, scene, 99, _unclaimed)
    assert not await rows.again(process.parts, scene, taken, list(taken.found))
    taken = await rows.jobs(process.parts, scene, 99, _unclaimed)
    found = taken.found
    await other.job("j000", priority=7)
    await other.job("j001", tags={"a": "b"})
    with pytest.raises(RowChanged):  # what it remembered is old, and it does not remember it any more
        await process.parts.jobs.store.clear(found["j001"][1])
    assert await rows.again(process.parts, scene, taken, list(found))
    assert list(found) == ["j001"]  # the other one stands elsewhere now
    assert (row := found["j001"][1]).record is not None
    assert row.record.job.tags == {"a": "b"}


@in_virtual_time
async def test_a_job_that_was_remembered_where_it_no_longer_stands_is_taken_where_it_does() -> None:
    process = await _process()
    other = Process(process.tables, seed=2, drives=False)
    await _fill(process, 1)
    await process.worker("w", capacity=9)
    before = await process.read_job("j000")
    where = standing(before)
    assert where is not None
    await other.job("j000", priority=7)
    await process.parts.backlog.put(before, where, process.parts.clock.now())  # that row is to be removed yet
    scene = await _scene(process)
    assert _line(scene) == ["j000", "j000"]
    taken = await rows.jobs(process.parts, scene, 99, _unclaimed)
    assert await rows.again(process.parts, scene, taken, list(taken.found))
    assert taken.found["j000"][0].priority == 7


@in_virtual_time
async def test_who_is_kept_for_those_ahead_takes_nobody_behind_them() -> None:
    process = await _process()
    await _fill(process, 1, **SKILLED)
    await process.worker("skilled", labels={"skill": 9})
    await process.worker("other")
    scene = await _scene(process)
    assert (kept := scene.takers(scene.line)) == {"skilled"}
    assert [one.worker_id for one in scene.without(kept).candidates] == ["other"]


@in_virtual_time
async def test_nobody_who_enters_is_in_order_behind_one_that_was_not_looked_at() -> None:
    process = await _process()
    await _fill(process, 6)
    await process.worker("w", capacity=9)
    await process.job("last")
    scene = await _scene(process)
    entering = scene.line[0]
    assert entering.entering
    taken = await rows.jobs(process.parts, scene, 4, _claimed)
    assert (taken.some_left, taken.is_in_order(entering)) == (True, False)
    taken = await rows.jobs(process.parts, scene, 99, _claimed)
    assert (taken.some_left, taken.is_in_order(entering)) == (False, True)


@in_virtual_time
async def test_an_index_row_of_an_old_version_is_put_right_when_nobody_does() -> None:
    process = await _process()
    await process.worker("w", labels={"a": 1})
    before = (await _scene(process)).candidates[0]
    await process.worker("w", labels={"a": 2})
    now = (await _scene(process)).candidates[0]
    await process.parts.availability.move([Move(now, before)])
    scene = await _scene(process)
    assert scene.candidates[0].labels["a"] == 1
    notes = Notes()
    assert (await rows.without_outdated(process.parts, notes, scene, ["w"])).candidates == []
    assert (await _scene(process, notes)).candidates == []
    assert (await _scene(process)).candidates[0].labels["a"] == 1  # somebody is about to
    await asyncio.sleep(3)
    assert [one.labels["a"] for one in (await _scene(process)).candidates] == [2]
    assert not notes.outdated


@in_virtual_time
async def test_the_index_row_of_a_worker_that_is_gone_is_taken_away() -> None:
    process = await _process()
    await process.worker("w")
    scene = await _scene(process)
    gone = scene.candidates[0]
    await process.worker("w", available_for_offers=False)
    await process.parts.availability.move([Move(None, gone)])
    rows.distrust(process.parts, scene, Notes(), "w")
    await asyncio.sleep(3)
    assert (await _scene(process)).candidates == []


@in_virtual_time
async def test_a_worker_that_the_index_tells_untruly_of_holds_up_nobody_else() -> None:
    """The index goes on saying that a worker is free who is not, and who would come first."""
    process = await _process()
    await process.worker("busy")
    await process.worker("free")
    free = next(one for one in (await _scene(process)).candidates if one.worker_id == "busy")
    await process.worker("busy", available_for_offers=False)
    await process.parts.availability.move([Move(None, free)])
    await process.job("j")
    await asyncio.wait_for(process.parts.rounds.ask(["q"], sure=True), 0.2)
    assert await process.offered_to("j") == ["free"]


@in_virtual_time
async def test_of_two_rows_of_a_worker_the_newer_one_counts() -> None:
    process = await _process()
    await process.worker("w", labels={"a": 1})
    late = (await _scene(process)).candidates[0]
    await process.worker("w", labels={"a": 2})
    await process.parts.availability.move([Move(None, late)])
    assert [one.labels["a"] for one in (await _scene(process)).candidates] == [2]
    assert len((await process.parts.availability.available("q", "i", 9))[0]) == 1


@in_virtual_time
async def test_labels_too_large_for_the_index_are_read_from_the_workers_row() -> None:
    process = await _process()
    labels = {f"label{number}": "x" * 400 for number in range(60)}
    await process.worker("w", labels=labels)
    scene = await _scene(process)
    assert scene.candidates[0].labels["label7"] == "x" * 400
    await process.job("j", requested_worker_selectors=[selector("label7", "equal", "x" * 400)])
    await process.parts.rounds.ask(["q"], sure=True)
    assert await process.offered_to("j") == ["w"]


@in_virtual_time
async def test_rivals_are_who_comes_first_elsewhere_and_fits() -> None:
    process = await _process()
    await process.queue("r")
    await process.job("early", queue_id="r")
    await process.job("unfit", queue_id="r", **SKILLED)
    await process.parts.rounds.ask(["r"], sure=True)
    await asyncio.sleep(1)
    await process.job("j")
    await asyncio.sleep(1)
    await process.job("late", queue_id="r")
    await process.worker("w", queues=["q", "r"])
    scene = await _scene(process)
    where = standing(await process.read_job("j"))
    assert where is not None
    found = await rivals(process.parts, "q", scene.candidates, where.place)
    assert [one.job.id for one in found] == ["early"]


@in_virtual_time
async def test_rivals_know_whose_turn_it_is_in_their_queue() -> None:
    process = await _process()
    await process.queue("r", kind="roundRobin")
    await process.job("early", queue_id="r")
    await asyncio.sleep(1)
    await process.job("j")
    await process.parts.availability.save_turn("r", "w")
    await process.worker("w", queues=["q", "r"])
    scene = await _scene(process)
    where = standing(await process.read_job("j"))
    assert where is not None
    found = await rivals(process.parts, "q", scene.candidates, where.place)
    assert [(one.job.id, one.turn) for one in found] == [("early", "w")]


@in_virtual_time
async def test_the_row_of_a_job_that_did_not_come_keeps_no_worker() -> None:
    """A change that was to move the job to another queue has been refused: the row that it wrote first is still there."""
    process = await _process()
    await process.queue("r")
    await process.job("j")
    await asyncio.sleep(1)
    record = await process.read_job("j")
    where = standing(record)
    assert where is not None
    moved = evolve(record, job={"queue_id": "r", "priority": 9})
    await process.parts.backlog.put(
        moved, Standing("r", replace(where.place, below=-9), entering=True), process.parts.clock.now()
    )
    await process.worker("w", queues=["q", "r"])
    scene = await _scene(process)
    assert await rivals(process.parts, "q", scene.candidates, where.place) == []
    await process.parts.rounds.ask(["q"], sure=True)
    assert await process.offered_to("j") == ["w"]


@in_virtual_time
async def test_scores_of_a_rule_and_who_has_none() -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/score"}
    process = await _process("bestWorker", scoringRule=rule)
    await process.worker("low", labels={"score": 1})
    await process.worker("high", labels={"score": 2})
    await process.job("j")
    await process.job("broken", labels={"scoring": "fails"})
    await process.job("chat", channel_id="chat")
    scene = await _scene(process)
    records = [await process.read_job(id) for id in ("j", "broken", "chat")]
    found = await scores(process.parts, scene, records)
    assert found is not None
    assert found.scores == {"j": {"low": 1.0, "high": 2.0}, "chat": {}}
    reason = "The scoring rule (function) of distribution policy 'q' failed: The rule fails"
    assert found.failures == {"broken": reason}


@in_virtual_time
async def test_a_job_whose_scoring_fails_is_tried_again_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/score"}
    process = await _process("bestWorker", scoringRule=rule)
    await process.worker("w", labels={"score": 1})
    await process.job("broken", labels={"scoring": "fails"})
    await process.parts.rounds.ask(["q"], sure=True)
    record = await process.read_job("broken")
    assert record.status is JobStatus.QUEUED
    assert record.routing.scoring_failures == 1
    (logged,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert logged == f"{record.routing.scoring_failure}. Job 'broken' is tried again."
    assert "distribution policy 'q' failed: The rule fails." in logged
    assert record.routing.retry_at == process.parts.clock.now() + timedelta(seconds=2)
    assert _line(await _scene(process)) == []
