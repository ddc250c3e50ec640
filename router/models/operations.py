"""The operation table (docs/behaviour.md, "Operations"): names, methods, routes, query parameters and models.

Functions, request metrics and the OpenAPI document are all made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GA: Final = "2023-11-01"
PREVIEW: Final = "2024-01-18-preview"
API_VERSIONS: Final = (GA, PREVIEW)
SUPPORTED_VERSIONS_HEADER: Final = ", ".join(API_VERSIONS)


@dataclass(frozen=True)
class Operation:
    """One operation: its metric name, HTTP method, route template and resource kind."""

    name: str
    method: str
    route: str
    resource: str
    query: tuple[str, ...] = ()
    #: Beyond ACS: not part of its API.
    ours: bool = False

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "{" not in self.route and "maxpagesize" in self.query


def _resource(noun: str, kind: str, route: str, list_name: str, query: tuple[str, ...] = ()) -> list[Operation]:
    parameter = {"jobs": "jobId", "queues": "queueId", "workers": "workerId"}.get(route, "policyId")
    one = f"routing/{route}/{{{parameter}}}"
    return [
        Operation(f"Upsert{noun}", "PATCH", one, kind),
        Operation(f"Get{noun}", "GET", one, kind),
        Operation(f"Delete{noun}", "DELETE", one, kind),
        Operation(list_name, "GET", f"routing/{route}", kind, ("maxpagesize", "continuationToken", *query)),
    ]


_JOB_FILTERS = ("status", "queueId", "channelId", "classificationPolicyId", "scheduledBefore", "scheduledAfter")
_WORKER_FILTERS = ("state", "channelId", "queueId", "hasCapacity")
_PAGES = ("maxpagesize", "continuationToken")
_SPAN = ("from", "to")
_REPORT = (*_SPAN, "grain", "tz", "format")
_ASSIGNMENT = "routing/jobs/{jobId}/assignments/{assignmentId}"
_OFFER = "routing/workers/{workerId}/offers/{offerId}"

OPERATIONS: Final[tuple[Operation, ...]] = (
    *_resource("ClassificationPolicy", "ClassificationPolicy", "classificationPolicies", "ListClassificationPolicies"),
    *_resource("DistributionPolicy", "DistributionPolicy", "distributionPolicies", "ListDistributionPolicies"),
    *_resource("ExceptionPolicy", "ExceptionPolicy", "exceptionPolicies", "ListExceptionPolicies"),
    *_resource("Queue", "Queue", "queues", "GetQueues"),
    Operation("GetQueueStatistics", "GET", "routing/queues/{queueId}/statistics", "Queue"),
    *_resource("Job", "Job", "jobs", "GetJobs", _JOB_FILTERS),
    Operation("GetInQueuePosition", "GET", "routing/jobs/{jobId}/position", "Job"),
    Operation("ReclassifyJob", "POST", "routing/jobs/{jobId}:reclassify", "Job"),
    Operation("CancelJob", "POST", "routing/jobs/{jobId}:cancel", "Job"),
    Operation("CompleteJob", "POST", f"{_ASSIGNMENT}:complete", "Job"),
    Operation("CloseJob", "POST", f"{_ASSIGNMENT}:close", "Job"),
    Operation("UnassignJob", "POST", f"{_ASSIGNMENT}:unassign", "Job"),
    *_resource("Worker", "Worker", "workers", "GetWorkers", _WORKER_FILTERS),
    Operation("AcceptJobOffer", "POST", f"{_OFFER}:accept", "Worker"),
    Operation("DeclineJobOffer", "POST", f"{_OFFER}:decline", "Worker"),
    Operation(
        "ExplainJob",
        "GET",
        "routing/jobs/{jobId}/explain",
        "Job",
        ("maxpagesize", "continuationToken", "at"),
        ours=True,
    ),
    Operation("GetJobTimeline", "GET", "routing/jobs/{jobId}/timeline", "Job", _PAGES, ours=True),
    Operation(
        "GetWorkerTimeline", "GET", "routing/workers/{workerId}/timeline", "Worker", (*_PAGES, *_SPAN), ours=True
    ),
    Operation("ListChanges", "GET", "routing/changes", "Queue", (*_PAGES, *_SPAN, "kind", "id"), ours=True),
    Operation("ListHistory", "GET", "routing/history", "Job", (*_PAGES, *_SPAN), ours=True),
    Operation("GetQueueReport", "GET", "routing/reports/queues", "Queue", (*_PAGES, *_REPORT, "queueId"), ours=True),
    Operation(
        "GetWorkerReport", "GET", "routing/reports/workers", "Worker", (*_PAGES, *_REPORT, "workerId"), ours=True
    ),
    Operation(
        "GetShadowReport",
        "GET",
        "routing/reports/shadows",
        "Queue",
        (*_PAGES, *_SPAN, "format", "queueId"),
        ours=True,
    ),
    Operation("GetLive", "GET", "routing/live", "Console", ("queueId", "since", "continuationToken"), ours=True),
    Operation("GetRights", "GET", "routing/rights", "Console", ours=True),
)

BY_NAME: Final[dict[str, Operation]] = {operation.name: operation for operation in OPERATIONS}
