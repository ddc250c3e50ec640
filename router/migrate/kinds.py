"""What is moved, in dependency order: a queue names policies, a worker names queues, a job names all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of resource: its name, its path, and the lists that together hold what is to be moved."""

    name: str
    path: str
    plural: str
    lists: tuple[Mapping[str, str], ...] = ({},)


DISTRIBUTION: Final = Kind("DistributionPolicy", "distributionPolicies", "distribution policies")
EXCEPTION: Final = Kind("ExceptionPolicy", "exceptionPolicies", "exception policies")
QUEUE: Final = Kind("Queue", "queues", "queues")
CLASSIFICATION: Final = Kind("ClassificationPolicy", "classificationPolicies", "classification policies")
WORKER: Final = Kind("Worker", "workers", "workers", ({"state": "all"},))
#: `active` leaves out jobs that are about to be queued, and those that have ended.
JOB: Final = Kind("Job", "jobs", "jobs", ({"status": "active"}, {"status": "created"}))

KINDS: Final = (DISTRIBUTION, EXCEPTION, QUEUE, CLASSIFICATION, WORKER, JOB)
