"""One round of a queue: read, plan, carry out (docs/architecture.md, "Rounds")."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from router.commit.parts import Parts
from router.engine.plan import Plan, Rival, plan
from router.engine.service_order import Place, standing
from router.matching import carry_out, rows
from router.matching.carry_out import Announce
from router.matching.notes import Notes
from router.matching.rivals import rivals as rivals_of
from router.matching.scene import MOST_LOOKED_AT, Scene, further, note_hopeless
from router.matching.scores import back_off
from router.matching.scores import scores as scores_of

_log = logging.getLogger(__name__)


@dataclass
class Played:
    """What a round has done. `seen` is all that it has looked at or written."""

    seen: frozenset[str]
    offered: int = 0
    #: Jobs that have come into the line.
    entered: int = 0
    #: Jobs whose rows were read.
    jobs: int = 0
    again: bool = False
    left: set[str] = field(default_factory=set)


async def play(
    parts: Parts, notes: Notes, scene: Scene, announce: Announce, claim: rows.Claim, round: asyncio.Future[None]
) -> Played:
    """Matches the first of the line that can be matched. Reads on, page after page, while it finds nobody."""
    played = Played(scene.fingerprint)
    looked_at = 0
    passed: set[str] = set()
    #: Workers whom jobs that come first are left without for now, since a rival has them: not for who stands behind.
    kept: set[str] = set()
    hopeless = dict(notes.hopeless)  # who has these needs is not in the line
    while True:
        taken = await rows.jobs(parts, scene, notes.most, claim, passed)
        found = taken.found
        played.jobs += len(found)
        decided, failing = await _decide(parts, notes, scene, taken)
        given = {match.worker_id for match in decided.matches}
        if met := scene.met(hopeless, given):
            for needs in met:
                notes.hopeless.pop(needs, None)
            played.again = True
            return played
        if overtaken := scene.overtaken(given):
            scene = scene.back_with(overtaken)
            for waiting in overtaken:
                passed.discard(waiting.row)
                notes.hopeless.pop(waiting.needs, None)
            continue
        done = await carry_out.carry_out(parts, scene, decided, found, announce, claim, round)
        for job_id, reason in failing.items():
            _log.error("%s. Job '%s' is tried again.", reason, job_id, extra={"job": job_id, "queue": scene.queue_id})
            await back_off(parts, scene.queue_id, job_id, reason)
        for worker_id in sorted(done.outdated):
            rows.distrust(parts, scene, notes, worker_id)
        played.offered += done.offered
        played.entered += done.entered
        played.left |= decided.left
        played.seen |= scene.fingerprint | done.rows
        if decided.left:
            served = {match.job.id for match in decided.matches}
            kept |= scene.takers(waiting for id, (waiting, _) in found.items() if id not in served)
            scene = scene.without(kept)
        some_left = taken.some_left or (taken.hardly_room and done.offered < scene.room)
        if some_left and not done.offered and not done.entered:
            notes.failed_to_match()
            if taken.looked_at and not done.again:
                passed |= taken.looked_at  # nobody can take them after all: there is room for who stands behind them
                continue
        looked_at += len(scene.line)
        if done.again or some_left or (scene.more and done.offered):
            played.again = True  # with fresh data
            return played
        if not scene.more or not scene.line:
            notes.reach = None
            return played
        if not kept:
            note_hopeless(scene, notes)
        if looked_at >= MOST_LOOKED_AT:
            played.again = True  # and goes on where this one has ended
            notes.reach = scene.line[-1].row
            return played
        scene = (await further(parts, scene, notes)).without(kept)


async def _decide(parts: Parts, notes: Notes, scene: Scene, taken: rows.Taken) -> tuple[Plan, Mapping[str, str]]:
    """The plan, and the jobs for which the scoring rule fails, with its reason."""
    if scene.policy is None or not scene.candidates:
        return Plan((), frozenset()), {}
    found = taken.found
    decided, failing = await _planned(parts, notes, scene, taken)
    # Who gets all the offers that a job can have has lost nothing by being remembered; of others the row is read.
    served = Counter(match.job.id for match in decided.matches)
    most = scene.policy.mode.max_concurrent_offers
    if await rows.again(parts, scene, taken, [id for id in found if served[id] < most]):
        decided, failing = await _planned(parts, notes, scene, taken)
    return decided, failing


async def _planned(parts: Parts, notes: Notes, scene: Scene, taken: rows.Taken) -> tuple[Plan, Mapping[str, str]]:
    assert scene.policy is not None
    records = [
        row.record
        for waiting, row in taken.found.values()
        if row.record is not None and scene.is_in_order(waiting) and taken.is_in_order(waiting)
    ]
    now, turn = scene.now, scene.turn.worker_id if scene.turn else None
    waiting = [one for one in records if one.routing.retry_at is None or one.routing.retry_at <= now]
    scored = await scores_of(parts, scene, waiting)
    scores, failing = (scored.scores, scored.failures) if scored is not None else (None, {})

    def again() -> Plan:
        assert scene.policy is not None
        return plan(records, scene.candidates, scene.policy, now, turn=turn, scores=scores, rivals=rivals)

    rivals: list[Rival] = []
    decided = again()
    # Who serves several queues may be wanted more urgently elsewhere.
    of_several = [one for one in scene.candidates if len(one.queues) > 1]
    shared = {one.worker_id for one in of_several}
    last: Place | None = None
    while any(match.worker_id in shared for match in decided.matches) and (last is None or _last(decided) > last):
        last = _last(decided)
        rivals = await rivals_of(parts, scene.queue_id, of_several, last, certain=notes.left_in_vain)
        decided = again() if rivals else decided
    # They change without this queue's doing: what the index tells of those who get something is looked at, and of those
    # whom a rival does not get though they were left to it.
    looked: set[str] = set()
    while planned := _to_look_at(decided, notes) & shared - looked:
        looked |= planned
        before, scene = scene, await rows.without_outdated(parts, notes, scene, sorted(planned))
        if len(scene.candidates) != len(before.candidates):
            decided = again()
    return decided, failing


def _to_look_at(decided: Plan, notes: Notes) -> set[str]:
    aside = decided.aside if notes.left_in_vain else frozenset[str]()
    return {match.worker_id for match in decided.matches} | aside


def _last(decided: Plan) -> Place:
    return max(where.place for match in decided.matches if (where := standing(match.job)) is not None)
