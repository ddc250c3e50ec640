"""A customer is called back at a time that was agreed: the job waits until then, and is matched when somebody is there.

    .venv/bin/python examples/scheduled_call_back.py

Environment: ROUTER_ENDPOINT and ROUTER_ACCESS_KEY (default: the local router), CALL_IN_SECONDS (5)."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import (
    LongestIdleMode,
    QueueAndMatchMode,
    RouterChannel,
    ScheduleAndSuspendMode,
)
from azure.core.credentials import AzureKeyCredential

ENDPOINT = os.environ.get("ROUTER_ENDPOINT", "http://localhost:7071")
KEY = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="))
CALL_IN_SECONDS = float(os.environ.get("CALL_IN_SECONDS", "5"))


def main() -> None:
    administration, router = JobRouterAdministrationClient(ENDPOINT, KEY), JobRouterClient(ENDPOINT, KEY)
    administration.upsert_distribution_policy("fair", offer_expires_after_seconds=60, mode=LongestIdleMode())
    administration.upsert_queue("call-backs", distribution_policy_id="fair")
    at = datetime.now(UTC) + timedelta(seconds=CALL_IN_SECONDS)
    call = router.upsert_job(
        f"call-{uuid.uuid4()}",
        channel_id="voice",
        queue_id="call-backs",
        channel_reference="+1 555 0100",
        matching_mode=ScheduleAndSuspendMode(schedule_at=at),
    ).id

    def until(status: str) -> None:
        """By asking, so that this runs alone: an application takes the event RouterJobWaitingForActivation."""
        deadline = time.monotonic() + CALL_IN_SECONDS + 30
        while router.get_job(call).status != status:
            if time.monotonic() > deadline:
                raise SystemExit(f"{call} is {router.get_job(call).status}, not {status}: see the router's output.")
            time.sleep(0.1)
        print(f"{datetime.now(UTC):%H:%M:%S} {call} is {status}")

    until("scheduled")
    until("waitingForActivation")  # the time has come; the application says when it is to be matched
    channel = RouterChannel(channel_id="voice", capacity_cost_per_job=1)
    worker = f"cal-{uuid.uuid4()}"
    router.upsert_worker(worker, capacity=1, queues=["call-backs"], channels=[channel], available_for_offers=True)
    router.upsert_job(call, matching_mode=QueueAndMatchMode(), priority=10)
    deadline = time.monotonic() + 30
    while not (offers := [one for one in router.get_worker(worker).offers or [] if one.job_id == call]):
        if time.monotonic() > deadline:
            raise SystemExit(f"No offer within 30 s: jobrouter explain {call}")
        time.sleep(0.1)
    taken = router.accept_job_offer(worker, offers[0].offer_id)
    print(f"{worker} calls {router.get_job(call).channel_reference}")
    router.complete_job(call, taken.assignment_id)
    router.close_job(call, taken.assignment_id)
    until("closed")
    router.delete_worker(worker)


if __name__ == "__main__":
    main()
