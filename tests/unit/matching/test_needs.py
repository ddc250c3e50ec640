"""Needs that nobody can meet are noted, and looked at again when somebody can."""

from __future__ import annotations

from router.matching.notes import Notes
from router.matching.scene import note_hopeless
from tests.memory_router import in_virtual_time
from tests.unit.engine.engine_records import selector
from tests.unit.matching.scenes import SKILLED, fill, line, look, one_process


@in_virtual_time
async def test_needs_that_nobody_can_meet_are_not_read_again() -> None:
    process = await one_process()
    await process.worker("w", labels={"skill": 1})
    await fill(process, 3, **SKILLED)
    notes = Notes()
    scene = await look(process, notes)
    assert line(scene) == ["j000", "j001", "j002"]
    assert all(scene.is_hopeless(one) for one in scene.line)
    note_hopeless(scene, notes)
    assert line(await look(process, notes)) == []


@in_virtual_time
async def test_hope_comes_back_with_who_can_meet_the_needs() -> None:
    process = await one_process()
    await process.worker("w", labels={"skill": 1})
    await fill(process, 2, **SKILLED)
    notes = Notes()
    note_hopeless(await look(process, notes), notes)
    assert notes.hopeless
    await process.worker("v", labels={"skill": 9})
    assert line(await look(process, notes)) == ["j000", "j001"]
    assert not notes.hopeless


@in_virtual_time
async def test_a_worker_that_is_busy_is_no_reason_to_give_up_hope() -> None:
    """Only what a worker is counts: its row is not read when it can take nothing, so nobody who is away is noted."""
    process = await one_process()
    await process.worker("w", labels={"skill": 9})
    await fill(process, 1)
    await process.job("skilled", **SKILLED)
    scene = await look(process)
    assert scene.candidates == []
    notes = Notes()
    note_hopeless(scene, notes)
    await process.worker("v", labels={"skill": 9})
    assert "skilled" in line(await look(process, notes))


@in_virtual_time
async def test_at_most_some_needs_are_noted() -> None:
    process = await one_process()
    await process.worker("w")
    for number in range(12):
        await process.job(f"j{number}", requested_worker_selectors=[selector("a", "equal", number)])
    await process.parts.rounds.ask(["q"], sure=True)
    notes = Notes()
    note_hopeless(await look(process, notes), notes)
    assert len(notes.hopeless) == 8
