"""What workers of a played day do by themselves: they come, go and change."""

from __future__ import annotations

from router.engine import offers, workers
from router.models.jobs import RouterJobAssignment
from router.models.workers import RouterWorkerInput
from router.replay.history import Entry, Held
from router.replay.matching import Matching
from router.replay.scene import Scene


class Staff:
    def __init__(self, scene: Scene, matching: Matching) -> None:
        self._scene, self._matching = scene, matching

    def becomes(self, worker_id: str, wanted: RouterWorkerInput) -> None:
        known = self._scene.team.get(worker_id)
        if known is None:
            change = workers.create(worker_id, wanted, self._scene.now, {})
        else:
            change = workers.update(known, wanted, self._scene.now, {})
        self._scene.worker_becomes(change.record)
        self.revoke_of_drained(worker_id)
        self._matching.workers((worker_id,))

    def does(self, worker_id: str, entry: Entry) -> None:
        known = self._scene.team.get(worker_id)
        if entry.resource is not None:
            wanted = entry.resource
        elif known is not None:
            wanted = known.worker
        else:
            return
        if entry.what in ("available", "registered"):
            wanted = wanted.model_copy(update={"available_for_offers": True})
        elif entry.what in ("unavailable", "deregistered"):
            wanted = wanted.model_copy(update={"available_for_offers": False})
        self.becomes(worker_id, wanted)

    def holds(self, held: Held) -> None:
        """A job that is not played takes its worker's capacity all the same."""
        scene = self._scene
        worker = scene.team.get(held.worker_id)
        channel = worker.worker.channel(held.channel_id) if worker is not None else None
        if worker is None or channel is None:
            return
        assignment_id = f"{held.job_id}/held"
        assignment = RouterJobAssignment(assignment_id=assignment_id, worker_id=held.worker_id, assigned_at=scene.now)
        assigned = workers.assign(worker, "", held.job_id, held.channel_id, assignment, scene.now)
        scene.worker_becomes(assigned.record)
        if held.ends is not None:
            scene.at_time(held.ends, self._lets_go, held.worker_id, assignment_id)

    def _lets_go(self, worker_id: str, assignment_id: str) -> None:
        self._scene.worker_becomes(workers.release(self._scene.team[worker_id], assignment_id, self._scene.now).record)
        self._matching.workers((worker_id,))

    def revoke_of_drained(self, worker_id: str) -> None:
        """Who is no longer available has no offers."""
        scene = self._scene
        record = scene.team[worker_id]
        if record.worker.available_for_offers or not record.worker.offers:
            return
        gone = [(one.job_id, one.offer_id) for one in record.worker.offers]
        scene.drop(worker_id, [offer_id for _, offer_id in gone])
        for job_id, offer_id in gone:
            scene.job_becomes(offers.revoke(scene.jobs[job_id], [offer_id]).record)
        for job_id in scene.lines.waiting_of([job_id for job_id, _ in gone]):
            self._matching.job(job_id)
