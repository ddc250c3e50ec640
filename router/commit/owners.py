"""Which queue and which classification policy an active job names: they may not be deleted under it."""

from __future__ import annotations

from typing import Final

from router.engine.evolve import evolve
from router.models.jobs import ENDED, JobRecord
from router.storage.members import Owner

#: Queues and policies that a job remembers to have named. One more, and the hint of the oldest goes at once.
_MOST_LEFT: Final = 20


def owners(record: JobRecord | None) -> list[Owner]:
    """The queue and the policy that may not be deleted while the job is active."""
    return [] if record is None or record.status in ENDED else _named(record)


def all_owners(record: JobRecord) -> list[Owner]:
    """Whoever may have a hint of the job, active or not, each once."""
    return list(dict.fromkeys((*_named(record), *record.routing.left_owners)))


def remembering(before: JobRecord | None, record: JobRecord) -> JobRecord:
    """The record with the owners that it no longer names. Their hints stay until the job ends: a removal that came
    late could take away the hint of a job that has come back meanwhile."""
    if record.status in ENDED:
        return record
    known = record.routing.left_owners
    left = [owner for owner in owners(before) if owner not in (*owners(record), *known)]
    return evolve(record, routing={"left_owners": [*known, *left][-_MOST_LEFT:]}) if left else record


def forgotten(before: JobRecord | None, after: JobRecord | None) -> list[Owner]:
    """Owners that the job has left so long ago, and so many others since, that it does not remember them any more."""
    if before is None or after is None or after.status in ENDED:
        return []
    kept = {*_named(after), *after.routing.left_owners}
    return [owner for owner in before.routing.left_owners if owner not in kept]


def _named(record: JobRecord) -> list[Owner]:
    named: list[Owner] = []
    if record.job.queue_id:
        named.append(("q", record.job.queue_id))
    if record.job.classification_policy_id:
        named.append(("c", record.job.classification_policy_id))
    return named
