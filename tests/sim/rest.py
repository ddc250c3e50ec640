"""What must hold when nothing is under way any more."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Final

from router.commit.owners import owners
from router.commit.watch import SETTLE_AFTER
from router.engine import matching
from router.engine.candidates import available as available_as
from router.engine.service_order import standing
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
from router.storage.availability import row_keys
from router.storage.backlog import row_key
from router.storage.keys import key, time_key
from tests.sim import reference
from tests.sim.workload import Acknowledged
from tests.sim.world import World

_HOLDS: Final = frozenset({"assigned", "completed"})
_ENDED: Final = frozenset({"closed", "cancelled"})


def check_unmatched(world: World, still_for: float = 0.0) -> None:
    """No waiting job and worker that qualifies for it, neither of which has changed for a while. Where events alone
    drive, and none of the job's last change wakes the router, its settle deadline does: as where a process has died
    after a commit (docs/architecture.md, "Events"). A worker that has changed since brings the job on sooner."""
    jobs, workers = world.truth()
    changed, now = world.history.changed, world.now()
    for job in jobs.values():
        policy = world.policy_of(job.job.queue_id)
        job_changed = changed[f"job/{job.id}"]
        for worker in workers.values():
            worker_changed = changed[f"worker/{worker.id}"]
            settles = not world.drives and job.id in world.history.untold and worker_changed <= job_changed
            earlier = now - timedelta(seconds=still_for + (SETTLE_AFTER.total_seconds() if settles else 0.0))
            if policy is None or max(job_changed, worker_changed) > earlier:
                continue
            if all(
                reference.wants(job, policy, moment) and reference.qualifies(job, worker, policy, jobs, moment)
                for moment in (earlier, now)
            ):
                world.history.fault(f"job {job.id} waits and worker {worker.id} qualifies")


def is_busy(world: World) -> bool:
    """Whether a job or a worker has changed within the last second, as where an offer has just expired: what follows
    from that is under way."""
    since = world.now() - timedelta(seconds=1)
    return any(at > since for name, at in world.history.changed.items() if not name.startswith("deadline/"))


def check_rest(world: World, acknowledged: list[Acknowledged]) -> None:
    jobs, workers = world.truth()
    for job in jobs.values():
        _check_job(world, job, workers)
    for worker in workers.values():
        _check_worker(world, worker, jobs)
    check_unmatched(world, still_for=2.0)
    _check_events(world)
    _check_indexes(world)
    _check_acknowledged(world, acknowledged)


def _check_job(world: World, job: JobRecord, workers: dict[str, WorkerRecord]) -> None:
    fault = world.history.fault
    late = world.now() - timedelta(seconds=2)  # what is due now is being dealt with
    if job.job.status in ("created", "pendingClassification", "pendingSchedule"):
        fault(f"job {job.id} rests at {job.job.status}")
    if job.routing.triggered:
        fault(f"job {job.id} has exception rules whose actions have not been run")
    mode = job.job.matching_mode
    if job.job.status == "scheduled" and mode.kind == "scheduleAndSuspend" and mode.schedule_at <= late:
        fault(f"job {job.id} was to be activated at {mode.schedule_at}")
    if job.job.status == "completed" and job.routing.close_at and job.routing.close_at <= late:
        fault(f"job {job.id} was to be closed at {job.routing.close_at}")
    if job.job.status == "queued":
        for one in (*job.job.requested_worker_selectors, *job.job.attached_worker_selectors):
            if one.status == "active" and one.expires_at and one.expires_at <= late:
                fault(f"job {job.id} has a selector that was to expire at {one.expires_at}")
            if one.expires_after_seconds and one.expires_at is None:
                fault(f"job {job.id} is queued and its selector has not started")
        threshold = world.wait_threshold(job.job.queue_id, "waits")
        if threshold is not None and job.job.enqueued_at and "waits" not in job.routing.fired_rules:
            due = job.job.enqueued_at + timedelta(seconds=threshold)
            if due <= late:
                fault(f"job {job.id} was to be looked at by its waitTime rule at {due}")
    for offer in job.routing.offers.values():
        if offer.expires_at <= late:
            fault(f"job {job.id} has an offer that was to expire at {offer.expires_at}")
        held = workers.get(offer.worker_id)
        if held is None or not any(one.offer_id == offer.offer_id for one in held.worker.offers):
            fault(f"job {job.id} has an offer that worker {offer.worker_id} does not hold")
    for assignment in job.job.assignments.values():
        if assignment.closed_at is None:
            worker = workers.get(assignment.worker_id)
            held_by = [] if worker is None else [held.assignment_id for held in worker.worker.assigned_jobs]
            deleted = (
                worker is None or (worker.routing.registered_at or worker.routing.active_at) > assignment.assigned_at
            )
            if assignment.assignment_id not in held_by and not deleted:
                fault(f"job {job.id} is with worker {assignment.worker_id}, which does not know")
            elif (
                assignment.assignment_id not in held_by
                and worker is not None
                and _same_worker(world, worker, assignment.assignment_id)
            ):
                fault(f"worker {assignment.worker_id} has lost job {job.id}")


def _same_worker(world: World, worker: WorkerRecord, assignment_id: str) -> bool:
    """Whether this life of the worker has held the assignment."""
    return any(
        any(held.assignment_id == assignment_id for held in past.worker.assigned_jobs)
        for past in world.history.lives(worker.id)
    )


def _check_worker(world: World, worker: WorkerRecord, jobs: dict[str, JobRecord]) -> None:
    fault, who = world.history.fault, worker.worker
    if worker.routing.deleting:
        fault(f"worker {worker.id} is still being deleted")
    if str(who.state) == "draining":
        fault(f"worker {worker.id} still drains")
    for offer in who.offers:
        job = jobs.get(offer.job_id)
        if job is None or offer.offer_id not in job.routing.offers:
            fault(f"worker {worker.id} reserves for an offer that job {offer.job_id} does not have")
        elif (policy := world.policy_of(job.job.queue_id)) and not matching.still_fits(
            job, worker, offer, bypass_selectors=policy.mode.bypass_selectors
        ):
            fault(f"worker {worker.id} keeps an offer of job {job.id} for which it no longer qualifies")
    for held in who.assigned_jobs:
        job = jobs.get(held.job_id)
        one = job.job.assignments.get(held.assignment_id) if job else None
        if job is None or one is None or one.closed_at is not None or one.worker_id != worker.id:
            fault(f"worker {worker.id} holds an assignment that job {held.job_id} does not have open")
    known = {one.job_id for one in reference.held(worker)}
    if set(worker.routing.job_channels) != known:
        fault(f"worker {worker.id} remembers channels of {set(worker.routing.job_channels) ^ known}")


def _check_events(world: World) -> None:
    """Everything committed is published, each aggregate's events in their order."""
    accepted = {id: place for place, id in enumerate(world.event_grid.accepted)}
    for aggregate, events in world.history.events.items():
        missing = [event for event in events if event.id not in accepted]
        for event in missing:
            world.history.fault(f"{aggregate}: {event.type} was never published")
        places = [accepted[event.id] for event in events if event.id in accepted]
        if places != sorted(places):
            names = [event.type for event in events]
            world.history.fault(f"{aggregate}: events were published out of order: {names}, {places}")
    known = {event.id for events in world.history.events.values() for event in events}
    if not known.issuperset(accepted):
        world.history.fault("an event was published that no commit made")


