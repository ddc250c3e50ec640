"""The quick start of ACS Job Router with its official SDK: only the endpoint and the key are ours.

    .venv/bin/python examples/quickstart.py

Environment: ROUTER_CONNECTION_STRING (`endpoint=...;accesskey=...`, as `make start` prints it), or ROUTER_ENDPOINT and
ROUTER_ACCESS_KEY; without any of them the local router on PORT (7071) with the development key."""

from __future__ import annotations

import os
import time
import uuid

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import CloseJobOptions, LongestIdleMode, RouterChannel, RouterWorkerSelector
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

DEVELOPMENT_KEY = "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="
STARTED = time.perf_counter()


def say(text: str) -> None:
    print(f"{time.perf_counter() - STARTED:7.3f} s  {text}", flush=True)


def clients() -> tuple[JobRouterAdministrationClient, JobRouterClient]:
    if text := os.environ.get("ROUTER_CONNECTION_STRING"):
        try:
            administration = JobRouterAdministrationClient.from_connection_string(text)
            return administration, JobRouterClient.from_connection_string(text)
        except ValueError:
            raise SystemExit("ROUTER_CONNECTION_STRING must read endpoint=https://...;accesskey=...") from None
    endpoint = os.environ.get("ROUTER_ENDPOINT", f"http://localhost:{os.environ.get('PORT', '7071')}")
    key = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", DEVELOPMENT_KEY))
    return JobRouterAdministrationClient(endpoint, key), JobRouterClient(endpoint, key)


def main() -> None:
    administration, router = clients()
    run = uuid.uuid4().hex[:8]

    mode = LongestIdleMode()
    policy = administration.upsert_distribution_policy(f"policy-{run}", offer_expires_after_seconds=60, mode=mode)
    say(f"distribution policy {policy.id}")
    queue = administration.upsert_queue(f"queue-{run}", distribution_policy_id=policy.id, name="Quick start queue")
    say(f"queue {queue.id}")
    skilled = RouterWorkerSelector(key="Some-Skill", label_operator="greaterThan", value=10)
    job = router.upsert_job(f"job-{run}", channel_id="voice", queue_id=queue.id, requested_worker_selectors=[skilled])
    say(f"job {job.id} is {job.status}")
    channel = RouterChannel(channel_id="voice", capacity_cost_per_job=1)
    what = {"capacity": 1, "queues": [queue.id], "channels": [channel], "labels": {"Some-Skill": 11}}
    worker = router.upsert_worker(f"worker-{run}", **what, available_for_offers=True)
    say(f"worker {worker.id} is {worker.state}")

    deadline = time.monotonic() + 30
    while not worker.offers:
        if time.monotonic() > deadline:
            raise SystemExit("No offer within 30 s: see the router's output.")
        time.sleep(0.02)
        worker = router.get_worker(worker.id)
    say(f"worker {worker.id} has an offer of job {worker.offers[0].job_id}")

    accepted = router.accept_job_offer(worker.id, worker.offers[0].offer_id)
    say(f"job {accepted.job_id} is {router.get_job(accepted.job_id).status} to worker {accepted.worker_id}")
    router.complete_job(job.id, accepted.assignment_id)
    say(f"job {job.id} is {router.get_job(job.id).status}")
    router.close_job(job.id, accepted.assignment_id, CloseJobOptions(disposition_code="Resolved"))
    job = router.get_job(job.id)
    say(f"job {job.id} is {job.status}, disposition {job.disposition_code}")


if __name__ == "__main__":
    try:
        main()
    except (ServiceRequestError, ServiceResponseError) as error:
        raise SystemExit(f"No router answers ({error.message}). `make start` starts one on this machine.") from None
    except HttpResponseError as error:
        raise SystemExit(f"The router refused a request: {error.message.splitlines()[0]}") from None
