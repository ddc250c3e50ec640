"""Plain names for metrics and dimensions, as the page shows them."""

from __future__ import annotations

from typing import Final

from router.telemetry import names

TITLES: Final[dict[str, str]] = {
    names.API_REQUESTS: "Requests",
    names.OPERATION_DURATION: "Time to answer a request",
    names.OFFERS: "Offers",
    names.TIME_TO_OFFER: "Time to offer",
    names.ASSIGNMENT_TIME: "Time to assignment",
    names.ASSIGNMENT_QUEUE_TIME: "Time in the queue until assigned",
    names.QUEUE_LENGTH: "Jobs waiting",
    names.QUEUE_LONGEST_WAIT: "Longest wait",
    names.QUEUE_SERVICE_LEVEL: "Service level",
    names.TOLD_WAITS: "Waits told, and whether they held",
    names.RECONCILIATIONS: "Jobs and workers put in order",
    names.CONFLICTS: "Write conflicts",
    names.RETRIES: "Decisions taken again",
    names.OUTBOX_AGE: "Delay of events",
    names.DEADLINE_LAG: "Delay of deadlines",
}
DIMENSIONS: Final[dict[str, str]] = {
    names.DIMENSION_OPERATION: "Operation",
    names.DIMENSION_API_VERSION: "API version",
    names.DIMENSION_STATUS_CODE: "Status",
    names.DIMENSION_STATUS_SUB_CLASS: "Status class",
    names.DIMENSION_OUTCOME: "Outcome",
    names.DIMENSION_AGGREGATE: "Kind",
    names.DIMENSION_QUEUE: "Queue",
    names.DIMENSION_ROUTER_OPERATION: "Operation",
}


def title(metric: str) -> str:
    """A metric that is not the router's own keeps its name."""
    return TITLES.get(metric, metric)


def dimension(name: str) -> str:
    return DIMENSIONS.get(name, name)
