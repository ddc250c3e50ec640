"""The quick start of ACS Job Router with its official SDK: only the endpoint and the key are ours.

    .venv/bin/python examples/quickstart.py

Environment: ROUTER_CONNECTION_STRING (`endpoint=...;accesskey=...`, as `make start` prints it), or ROUTER_ENDPOINT and
ROUTER_ACCESS_KEY; without any of them the local router on PORT (7071) with the development key."""

from __future__ import annotations

import os
import time
import uuid

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import (
    CloseJobOptions,
    DistributionPolicy,
    LabelOperator,
    LongestIdleMode,
    RouterChannel,
    RouterJob,
    RouterQueue,
    RouterWorker,
    RouterWorkerSelector,
)
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

DEVELOPMENT_KEY = "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="
STARTED = time.perf_counter()


def say(text: str) -> None:
    print(f"{time.perf_counter() - STARTED:7.3f} s  {text}", flush=True)


def clients() -> tuple[JobRouterAdministrationClient, JobRouterClient]:
    connection_string = os.environ.get("ROUTER_CONNECTION_STRING")
    if connection_string:
        try:
            return (
                JobRouterAdministrationClient.from_connection_string(connection_string),
                JobRouterClient.from_connection_string(connection_string),
            )
        except ValueError:
            raise SystemExit("ROUTER_CONNECTION_STRING must read endpoint=https://...;accesskey=...") from None
    endpoint = os.environ.get("ROUTER_ENDPOINT", f"http://localhost:{os.environ.get('PORT', '7071')}")
    key = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", DEVELOPMENT_KEY))
    return JobRouterAdministrationClient(endpoint, key), JobRouterClient(endpoint, key)


def main() -> None:
    administration, router = clients()
    run = uuid.uuid4().hex[:8]

    policy = administration.upsert_distribution_policy(
        f"policy-{run}",
        DistributionPolicy(offer_expires_after_seconds=60, mode=LongestIdleMode(), name="Quick start policy"),
    )
    say(f"distribution policy {policy.id}")
    queue = administration.upsert_queue(
        f"queue-{run}", RouterQueue(distribution_policy_id=policy.id, name="Quick start queue")
    )
    say(f"queue {queue.id}")
    job = router.upsert_job(
        f"job-{run}",
        RouterJob(
            channel_id="voice",
            queue_id=queue.id,
            priority=1,
            requested_worker_selectors=[
                RouterWorkerSelector(key="Some-Skill", label_operator=LabelOperator.GREATER_THAN, value=10)
            ],
        ),
    )
    say(f"job {job.id} is {job.status}")
    worker = router.upsert_worker(
        f"worker-{run}",
        RouterWorker(
            capacity=1,
            queues=[queue.id],
            labels={"Some-Skill": 11},
            channels=[RouterChannel(channel_id="voice", capacity_cost_per_job=1)],
            available_for_offers=True,
        ),
    )
    say(f"worker {worker.id} is {worker.state}")

    deadline = time.monotonic() + 30
    while not worker.offers:
        if time.monotonic() > deadline:
            raise SystemExit("No offer within 30 s: see the router's output.")
        time.sleep(0.02)
        worker = router.get_worker(worker.id)
    offer = worker.offers[0]
    say(f"worker {worker.id} has an offer of job {offer.job_id}")

    accepted = router.accept_job_offer(worker_id=worker.id, offer_id=offer.offer_id)
    say(f"job {accepted.job_id} is {router.get_job(accepted.job_id).status} to worker {accepted.worker_id}")
    router.complete_job(job.id, accepted.assignment_id)
    say(f"job {job.id} is {router.get_job(job.id).status}")
    router.close_job(job.id, accepted.assignment_id, CloseJobOptions(disposition_code="Resolved"))
    closed = router.get_job(job.id)
    say(f"job {job.id} is {closed.status}, disposition {closed.disposition_code}")


if __name__ == "__main__":
    try:
        main()
    except (ServiceRequestError, ServiceResponseError) as error:
        raise SystemExit(f"No router answers ({error.message}). `make start` starts one on this machine.") from None
    except HttpResponseError as error:
        raise SystemExit(f"The router refused a request: {error.message.splitlines()[0]}") from None
