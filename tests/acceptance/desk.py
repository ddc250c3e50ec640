"""A desk of its own for each test: policies, queues, workers and jobs by short calls, with ids that nobody else has."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Callable
from typing import Any

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import (
    AcceptJobOfferResult,
    ClassificationPolicy,
    DistributionMode,
    DistributionPolicy,
    ExceptionPolicy,
    ExceptionRule,
    LongestIdleMode,
    RouterChannel,
    RouterJob,
    RouterJobOffer,
    RouterQueue,
    RouterWorker,
    RouterWorkerSelector,
)
from azure.core.exceptions import HttpResponseError

from tests.acceptance.service import send
from tests.eventually import eventually

VOICE = "voice"


def selector(key: str, operator: str, value: Any, **more: Any) -> RouterWorkerSelector:
    return RouterWorkerSelector(key=key, label_operator=operator, value=value, **more)


class Desk:
    def __init__(self, administration: JobRouterAdministrationClient, client: JobRouterClient) -> None:
        self.administration = administration
        self.client = client
        self.run = uuid.uuid4().hex[:10]
        self._numbers = itertools.count(1)
        self._made: list[tuple[str, str]] = []

    def id(self, kind: str = "thing", name: str | None = None) -> str:
        """A new id; ids of one desk sort as they were made."""
        made = f"{self.run}-{name}" if name else f"{self.run}-{kind}-{next(self._numbers):03}"
        self._made.append((kind, made))
        return made

    def policy(self, mode: DistributionMode | None = None, expires: float = 60, **fields: Any) -> str:
        policy_id = self.id("distribution")
        policy = DistributionPolicy(offer_expires_after_seconds=expires, mode=mode or LongestIdleMode(), **fields)
        self.administration.upsert_distribution_policy(policy_id, policy)
        return policy_id

    def queue(self, mode: DistributionMode | None = None, expires: float = 60, **fields: Any) -> str:
        """A queue; with a distribution policy of its own unless one is named."""
        fields.setdefault("distribution_policy_id", None)
        if fields["distribution_policy_id"] is None:
            fields["distribution_policy_id"] = self.policy(mode, expires)
        queue_id = self.id("queue", fields.pop("named", None))
        self.administration.upsert_queue(queue_id, RouterQueue(**fields))
        return queue_id

    def classification(self, **fields: Any) -> str:
        policy_id = self.id("classification")
        self.administration.upsert_classification_policy(policy_id, ClassificationPolicy(**fields))
        return policy_id

    def exceptions(self, *rules: ExceptionRule, **fields: Any) -> str:
        policy_id = self.id("exception")
        policy = ExceptionPolicy(exception_rules=list(rules), **fields)
        self.administration.upsert_exception_policy(policy_id, policy)
        return policy_id

    def worker(self, *queues: str, cost: int = 1, **fields: Any) -> str:
        worker_id = self.id("worker", fields.pop("named", None))
        fields.setdefault("capacity", 1)
        fields.setdefault("channels", [RouterChannel(channel_id=VOICE, capacity_cost_per_job=cost)])
        fields.setdefault("available_for_offers", True)
        self.client.upsert_worker(worker_id, RouterWorker(queues=list(queues), **fields))
        return worker_id

    def job(self, queue: str | None = None, **fields: Any) -> str:
        job_id = self.id("job", fields.pop("named", None))
        fields.setdefault("channel_id", VOICE)
        self.client.upsert_job(job_id, RouterJob(queue_id=queue, **fields))
        return job_id

    def queued(self, queue: str | None = None, **fields: Any) -> str:
        """A job that is in its queue already."""
        job_id = self.job(queue, **fields)
        self.until(job_id, "queued")
        return job_id

    def until(self, job_id: str, status: str, seconds: float = 15) -> RouterJob:
        def reached() -> RouterJob:
            job = self.client.get_job(job_id)
            assert job.status == status, job.status
            return job

        return eventually(reached, f"job {job_id} is {status}", seconds)

    def until_job(
        self, job_id: str, condition: Callable[[RouterJob], Any], what: str, seconds: float = 15
    ) -> RouterJob:
        def holds() -> RouterJob:
            job = self.client.get_job(job_id)
            assert condition(job), job
            return job

        return eventually(holds, f"job {job_id}: {what}", seconds)

    def until_worker(
        self, worker_id: str, condition: Callable[[RouterWorker], Any], what: str, seconds: float = 15
    ) -> RouterWorker:
        def holds() -> RouterWorker:
            worker = self.client.get_worker(worker_id)
            assert condition(worker), worker
            return worker

        return eventually(holds, f"worker {worker_id}: {what}", seconds)

    def offer(self, worker_id: str, job_id: str | None = None, seconds: float = 15) -> RouterJobOffer:
        """The worker's offer (of the job), as soon as there is one."""

        def offered() -> RouterJobOffer | None:
            found = [one for one in self.offers(worker_id) if job_id in (None, one.job_id)]
            return found[0] if found else None

        return eventually(offered, f"an offer of {job_id or 'any job'} to {worker_id}", seconds)

    def offers(self, worker_id: str) -> list[RouterJobOffer]:
        return list(self.client.get_worker(worker_id).offers or [])

    def offered_to(self, job_id: str, *workers: str, seconds: float = 15) -> str:
        """Which of the workers is the first seen with an offer of the job."""

        def found() -> str | None:
            for worker_id in workers:
                if any(offer.job_id == job_id for offer in self.offers(worker_id)):
                    return worker_id
            return None

        return eventually(found, f"an offer of {job_id} to one of {workers}", seconds)

    def no_offers(self, worker_id: str, seconds: float = 15) -> RouterWorker:
        return self.until_worker(worker_id, lambda worker: not worker.offers, "has no offers", seconds)

    def accept(self, worker_id: str, job_id: str | None = None) -> AcceptJobOfferResult:
        return self.client.accept_job_offer(worker_id, self.offer(worker_id, job_id).offer_id)

    def complete(self, accepted: AcceptJobOfferResult) -> None:
        self.client.complete_job(accepted.job_id, accepted.assignment_id)

    def close(self, accepted: AcceptJobOfferResult) -> None:
        self.complete(accepted)
        self.client.close_job(accepted.job_id, accepted.assignment_id)

    def explain(self, job_id: str) -> dict[str, Any]:
        """Only of this router: why the job is where it is, with all the workers of its queue."""
        path, params = f"routing/jobs/{job_id}/explain", {"maxpagesize": "1000"}
        workers: list[Any] = []
        while True:
            response = send(self.client, "GET", path, params=params)
            response.raise_for_status()
            body: dict[str, Any] = response.json()
            workers += body["workers"]
            if "nextLink" not in body:
                return {**body, "workers": workers}
            path, _, query = body["nextLink"].lstrip("/").partition("?")
            params = dict([query.split("=", 1)])

    def clear(self) -> None:
        """Removes what the test made from a resource that lives on."""
        # Twice: what was still in use may be free when all has been tried once.
        for kind, made in [*reversed(self._made), *reversed(self._made)]:
            with contextlib.suppress(HttpResponseError):
                match kind:
                    case "job":
                        self._end_job(made)
                    case "worker":
                        self.client.delete_worker(made)
                    case "queue":
                        self.administration.delete_queue(made)
                    case "distribution":
                        self.administration.delete_distribution_policy(made)
                    case "classification":
                        self.administration.delete_classification_policy(made)
                    case "exception":
                        self.administration.delete_exception_policy(made)

    def _end_job(self, job_id: str) -> None:
        job = self.client.get_job(job_id)
        for assignment_id in job.assignments or {}:
            if job.status == "assigned":
                self.client.complete_job(job_id, assignment_id)
            if job.status in ("assigned", "completed"):
                self.client.close_job(job_id, assignment_id)
        if job.status not in ("assigned", "completed", "closed", "cancelled"):
            self.client.cancel_job(job_id)
        self.client.delete_job(job_id)
