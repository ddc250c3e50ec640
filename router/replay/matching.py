"""Jobs and workers of a played day meet: the router's own plan, at once and without storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from router.engine import offers, workers
from router.engine.candidates import Candidate
from router.engine.plan import plan
from router.engine.selectors import all_selectors, first_failing
from router.models.jobs import JobOffer, JobRecord, JobStatus
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.sizes import MOST_OFFERS
from router.replay.scene import Scene

#: An offer of a job that is made, with its number among the job's own.
Offered = Callable[[str, JobOffer, int], None]


class Matching:
    def __init__(self, scene: Scene, offered: Offered) -> None:
        self._scene, self._tell = scene, offered
        self._turns: dict[str, str] = {}
        self._offered: dict[str, int] = defaultdict(int)

    def job(self, job_id: str) -> None:
        """Whoever is free, for a job that may take an offer."""
        record = self._scene.jobs[job_id]
        if record.status is JobStatus.QUEUED and (free := self._scene.team.free_for(record.job.queue_id or "")):
            self._plan(record, free)

    def workers(self, worker_ids: Sequence[str], also: str = "") -> None:
        """The jobs of all their queues, in the order of service; the job `also` may have any worker."""
        scene = self._scene
        free = scene.team.still_free(worker_ids)
        queue_ids = list(dict.fromkeys(queue_id for one in free for queue_id in one.queues))
        fits: dict[tuple[Any, ...], bool] = {}
        for place in scene.lines.in_order(queue_ids):
            job = scene.jobs[place.job_id]
            queue_id = job.job.queue_id or ""
            if place.job_id == also:
                self.job(also)
                free = scene.team.still_free([one.worker_id for one in free])
                continue
            policy = scene.rules.distribution(queue_id)
            if len(job.routing.offers) >= min(policy.mode.max_concurrent_offers, MOST_OFFERS):
                continue
            suit = _suited(job, free, fits, bypass=policy.mode.bypass_selectors)
            if not suit:
                continue
            self._plan(job, suit)
            if scene.jobs[place.job_id] is not job:
                free = scene.team.still_free([one.worker_id for one in free])
                if not free:
                    break
        if also:
            self.job(also)

    def _plan(self, record: JobRecord, candidates: Sequence[Candidate]) -> None:
        queue_id = record.job.queue_id or ""
        policy = self._scene.rules.distribution(queue_id)
        found = plan([record], candidates, policy, self._scene.now, turn=self._turns.get(queue_id))
        for match in found.matches:
            self._offer(match.job.id, match.worker_id, queue_id, policy)

    def _offer(self, job_id: str, worker_id: str, queue_id: str, policy: DistributionPolicy) -> None:
        scene = self._scene
        record, worker = scene.jobs[job_id], scene.team[worker_id]
        channel = worker.worker.channel(record.job.channel_id)
        assert channel is not None
        number = self._offered[job_id]
        self._offered[job_id] += 1
        offer = JobOffer(
            offer_id=f"{job_id}/{number}",
            worker_id=worker_id,
            capacity_cost=channel.capacity_cost_per_job,
            offered_at=scene.now,
            expires_at=scene.now + timedelta(seconds=policy.offer_expires_after_seconds),
        )
        reserved = workers.reserve(worker, offer, job_id, record.job.channel_id, queue_id)
        if reserved is None or reserved.record is None:
            return
        attached = offers.attach(record, offer, worker.worker, policy.mode.max_concurrent_offers, scene.now)
        if attached is None:
            return
        scene.worker_becomes(reserved.record)
        scene.job_becomes(attached.record)
        if isinstance(policy.mode, RoundRobinMode):
            self._turns[queue_id] = worker_id
        self._tell(job_id, offer, number)


def _suited(
    job: JobRecord, free: Sequence[Candidate], fits: dict[tuple[Any, ...], bool], *, bypass: bool
) -> Sequence[Candidate]:
    """Those of the queue who have what the job asks for; `fits` remembers that for jobs that ask for the same."""
    queue_id, channel_id = job.job.queue_id or "", job.job.channel_id
    asked = [one for one in all_selectors(job.job) if one.active]
    sort = (channel_id, bypass, *((one.key, one.label_operator, type(one.value), one.value) for one in asked))
    suit: list[Candidate] = []
    for one in free:
        key = (one.worker_id, *sort)
        if key not in fits:
            fits[key] = channel_id in one.channels and (bypass or first_failing(asked, one.labels) is None)
        if fits[key] and queue_id in one.queues:
            suit.append(one)
    return suit
