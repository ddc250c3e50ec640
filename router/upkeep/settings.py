"""Settings that change while jobs wait: those jobs are looked at again, once every process knows the new settings.

A larger `maxConcurrentOffers`, selectors that are bypassed, another distribution policy, a queue that is there again:
each may let a worker take a job that neither of them would look for by itself. A new waitTime rule has to be armed for
who waits already."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from router.commit import deadlines, policies
from router.commit import job as job_commits
from router.commit.parts import Parts, gathered
from router.engine import matching
from router.engine.service_order import standing
from router.models.jobs import JobStatus
from router.storage.backlog import Waiting
from router.storage.deadlines import Deadline
from router.storage.resources import CACHE_SECONDS

#: What routing depends on, and the kind of the deadline that follows its change.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Queue": ("distributionPolicyId", "exceptionPolicyId"),
    "DistributionPolicy": ("mode",),
    "ExceptionPolicy": ("exceptionRules",),
}
_KINDS: Final[Mapping[str, str]] = {
    "Queue": "queue",
    "DistributionPolicy": "distribution-policy",
    "ExceptionPolicy": "exception-policy",
}
_REFERENCES: Final[Mapping[str, str]] = {
    "distribution-policy": "DistributionPolicyId",
    "exception-policy": "ExceptionPolicyId",
}
#: Until then the change has been written and no process remembers what was before.
_KNOWN_AFTER: Final = timedelta(seconds=CACHE_SECONDS + 2)
#: Jobs that are read and armed together.
_AT_ONCE: Final = 50

Document = Mapping[str, Any]


async def arm(parts: Parts, kind: str, id: str, before: Document | None, after: Document) -> None:
    """To be called before the change is written: what hangs on it is followed up even if this process dies then."""
    if any((before or {}).get(field) != after.get(field) for field in _FIELDS.get(kind, ())):
        await parts.deadlines.arm(Deadline(_KINDS[kind], id, parts.clock.now() + _KNOWN_AFTER))


async def follow(parts: Parts, kind: str, id: str) -> None:
    """What a deadline of `kind` ("queue", "distribution-policy", "exception-policy") does for the resource `id`."""
    if kind == "queue":
        await _look_again(parts, id)
        return
    named = [queue_id async for queue_id in parts.resources.referring("Queue", _REFERENCES[kind], id)]
    for queue_id in named:
        await _look_again(parts, queue_id)


async def _look_again(parts: Parts, queue_id: str) -> None:
    """Everybody who waits in the queue, in the order of service."""
    some: list[Waiting] = []
    async for waiting in parts.backlog.all(queue_id):
        some.append(waiting)
        if len(some) == _AT_ONCE:
            await _look_at(parts, queue_id, some)
            some = []
    if some:
        await _look_at(parts, queue_id, some)
    await parts.rounds.ask([queue_id], sure=True)


async def _look_at(parts: Parts, queue_id: str, some: list[Waiting]) -> None:
    rows = await asyncio.gather(*(parts.jobs.store.load(waiting.job_id) for waiting in some))
    found = [
        (waiting, row, row.record)
        for waiting, row in zip(some, rows, strict=True)
        if row.record is not None and row.record.status is JobStatus.QUEUED and row.record.job.queue_id == queue_id
    ]
    await gathered(deadlines.follow_wait_rules(parts, row) for _, row, _ in found)
    policy = await policies.distribution_policy(parts, queue_id)
    if policy is None:
        return
    open_again = [
        job_commits.stand(parts, record, where)
        for waiting, _, record in found
        if not waiting.open and matching.wants_offers(record, policy.mode) and (where := standing(record)) is not None
    ]
    await asyncio.gather(*open_again)
