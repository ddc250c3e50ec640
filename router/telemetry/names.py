"""Every metric, dimension, span and attribute name that the router emits: a dashboard's vocabulary.

A changed name here breaks workbooks, alerts and users' dashboards, so it needs a line in the changelog.
"""

from __future__ import annotations

from typing import Final, Literal

from router.models.operations import API_VERSIONS as API_VERSIONS
from router.models.operations import OPERATIONS

METER: Final = "JobRouter"
"""The meter's name, which the portal shows as the metric namespace; the tracer and the service share it."""

# The request metric (the one that ACS has too) and the latency beside it.

API_REQUESTS: Final = "ApiRequestRouter"
DIMENSION_OPERATION: Final = "Operation"
DIMENSION_API_VERSION: Final = "ApiVersion"
DIMENSION_STATUS_CODE: Final = "StatusCode"
DIMENSION_STATUS_SUB_CLASS: Final = "StatusSubClass"
REQUEST_DIMENSIONS: Final = (
    DIMENSION_OPERATION,
    DIMENSION_API_VERSION,
    DIMENSION_STATUS_CODE,
    DIMENSION_STATUS_SUB_CLASS,
)
OPERATION_DURATION: Final = "router.operation.duration"

WIRE_OPERATIONS: Final = tuple(operation.name for operation in OPERATIONS if not operation.ours)
OWN_OPERATIONS: Final = (
    *(operation.name for operation in OPERATIONS if operation.ours),
    "Health",
    "OpenApi",
    "GetConsole",
)
UNKNOWN_OPERATION: Final = "Unknown"
"""What a name outside the two lists is counted as, so that nothing outside can add a series."""

API_VERSION_NONE: Final = "none"
API_VERSION_UNSUPPORTED: Final = "unsupported"

# Routing metrics. Units are UCUM, as OpenTelemetry asks.

OFFERS: Final = "router.offers"
TIME_TO_OFFER: Final = "router.offer.time_to_offer"
ASSIGNMENT_TIME: Final = "router.assignment.time"
ASSIGNMENT_QUEUE_TIME: Final = "router.assignment.queue_time"
QUEUE_LENGTH: Final = "router.queue.length"
QUEUE_LONGEST_WAIT: Final = "router.queue.longest_wait"
QUEUE_SERVICE_LEVEL: Final = "router.queue.service_level"
RECONCILIATIONS: Final = "router.reconciliations"
CONFLICTS: Final = "router.conflicts"
RETRIES: Final = "router.retries"
OUTBOX_AGE: Final = "router.outbox.age"
DEADLINE_LAG: Final = "router.deadline.lag"
TOLD_WAITS: Final = "router.told_waits"

COUNTERS: Final[dict[str, tuple[str, str]]] = {
    API_REQUESTS: ("{request}", "HTTP requests answered, by operation, API version and status"),
    OFFERS: ("{offer}", "Offers by what became of them"),
    RECONCILIATIONS: ("{reconciliation}", "Times that a job or worker was driven to where it should be"),
    CONFLICTS: ("{conflict}", "Writes refused because another writer was faster"),
    RETRIES: ("{retry}", "Decisions taken again after a conflict"),
    TOLD_WAITS: ("{job}", "Jobs assigned that were told a wait, by queue and by whether it held"),
}
HISTOGRAMS: Final[dict[str, tuple[str, str]]] = {
    OPERATION_DURATION: ("s", "Time from a request's arrival to its answer, by operation"),
    TIME_TO_OFFER: ("s", "Time from a job's entry into its queue to an offer of it"),
    ASSIGNMENT_TIME: ("s", "Time from a job's creation to its assignment"),
    ASSIGNMENT_QUEUE_TIME: ("s", "Time that a job had stood in its queue when it was assigned"),
    OUTBOX_AGE: ("s", "Time from an event's commit to its publication, or to a failed attempt at it"),
    DEADLINE_LAG: ("s", "Time from the moment something was due to its handling"),
}
GAUGES: Final[dict[str, tuple[str, str]]] = {
    QUEUE_LENGTH: ("{job}", "Jobs waiting in a queue"),
    QUEUE_LONGEST_WAIT: ("s", "Time that a queue's longest-waiting job has waited"),
    QUEUE_SERVICE_LEVEL: ("%", "Served within the threshold, of all served or given up in the last quarter of an hour"),
}
METRICS: Final = frozenset((*COUNTERS, *HISTOGRAMS, *GAUGES))

# Dimensions of the routing metrics, with the only values they take.

DIMENSION_OUTCOME: Final = "router.outcome"
DIMENSION_AGGREGATE: Final = "router.aggregate"
DIMENSION_QUEUE: Final = "router.queue.id"
DIMENSION_ROUTER_OPERATION: Final = "router.operation"
OTHER: Final = "other"
"""What is counted together, so that the number of series is bounded: queues past the first hundred, unknown values."""

OfferOutcome = Literal["issued", "accepted", "declined", "expired", "revoked"]
Aggregate = Literal["job", "worker", "queue", "policy"]
ReconcileOutcome = Literal["changed", "unchanged", "failed"]

# Spans: an operation's span has the operation's name.


def event_span(event: str) -> str:
    """The span in which an event is handled."""
    return f"event {event}"


# Attributes of spans and log records. Ids belong here and never into a metric's dimension.

ATTRIBUTE_OPERATION: Final = "router.operation"
ATTRIBUTE_JOB: Final = "router.job.id"
ATTRIBUTE_WORKER: Final = "router.worker.id"
ATTRIBUTE_EVENT_TYPE: Final = "router.event.type"
ATTRIBUTE_EVENT_ID: Final = "router.event.id"
ATTRIBUTE_STATUS_CODE: Final = "http.response.status_code"
ATTRIBUTE_REQUEST_ID: Final = "router.request.id"
ATTRIBUTE_CALLER: Final = "router.caller"
