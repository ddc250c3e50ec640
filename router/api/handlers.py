"""Which handler serves which operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from router.api import explain, history, jobs, live, resources, workers
from router.api.call import Call, Reply

Handler = Callable[[Call], Awaitable[Reply]]


def _resource(noun: str, list_name: str) -> dict[str, Handler]:
    return {
        f"Upsert{noun}": resources.upsert,
        f"Get{noun}": resources.get,
        f"Delete{noun}": resources.delete,
        list_name: resources.list_page,
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    **_resource("ClassificationPolicy", "ListClassificationPolicies"),
    **_resource("DistributionPolicy", "ListDistributionPolicies"),
    **_resource("ExceptionPolicy", "ListExceptionPolicies"),
    **_resource("Queue", "GetQueues"),
    "GetQueueStatistics": resources.queue_statistics,
    "UpsertJob": jobs.upsert,
    "GetJob": jobs.get,
    "DeleteJob": jobs.delete,
    "GetJobs": jobs.list_page,
    "GetInQueuePosition": jobs.position,
    "ReclassifyJob": jobs.reclassify,
    "CancelJob": jobs.cancel,
    "CompleteJob": jobs.complete,
    "CloseJob": jobs.close,
    "UnassignJob": jobs.unassign,
    "UpsertWorker": workers.upsert,
    "GetWorker": workers.get,
    "DeleteWorker": workers.delete,
    "GetWorkers": workers.list_page,
    "AcceptJobOffer": workers.accept,
    "DeclineJobOffer": workers.decline,
    "ExplainJob": explain.explain,
    "GetLive": live.live,
    "GetRights": live.rights,
    "GetJobTimeline": history.job_timeline,
    "GetWorkerTimeline": history.worker_timeline,
    "ListChanges": history.changes,
    "ListHistory": history.everything,
    "GetQueueReport": history.queue_report,
    "GetWorkerReport": history.worker_report,
    "GetShadowReport": history.shadow_report,
}