def _check_indexes(world: World) -> None:
    fault = world.history.fault
    jobs, workers = world.truth()
    waiting = {
        (key(where.queue_id), row_key(where)): job
        for job in jobs.values()
        if (where := standing(job)) is not None and not where.entering
    }
    rows = {(entity.partition, entity.row): entity for entity in world.rows("backlog").all()}
    for place in waiting.keys() - rows.keys():
        fault(f"job {waiting[place].id} waits and is not in the backlog")
    # A row left over is a write that came late: whoever meets it reads the job, and removes it.
    for place in waiting.keys() & rows.keys():
        job = waiting[place]
        policy = world.policy_of(job.job.queue_id)
        waits_for_retry = job.routing.retry_at is not None and job.routing.retry_at > world.now()
        takes = policy is not None and len(job.routing.offers) < policy.mode.max_concurrent_offers
        if takes and not waits_for_retry and not rows[place].columns["Open"]:
            fault(f"job {job.id} takes offers and the backlog says that it does not")
    available = set()
    for worker in workers.values():
        says = available_as(worker)
        if says is not None:
            available |= {(key(queue_id), row) for queue_id in says.queues for row in row_keys(says)}
    there = {(one.partition, one.row) for one in world.rows("availability").all() if one.row != "cursor"}
    for place in sorted(available - there):
        fault(f"a worker is available and not in the index: {place}")
    stale = [place for place in there - available if not _outdated(place, workers)]
    for place in sorted(stale):
        fault(f"a row of the availability index is no older one of its worker: {place}")
    members = {
        (f"{owner[0]}~{key(owner[1])}", key(job.id))
        for job in jobs.values()
        if job.id not in world.history.deleted  # made again while it was being deleted: the two may cross
        for owner in owners(job)
    }
    known = {(one.partition, one.row) for one in world.rows("members").all()}
    # One too many is fine: whoever acts on it reads the job, and the commit that it was written for may have failed.
    for place in sorted(members - known):
        fault(f"an active job is not among the members: {place}")
    late = world.now() - timedelta(seconds=2)  # what is due now, or armed now and overdue, is being dealt with
    for entity in world.rows("deadlines").all():
        if entity.row < time_key(late) and world.history.changed[f"deadline/{entity.row}"] < late:
            fault(f"a deadline is overdue: {entity.row}")


