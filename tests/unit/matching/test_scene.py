"""What a round looks at: the line and the team."""

from __future__ import annotations

from router.matching import rows
from router.matching.notes import MOST_JOBS, Notes
from router.matching.scene import scene as scene_of
from router.models.workers import RouterChannel
from tests.memory_router import Process, Tables, in_virtual_time
from tests.unit.matching.scenes import SKILLED, claimed, fill, line, look, one_process, unclaimed


@in_virtual_time
async def test_a_scene_has_the_line_and_who_is_available() -> None:
    process = await one_process()
    await process.worker("w", capacity=3)
    await process.worker("away", available_for_offers=False)
    await process.job("j")
    scene = await look(process)
    assert line(scene) == ["j"]
    assert [one.worker_id for one in scene.candidates] == ["w"]
    assert scene.all_workers
    assert scene.room == 3
    assert not scene.more


@in_virtual_time
async def test_a_limit_of_offers_limits_the_room() -> None:
    process = await one_process()
    await process.worker("w", capacity=9, max_concurrent_offers=2)
    assert (await look(process)).room == 2


@in_virtual_time
async def test_a_queue_without_policy_has_no_workers() -> None:
    process = Process(Tables(), drives=False)
    await process.worker("w", queues=[])
    scene = await look(process)
    assert scene.policy is None
    assert scene.candidates == []


@in_virtual_time
async def test_who_enters_is_in_order_only_before_who_has_been_read() -> None:
    """Those who enter are read first, wherever their place is: nobody may overtake whom no one has read yet."""
    process = await one_process()
    await fill(process, 40)
    await process.job("late")
    await process.job("urgent", priority=9)
    scene = await look(process)
    assert scene.more
    by_id = {one.job_id: one for one in scene.line}
    assert line(scene)[:2] == ["urgent", "late"]
    assert scene.is_in_order(by_id["urgent"])
    assert not scene.is_in_order(by_id["late"])
    assert scene.is_in_order(by_id["j000"])


@in_virtual_time
async def test_who_waits_is_seen_however_many_enter() -> None:
    process = await one_process()
    await fill(process, 5)
    for number in range(40):
        await process.job(f"new{number:02}")
    scene = await look(process)
    assert scene.more_enter
    assert line(scene)[-6:] == ["new29", *(f"j{number:03}" for number in range(5))]


@in_virtual_time
async def test_nobody_is_looked_at_who_may_stand_behind_one_that_enters_and_was_not_read() -> None:
    process = await one_process()
    await process.worker("w", capacity=9)
    await process.job("ahead", priority=8)
    await process.job("behind", priority=1)
    await process.parts.rounds.ask(["q"], sure=True)
    other = Process(process.tables, seed=2, drives=False)
    for id in ("w2", "w3"):
        await other.worker(id, capacity=9)
    for number in range(6):
        await process.job(f"new{number}", priority=5)
    scene = await look(process)
    taken = await rows.jobs(process.parts, scene, 4, unclaimed)
    assert taken.some_left
    assert set(taken.found) <= {"ahead", *(f"new{number}" for number in range(4))}
    assert not (await rows.jobs(process.parts, scene, 6, unclaimed)).some_left


@in_virtual_time
async def test_what_a_round_does_not_take_on_is_left_to_the_next() -> None:
    """Else nobody would ever ask again for those who wait and can be taken."""
    process = await one_process()
    await fill(process, 6)
    await process.worker("w", capacity=9)
    scene = await look(process)
    taken = await rows.jobs(process.parts, scene, 4, unclaimed)
    assert (list(taken.found), taken.some_left) == ([f"j{number:03}" for number in range(4)], True)
    taken = await rows.jobs(process.parts, scene, 6, unclaimed)
    assert (len(taken.found), taken.some_left) == (6, False)


@in_virtual_time
async def test_much_is_read_only_by_who_has_the_queue() -> None:
    process = await one_process()
    for number in range(6):
        await process.job(f"j{number}")
    other = Process(process.tables, seed=2, drives=False)
    scene = await scene_of(other.parts, "q", Notes())
    claims: list[bool] = []

    async def claim() -> None:
        claims.append(True)

    await rows.jobs(process.parts, await look(process), 99, claim)
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
async def test_as_many_jobs_are_read_as_can_be_taken() -> None:
    process = await one_process()
    await fill(process, 30)
    await process.worker("w", capacity=2)
    found = (await rows.jobs(process.parts, await look(process), 99, unclaimed)).found
    assert list(found) == [f"j{number:03}" for number in range(7)]


@in_virtual_time
async def test_who_does_not_fit_is_not_read() -> None:
    process = await one_process()
    await fill(process, 3, **SKILLED)
    await process.job("chat", channel_id="chat")
    await process.parts.rounds.ask(["q"], sure=True)
    await process.worker("w", channels=[RouterChannel(channel_id="chat", capacity_cost_per_job=1)])
    assert list((await rows.jobs(process.parts, await look(process), 99, unclaimed)).found) == ["chat"]


@in_virtual_time
async def test_who_is_kept_for_those_ahead_takes_nobody_behind_them() -> None:
    process = await one_process()
    await fill(process, 1, **SKILLED)
    await process.worker("skilled", labels={"skill": 9})
    await process.worker("other")
    scene = await look(process)
    assert (kept := scene.takers(scene.line)) == {"skilled"}
    assert [one.worker_id for one in scene.without(kept).candidates] == ["other"]


@in_virtual_time
async def test_nobody_who_enters_is_in_order_behind_one_that_was_not_looked_at() -> None:
    process = await one_process()
    await fill(process, 6)
    await process.worker("w", capacity=9)
    await process.job("last")
    scene = await look(process)
    entering = scene.line[0]
    assert entering.entering
    taken = await rows.jobs(process.parts, scene, 4, claimed)
    assert (taken.some_left, taken.is_in_order(entering)) == (True, False)
    taken = await rows.jobs(process.parts, scene, 99, claimed)
    assert (taken.some_left, taken.is_in_order(entering)) == (False, True)
