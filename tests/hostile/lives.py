"""Sizes: what was accepted can be ended, and what is refused is refused where a client adds it."""

from __future__ import annotations

import json
from typing import Any

from tests.eventually import eventually_async
from tests.hostile.ground import Ground, Tally

ALPHABETS = ("a", "é", "中", "😀", '"', "\\", "\x01", "\u2028")
SIZES = (1_000, 60_000, 110_000, 150_000, 156_000, 158_500, 159_200, 159_700)


def units(value: Any) -> int:
    text = json.dumps(value, ensure_ascii=False)
    return max(len(text.encode("utf-16-le")) // 2, (len(json.dumps(text)) - 1) // 2)


def filled(size: int, letter: str) -> dict[str, str]:
    """Labels of at most so many size in storage."""
    found: dict[str, str] = {}
    left, per = size - 300, units(letter) - 2
    while left > per + 20 and len(found) < 99:
        name = f"k{len(found)}"
        found[name] = letter * min((left - 12) // per, 16_000 // len(letter))
        left -= units({name: found[name]}) - 1
    return found


async def attack(ground: Ground, tally: Tally) -> None:
    wire, chance = ground.wire, ground.chance
    while ground.goes_on():
        size, letter = chance.choice(SIZES), chance.choice(ALPHABETS)
        theirs, their_letter = chance.choice(SIZES), chance.choice(ALPHABETS)
        note = chance.choice(("", "n" * 16_000, letter * 10_000))
        queue = await wire.queue()
        what = f"job of {size} {letter!r}, worker of {theirs} {their_letter!r}, note of {len(note)}"
        labels = filled(size, letter)
        job = f"/routing/jobs/{wire.id('job')}"
        taken = await wire.patch(job, {"channelId": "voice", "queueId": queue, "labels": labels})
        if taken.status == 413:
            tally.tried(units(labels) > 159_000, f"{what}: refused")
            continue
        channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
        worker = await wire.worker(
            queue, channels=channels, availableForOffers=True, labels=filled(theirs - 500, their_letter)
        )
        try:
            await _life(ground, job, worker, note)
            tally.tried(True, what)
        except AssertionError as error:
            tally.tried(False, f"{what}: {str(error)[:200]}")
        await wire.delete(worker)


async def _life(ground: Ground, job: str, worker: str, note: str) -> None:
    wire = ground.wire

    async def offered() -> str | None:
        offers = (await wire.get(worker)).expect(200)["offers"]
        return offers[0]["offerId"] if offers else None

    offer = await eventually_async(offered, "an offer", seconds=30)
    if ground.chance.random() < 0.3:
        await _with_note(ground, f"{job}:cancel", note)
    else:
        held = (await wire.post(f"{worker}/offers/{offer}:accept")).expect(200)["assignmentId"]
        await _with_note(ground, f"{job}/assignments/{held}:complete", note)
        await _with_note(ground, f"{job}/assignments/{held}:close", note)
    (await wire.delete(job)).expect(204)
    after = (await wire.get(job)).status
    assert after == 404, f"a deleted job: {after}"


async def _with_note(ground: Ground, path: str, note: str) -> None:
    """With the note, or without it where there is no room for that."""
    answer = await ground.wire.post(path, {"note": note} if note else {})
    if answer.status == 413 and note:
        assert "note" in answer.error["message"], f"{path}: {answer.error}"
        answer = await ground.wire.post(path, {})
    answer.expect(200)
