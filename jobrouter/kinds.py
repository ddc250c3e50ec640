"""The kinds of resources, under the names that are typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, QUEUE, WORKER, Kind

ONE: Final[Mapping[str, Kind]] = {
    "job": JOB,
    "worker": WORKER,
    "queue": QUEUE,
    "distribution-policy": DISTRIBUTION,
    "classification-policy": CLASSIFICATION,
    "exception-policy": EXCEPTION,
}
MANY: Final[Mapping[str, Kind]] = {
    "jobs": JOB,
    "workers": WORKER,
    "queues": QUEUE,
    "distribution-policies": DISTRIBUTION,
    "classification-policies": CLASSIFICATION,
    "exception-policies": EXCEPTION,
}
