"""Of a large team a round asks for those who fit."""

from __future__ import annotations

import pytest

from router.matching.notes import Notes
from router.matching.scene import note_hopeless
from tests.memory_router import Call, Process, in_virtual_time
from tests.unit.engine.engine_records import selector
from tests.unit.matching.scenes import fill, line, look, one_process


async def _large_team(process: Process) -> None:
    for number in range(70):
        await process.worker(f"w{number:02}", labels={"skill": number % 10, "number": number})


@in_virtual_time
async def test_of_a_large_team_who_fits_is_asked_for() -> None:
    process = await one_process()
    await _large_team(process)
    await process.job("j", requested_worker_selectors=[selector("number", "equal", 69)])
    notes = Notes()
    scene = await look(process, notes)
    assert notes.is_large
    assert not scene.all_workers
    assert [one.worker_id for one in scene.candidates] == ["w69"]
    assert not any(scene.is_hopeless(one) for one in scene.line)


@pytest.mark.parametrize("mode", ["longestIdle", "roundRobin", "bestWorker"])
def test_needs_that_nobody_of_a_large_team_meets_are_read_once(mode: str) -> None:
    @in_virtual_time
    async def story() -> None:
        process = await one_process(mode)
        await _large_team(process)
        if mode == "roundRobin":
            await process.parts.availability.save_turn("q", "w67")
        await fill(process, 2, requested_worker_selectors=[selector("number", "equal", 99)])
        await process.job("some", requested_worker_selectors=[selector("number", "equal", 7)])
        await process.job("many")
        notes = Notes()
        scene = await look(process, notes)
        assert notes.is_large
        assert [one.job_id for one in scene.line if scene.is_hopeless(one)] == ["j000", "j001"]
        note_hopeless(scene, notes)
        assert set(line(await look(process, notes))) == {"some", "many"}

    story()


@pytest.mark.parametrize("mode", ["longestIdle", "roundRobin", "bestWorker"])
def test_who_comes_behind_many_different_needs_that_nobody_meets_is_found(mode: str) -> None:
    @in_virtual_time
    async def story() -> None:
        process = await one_process(mode)
        await _large_team(process)
        await process.worker("w07", available_for_offers=False)
        for number in range(20):
            await process.job(f"h{number:02}", requested_worker_selectors=[selector("number", "equal", 100 + number)])
        await process.job("j", requested_worker_selectors=[selector("number", "equal", 7)])
        await process.job("k", requested_worker_selectors=[selector("number", "equal", 200)])
        await process.parts.rounds.ask(["q"], sure=True)
        await process.worker("w07", labels={"number": 7})
        await process.parts.rounds.ask(["q"], sure=True)
        assert await process.offered_to("j") == ["w07"]
        scene = await look(process)
        assert scene.more
        assert line(scene) == [f"h{number:02}" for number in range(8)], "up to whom it has been asked"

    story()


@in_virtual_time
async def test_hope_comes_back_in_a_large_team() -> None:
    process = await one_process()
    await fill(process, 1, requested_worker_selectors=[selector("number", "equal", 99)])
    notes = Notes()
    await process.worker("only", labels={})
    note_hopeless(await look(process, notes), notes)
    assert notes.hopeless
    await _large_team(process)
    assert line(await look(process, notes)) == []
    await process.worker("late", labels={"number": 99})
    scene = await look(process, notes)
    assert line(scene) == ["j000"]
    assert [one.worker_id for one in scene.candidates] == ["late"]


@in_virtual_time
async def test_the_best_of_a_large_team_is_looked_for_among_all() -> None:
    process = await one_process("bestWorker")
    await _large_team(process)
    await process.job("j", requested_worker_selectors=[selector("skill", "greaterThanOrEqual", 5)])
    assert len((await look(process)).candidates) == 35


@in_virtual_time
async def test_round_robin_goes_on_in_a_large_team() -> None:
    """From behind the last one, round the end, to the first."""
    process = await one_process("roundRobin")
    await _large_team(process)
    await process.job("j")
    first = (await look(process)).candidates
    assert [one.worker_id for one in first][:2] == ["w00", "w01"]
    await process.parts.availability.save_turn("q", "w67")
    assert [one.worker_id for one in (await look(process)).candidates][:4] == ["w68", "w69", "w00", "w01"]
    await process.parts.availability.save_turn("q", "w20")
    assert next(one.worker_id for one in (await look(process)).candidates) == "w21"


@in_virtual_time
async def test_the_team_may_become_small_again() -> None:
    process = await one_process()
    await _large_team(process)
    notes = Notes()
    await look(process, notes)
    for number in range(69):
        await process.worker(f"w{number:02}", available_for_offers=False)
    assert not (await look(process, notes)).all_workers
    for _ in range(40):
        scene = await look(process, notes)
    assert scene.all_workers
    assert [one.worker_id for one in scene.candidates] == ["w69"]


_LATE = {"requested_worker_selectors": [selector("number", "equal", 99)]}


async def _who_comes_first(first: str, queries_of: str, query: int, *, again: bool = False) -> None:
    """Somebody for whom `first` has waited, and another job behind it, comes while a round looks: before it makes this
    query of that table."""
    process = await one_process()
    await _large_team(process)
    await fill(process, 30, **_LATE)
    await process.job("behind", priority=-1, requested_worker_selectors=[selector("is", "equal", "late")])
    await process.parts.rounds.ask(["q"], sure=True)
    if first != "j000":
        await process.job(first, priority=9, **_LATE)
    round = process if again else Process(process.tables, seed=2, drives=False)
    seen = 0

    async def comes(call: Call) -> None:
        nonlocal seen
        seen += (call.kind, call.table) == ("query", queries_of)
        if seen == query:
            process.tables.before = None
            await process.worker("late", labels={"number": 99, "is": "late"})

    process.tables.before = comes
    await round.parts.rounds.ask(["q"], sure=True)
    assert seen >= query
    assert await process.offered_to("behind") == []
    assert await process.offered_to(first) == ["late"]


@pytest.mark.parametrize("first", ["j000", "enters"])
def test_who_comes_while_a_round_reads_on_is_given_to_who_was_passed(first: str) -> None:
    in_virtual_time(_who_comes_first)(first, "backlog", 2)


@in_virtual_time
async def test_who_comes_while_a_round_looks_is_given_to_who_was_hopeless() -> None:
    await _who_comes_first("j000", "availability", 2, again=True)
