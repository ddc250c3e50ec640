"""Which moments a job's state makes necessary to look at it again (docs/architecture.md, "Timed things")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from router.engine import endings, exceptions, selectors
from router.models.jobs import ENDED, JobRecord, JobStatus, ScheduleAndSuspendMode
from router.models.policies import ExceptionPolicy


@dataclass(frozen=True, slots=True)
class Due:
    """Something to do with the job at a time. `argument` is an offer, a worker or a rule."""

    kind: str
    at: datetime
    argument: str = ""


def of_change(before: JobRecord | None, after: JobRecord, policy: ExceptionPolicy | None) -> Sequence[Due]:
    """What the change makes necessary; everything where there is no `before`. `policy` is the queue's."""
    old = before.routing if before else None
    routing = after.routing
    found = [
        Due("offer", offer.expires_at, offer.offer_id)
        for offer_id, offer in routing.offers.items()
        if old is None or offer_id not in old.offers
    ]
    found += [
        Due("retry", decline.retry_at, worker_id)
        for worker_id, decline in routing.declined.items()
        if decline.retry_at and (old is None or old.declined.get(worker_id) != decline)
    ]
    if routing.retry_at and (old is None or old.retry_at != routing.retry_at):
        found.append(Due("retry", routing.retry_at))
    if routing.close_at and (old is None or old.close_at != routing.close_at):
        found.append(Due("close", routing.close_at))
    mode = after.job.matching_mode
    if isinstance(mode, ScheduleAndSuspendMode) and (before is None or before.job.matching_mode != mode):
        found.append(Due("schedule", mode.schedule_at))
    if after.status is not JobStatus.QUEUED:
        return found
    entered = before is None or before.status is not JobStatus.QUEUED
    expiry = selectors.next_expiry(after.job)
    if expiry and (entered or before is None or selectors.next_expiry(before.job) != expiry):
        found.append(Due("selectors", expiry))
    wait = next_wait(after, policy)
    if wait and (entered or before is None or before.routing.stay != routing.stay or next_wait(before, policy) != wait):
        found.append(wait)
    return found


def next_wait(record: JobRecord, policy: ExceptionPolicy | None) -> Due | None:
    """When the first of the waitTime rules that have not fired in this stay is due. The others follow when it has
    fired: a job owns one such deadline, however many rules there are."""
    if policy is None or record.job.enqueued_at is None:
        return None
    waits = (
        Due("wait", at, rule_id)
        for rule_id, at in exceptions.wait_deadlines(policy, record.job.enqueued_at)
        if not exceptions.has_fired(record, rule_id)
    )
    return min(waits, key=lambda due: due.at, default=None)


def of_life(record: JobRecord, policy: ExceptionPolicy | None) -> Sequence[Due]:
    """Everything that a job which rests is to be looked at for, its end included."""
    if record.status in ENDED:
        return []
    return [*of_change(None, record, policy), Due("life", endings.life_ends(record))]
