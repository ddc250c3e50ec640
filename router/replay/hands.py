"""A played day's offers and assignments: workers answer, work, and are done."""

from __future__ import annotations

from collections import defaultdict

from router.engine import endings, offers, workers
from router.models.jobs import JobOffer, UnassignJobOptions
from router.replay.matching import Matching
from router.replay.scene import Scene
from router.replay.staff import Staff
from router.replay.stays import Stays


class Hands:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._offered_to: dict[tuple[str, str], int] = defaultdict(int)
        self._matching = Matching(scene, self._are_offered)
        self.staff = Staff(scene, self._matching)
        self.stays = Stays(scene, self._matching)

    def _are_offered(self, job_id: str, offer: JobOffer, number: int) -> None:
        """The offer is made, and its worker will answer it, or not."""
        scene, worker_id = self._scene, offer.worker_id
        of_worker = self._offered_to[job_id, worker_id]
        self._offered_to[job_id, worker_id] += 1
        answer = scene.people.answer(job_id, worker_id, number, of_worker, scene.second)
        assert offer.expires_at is not None
        lives = (offer.expires_at - offer.offered_at).total_seconds()
        if answer.what == "expired" or answer.after >= lives:
            scene.at_time(offer.expires_at, self.expires, job_id, worker_id)
        else:
            scene.at(scene.second + answer.after, self.answers, job_id, worker_id, offer.offer_id, answer.what)

    def expires(self, job_id: str, worker_id: str) -> None:
        scene = self._scene
        record = scene.jobs[job_id]
        after = offers.expire(record, scene.now).record
        assert after is not None
        gone = [one for one in record.routing.offers if one not in after.routing.offers]
        if not gone:
            return
        for offer_id in gone:
            scene.drop(record.routing.offers[offer_id].worker_id, [offer_id], deregister=True)
        scene.job_becomes(after)
        for offer_id in gone:
            self.staff.revoke_of_drained(record.routing.offers[offer_id].worker_id)
        self._matching.job(job_id)

    def answers(self, job_id: str, worker_id: str, offer_id: str, what: str) -> None:
        scene = self._scene
        record = scene.jobs[job_id]
        if offer_id not in record.routing.offers:
            return
        if what == "declined":
            declined = offers.decline(record, offer_id, worker_id, None, scene.now).record
            scene.drop(worker_id, [offer_id])
            scene.job_becomes(declined)
            self._matching.job(job_id)
            self._matching.workers((worker_id,))
            return
        number = scene.assigned[job_id]
        scene.assigned[job_id] += 1
        worker = scene.team[worker_id]
        change, assignment_id = offers.accept(record, offer_id, worker.worker, f"{job_id}/a{number}", scene.now)
        after = change.record
        assert after is not None
        assignment = after.job.assignments[assignment_id]
        assigned = workers.assign(worker, offer_id, job_id, record.job.channel_id, assignment, scene.now)
        scene.worker_becomes(assigned.record)
        scene.job_becomes(after)
        outcome = scene.played.outcomes[job_id]
        if outcome.waited is None:
            outcome.waited = scene.second - outcome.came
            outcome.worker_id = worker_id
        scene.played.assignments.append((job_id, worker_id, scene.second))
        seconds, comes_back = scene.people.work(job_id, record.job.channel_id, number, scene.second)
        scene.at(scene.second + seconds, self.is_done, job_id, worker_id, assignment_id, comes_back)
        others = {id: one for id, one in record.routing.offers.items() if id != offer_id}
        for other_id, offer in others.items():
            scene.drop(offer.worker_id, [other_id])
        freed = [offer.worker_id for offer in others.values()]
        if worker.worker.max_concurrent_offers is not None:
            freed.append(worker_id)
        self._matching.workers(freed)

    def is_done(self, job_id: str, worker_id: str, assignment_id: str, comes_back: bool) -> None:
        """The worker, with the job; it is closed, or comes back to its queue."""
        scene = self._scene
        scene.worker_becomes(workers.release(scene.team[worker_id], assignment_id, scene.now).record)
        if comes_back:
            after = endings.unassign(scene.jobs[job_id], assignment_id, UnassignJobOptions(), scene.now).record
            assert after is not None
            self.stays.comes_back(after)
        else:
            del scene.jobs[job_id]
        self._matching.workers((worker_id,), also=job_id if comes_back else "")
