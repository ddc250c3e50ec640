"""A router at work, of which everything is to be moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.communication.jobrouter import models
from azure.communication.jobrouter.aio import JobRouterAdministrationClient, JobRouterClient

from tests.acceptance.migrate_pair import SECRET, VOLUME, administration_of, client_of
from tests.eventually import eventually_async
from tests.local_router import LocalRouter

#: Labels are the client's own, also those that have names of the service's.
ODD = {"functionKey": "a", "kind": "x", "labelOperator": "y", "status": "z", "expiresAt": "soon", "scheduleAt": "later"}


async def fill(router: LocalRouter) -> None:
    async with administration_of(router) as administration, client_of(router) as client:
        await _all(_policies(administration))
        await _all(
            administration.upsert_queue(
                f"queue-{number}",
                name=f"Queue {number}",
                distribution_policy_id=f"distribute-{number % VOLUME.distribution}",
                labels={"number": number, "even": number % 2 == 0, "name": "söuth/#1", **ODD},
            )
            for number in range(VOLUME.queues)
        )
        await _all(_exceptions(administration))
        await _all(
            administration.upsert_queue(f"queue-{number}", exception_policy_id=f"except-{number % VOLUME.exception}")
            for number in range(0, VOLUME.queues, 3)
        )
        await _all(_classification(administration))
        await _all(_workers(client))
        await _assign_one(client)
        await _all(_jobs(client))

        async def settled() -> bool:
            moving = [job.id async for job in client.list_jobs(status="created")]
            moving += [job.id async for job in client.list_jobs(status="pendingClassification")]
            moving += [job.id async for job in client.list_jobs(status="pendingSchedule")]
            return not moving

        await eventually_async(settled, "all jobs of the source wait", seconds=300, pause=0.3)


def _policies(administration: JobRouterAdministrationClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.distribution):
        mode: models.DistributionMode = models.LongestIdleMode(min_concurrent_offers=1, max_concurrent_offers=2)
        if number % 2:
            rule = models.ExpressionRouterRule(expression="If(worker.level = 3, 5, 1)")
            options = models.ScoringRuleOptions(batch_size=10, descending_order=False)
            mode = models.BestWorkerMode(scoring_rule=rule, scoring_rule_options=options)
        yield administration.upsert_distribution_policy(
            f"distribute-{number}", name=f"Ümlaut {number}", offer_expires_after_seconds=33.5, mode=mode
        )


def _exceptions(administration: JobRouterAdministrationClient) -> Iterator[Awaitable[Any]]:
    """Their actions name queues."""
    for number in range(VOLUME.exception):
        action = models.ManualReclassifyExceptionAction(
            queue_id="queue-1",
            priority=9,
            worker_selectors=[models.RouterWorkerSelector(key="level", label_operator="greaterThan", value=2)],
        )
        rules = [
            models.ExceptionRule(
                id="late", trigger=models.WaitTimeExceptionTrigger(threshold_seconds=86400.0), actions=[action]
            ),
            models.ExceptionRule(
                id="long",
                trigger=models.QueueLengthExceptionTrigger(threshold=100_000),
                actions=[models.CancelExceptionAction(note="too many", disposition_code="full")],
            ),
        ]
        yield administration.upsert_exception_policy(f"except-{number}", name="Exceptions", exception_rules=rules)


def _classification(administration: JobRouterAdministrationClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.classification):
        rule: models.RouterRule = models.ExpressionRouterRule(expression="If(job.vip = true, 7, 3)")
        if number == 0:
            rule = models.FunctionRouterRule(
                function_uri="https://functions.example/api/priority",
                credential=models.FunctionRouterRuleCredential(function_key=SECRET),
            )
        yield administration.upsert_classification_policy(
            f"classify-{number}",
            name=f"Classify {number}",
            fallback_queue_id="queue-2",
            prioritization_rule=rule,
            queue_selector_attachments=[
                models.PassThroughQueueSelectorAttachment(key="number", label_operator="equal")
            ],
            worker_selector_attachments=[
                models.PassThroughWorkerSelectorAttachment(key="language", label_operator="equal"),
                models.StaticWorkerSelectorAttachment(
                    worker_selector=models.RouterWorkerSelector(
                        key="level", label_operator="greaterThanOrEqual", value=1, expires_after_seconds=3600.0
                    )
                ),
            ],
        )


def _workers(client: JobRouterClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.workers):
        yield client.upsert_worker(
            f"worker-{number}",
            capacity=10 + number % 5,
            queues=[f"queue-{(number + step) % VOLUME.queues}" for step in range(3)],
            labels={"language": "de" if number % 2 else "fr", "level": number % 5, "remote": number % 3 == 0, **ODD},
            tags={"shift": "early", **ODD},
            # Nobody serves the channel in which the jobs wait.
            channels=[models.RouterChannel(channel_id="mail", capacity_cost_per_job=2, max_number_of_jobs=3)],
            available_for_offers=number % 10 == 0,
        )


def _jobs(client: JobRouterClient) -> Iterator[Awaitable[Any]]:
    now = datetime.now(UTC)
    for number in range(VOLUME.jobs):
        fields: dict[str, Any] = {
            "channel_id": "chat",
            "channel_reference": f"conversation {number}",
            "labels": {"language": "fr", "number": number % VOLUME.queues, "vip": number % 7 == 0, **ODD},
            "tags": {"number": number, "ratio": 0.5, "known": True},
            "notes": [models.RouterJobNote(message=f"Nøte {number}", added_at=now - timedelta(minutes=number))],
        }
        if number % 4 == 1:
            policies = max(VOLUME.classification - 1, 1)
            fields["classification_policy_id"] = f"classify-{1 + number % policies}"
        else:
            fields["queue_id"] = "queue-0" if number % 4 == 0 else f"queue-{number % VOLUME.queues}"
            fields["priority"] = number % 3
            fields["requested_worker_selectors"] = [
                models.RouterWorkerSelector(
                    key="level",
                    label_operator="lessThan",
                    value=4,
                    expedite=number % 16 == 0,
                    expires_after_seconds=7200.0,
                )
            ]
        if number % 25 == 3:
            fields["matching_mode"] = models.SuspendMode()
        if number % 25 == 7:
            fields["matching_mode"] = models.ScheduleAndSuspendMode(schedule_at=now + timedelta(days=2))
        yield client.upsert_job(f"job-{number}", **fields)


async def _assign_one(client: JobRouterClient) -> None:
    """One job that is being served already: it stays on the source."""
    await client.upsert_job("served", channel_id="mail", queue_id="queue-0")

    async def offered() -> Any:
        async for worker in client.list_workers(queue_id="queue-0"):
            if worker.offers:
                return worker
        return None

    worker = await eventually_async(offered, "somebody is offered the job", seconds=60)
    await client.accept_job_offer(worker.id, worker.offers[0].offer_id)

    async def free() -> bool:
        return not [1 async for one in client.list_workers() if one.offers]

    await eventually_async(free, "its other offers are gone")


async def _all(calls: Iterable[Awaitable[Any]]) -> None:
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call

    await asyncio.gather(*(work() for _ in range(16)))