def _outdated(place: tuple[str, str], workers: dict[str, WorkerRecord]) -> bool:
    """Whether a row that is left over belongs to an older version of its worker, or to one that is gone: a write that
    came late. It misleads nobody for long: the worker's row is read before anything is offered."""
    *_, who, version = place[1].split("~")
    worker = next((one for one in workers.values() if key(one.id) == who), None)
    return worker is None or int(version) != worker.routing.version


def _check_acknowledged(world: World, acknowledged: list[Acknowledged]) -> None:
    """What was answered with success is in the history of its rows, and the last of it is there."""
    fault, past = world.history.fault, world.history.past_jobs
    accepted: dict[str, set[str]] = {}
    for said in acknowledged:
        lives = past.get(said.job_id, [])
        seen = [job.job.assignments.get(said.assignment_id) for job in lives]
        match said.kind:
            case "create":
                holds = bool(lives)
            case "worker":
                holds = f"worker/{said.worker_id}" in world.history.changed
            case "accept":
                holds = any(one is not None and one.worker_id == said.worker_id for one in seen)
                accepted.setdefault(said.offer_id, set()).add(said.assignment_id)
            case "complete":
                holds = any(one is not None and one.completed_at is not None for one in seen)
            case "close":
                holds = any(
                    one is not None and (one.closed_at or job.routing.close_at)
                    for one, job in zip(seen, lives, strict=True)
                )
            case "unassign":
                holds = any(before is not None and after is None for before, after in itertools.pairwise(seen))
            case "cancel":
                holds = any(job.job.status == "cancelled" for job in lives)
            case _:
                holds = said.job_id in world.history.deleted
        if not holds:
            fault(f"acknowledged and not there: {said}")
    for offer_id, assignments in accepted.items():
        if len(assignments) > 1:
            fault(f"offer {offer_id} was accepted as {assignments}")
