"""A chat that waits too long goes to the seniors, first in line: an exception policy with a wait-time rule.

    .venv/bin/python examples/chat_escalation.py

Environment: ROUTER_ENDPOINT and ROUTER_ACCESS_KEY (default: the local router), WAIT_SECONDS (5)."""

from __future__ import annotations

import os
import time
import uuid

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import (
    ExceptionRule,
    LongestIdleMode,
    ManualReclassifyExceptionAction,
    RouterChannel,
    RouterWorkerSelector,
    WaitTimeExceptionTrigger,
)
from azure.core.credentials import AzureKeyCredential

ENDPOINT = os.environ.get("ROUTER_ENDPOINT", "http://localhost:7071")
KEY = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="))
WAIT_SECONDS = float(os.environ.get("WAIT_SECONDS", "5"))


def main() -> None:
    administration, router = JobRouterAdministrationClient(ENDPOINT, KEY), JobRouterClient(ENDPOINT, KEY)
    administration.upsert_distribution_policy("fair", offer_expires_after_seconds=60, mode=LongestIdleMode())
    administration.upsert_queue("seniors", distribution_policy_id="fair")
    escalate = ExceptionRule(
        id="waited-too-long",
        trigger=WaitTimeExceptionTrigger(threshold_seconds=WAIT_SECONDS),
        actions=[
            ManualReclassifyExceptionAction(
                queue_id="seniors",
                priority=10,
                worker_selectors=[RouterWorkerSelector(key="senior", label_operator="equal", value=True)],
            )
        ],
    )
    administration.upsert_exception_policy("escalate-chats", exception_rules=[escalate])
    administration.upsert_queue("chats", distribution_policy_id="fair", exception_policy_id="escalate-chats")

    channel = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
    router.upsert_worker(  # nobody serves "chats"
        "sam", capacity=5, queues=["seniors"], labels={"senior": True}, channels=[channel], available_for_offers=True
    )
    chat = f"chat-{uuid.uuid4()}"
    router.upsert_job(chat, channel_id="chat", queue_id="chats")
    print(f"{chat} waits in chats")

    deadline = time.monotonic() + WAIT_SECONDS + 30
    while not (offers := [one for one in router.get_worker("sam").offers or [] if one.job_id == chat]):
        if time.monotonic() > deadline:
            raise SystemExit("It was not escalated: see the router's output.")
        time.sleep(0.2)
    job = router.get_job(chat)
    print(f"{chat} is in {job.queue_id} with priority {job.priority}")
    taken = router.accept_job_offer("sam", offers[0].offer_id)
    router.complete_job(chat, taken.assignment_id)
    router.close_job(chat, taken.assignment_id)
    print(f"{chat} is {router.get_job(chat).status}")


if __name__ == "__main__":
    main()
