"""What of a resource is written on the other side: what clients may write, without what the service makes itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.migrate.kinds import EXCEPTION, JOB, QUEUE, WORKER, Document, Kind
from router.migrate.own import OWN_MAPS, is_static_value
from router.models.types import parse_time

_ALWAYS_LEFT: Final = ("id", "etag")
_WORKER_LEFT: Final = ("state", "offers", "assignedJobs", "loadRatio", "availableForOffers")
_JOB_LEFT: Final = ("status", "enqueuedAt", "attachedWorkerSelectors", "assignments", "scheduledAt")
#: Where selectors stand, several or one.
_SELECTORS: Final = frozenset(
    {
        "requestedWorkerSelectors",
        "attachedWorkerSelectors",
        "workerSelectors",
        "workerSelector",
        "queueSelectors",
        "queueSelector",
    }
)
#: What the service says of a selector.
_SELECTOR_LEFT: Final = ("status", "expiresAt")
#: Statuses in which a job waits for something; the others are past that.
WAITING: Final = frozenset(
    {"created", "queued", "pendingClassification", "pendingSchedule", "scheduled", "waitingForActivation"}
)
MATCHING: Final[Document] = {"kind": "queueAndMatch"}
SUSPENDED: Final[Document] = {"kind": "suspend"}


@dataclass(frozen=True)
class Moved:
    """A resource as it is to be on the other side, and what of it differs there (for people to read)."""

    body: Document
    notes: tuple[str, ...] = ()


def writable(kind: Kind, document: Mapping[str, Any]) -> Document:
    """The writable part of a policy, queue or worker as either side shows it."""
    body = {name: value for name, value in document.items() if name not in _ALWAYS_LEFT}
    if kind in (QUEUE, WORKER):
        body["labels"] = {name: value for name, value in (body.get("labels") or {}).items() if name != "Id"}
    if kind is WORKER:
        return _plain({name: value for name, value in body.items() if name not in _WORKER_LEFT})
    if kind is EXCEPTION:
        body["exceptionRules"] = [_without_action_ids(rule) for rule in body.get("exceptionRules") or []]
    return _plain(body)


def worker(document: Mapping[str, Any], queues: frozenset[str]) -> Moved:
    """A worker, not available yet; queues that are gone (ACS lets them dangle) are left out."""
    body = writable(WORKER, document)
    gone = [queue_id for queue_id in body.get("queues") or [] if queue_id not in queues]
    if not gone:
        return Moved(body)
    body["queues"] = [queue_id for queue_id in body["queues"] if queue_id in queues]
    return Moved(body, ("names queues that are not there; they are left out",))


def job(document: Mapping[str, Any], now: datetime) -> Moved:
    """A waiting job with the result of its classification, so that it need not be classified again."""
    notes: list[str] = []
    body = _plain({name: value for name, value in document.items() if name not in (*_ALWAYS_LEFT, *_JOB_LEFT)})
    requested = _live(document.get("requestedWorkerSelectors"))
    attached = _live(document.get("attachedWorkerSelectors"))
    if len(requested) < len(document.get("requestedWorkerSelectors") or []):
        notes.append("has expired worker selectors; they are left out")
    if attached:
        notes.append("has worker selectors attached by classification; they become requested ones")
    body["requestedWorkerSelectors"] = [_selector(one) for one in (*requested, *attached)]
    status, mode = document.get("status"), body.get("matchingMode") or MATCHING
    if status in ("queued", "created", "pendingClassification"):
        mode = MATCHING
    elif status == "waitingForActivation" or _is_past(mode, now):
        if mode.get("kind") == "scheduleAndSuspend":
            notes.append("was scheduled for a time that has passed; it waits for activation without scheduledAt")
        mode = SUSPENDED
    body["matchingMode"] = mode
    return Moved(body, tuple(notes))


def shown_job(document: Mapping[str, Any]) -> Document:
    """A job as the other side shows it, for comparison with what was to be written."""
    body = _plain({name: value for name, value in document.items() if name not in (*_ALWAYS_LEFT, *_JOB_LEFT)})
    body["requestedWorkerSelectors"] = [_selector(one) for one in _live(document.get("requestedWorkerSelectors"))]
    return body


def shown(kind: Kind, document: Mapping[str, Any]) -> Document:
    return shown_job(document) if kind is JOB else writable(kind, document)


def needs_classification(document: Mapping[str, Any]) -> bool:
    """Whether the source has not classified the job yet: the other side does it then."""
    return document.get("status") == "pendingClassification" or not document.get("queueId")


def order_of_service(document: Mapping[str, Any]) -> tuple[int, int, datetime, str]:
    """The order in which a queue's jobs are served: expedited, priority, time in the queue."""
    selectors = [
        *(document.get("requestedWorkerSelectors") or []),
        *(document.get("attachedWorkerSelectors") or []),
    ]
    expedited = any(one.get("expedite") and one.get("status") != "expired" for one in selectors)
    entered = parse_time(document.get("enqueuedAt") or "9999-12-31T00:00:00Z")
    return (0 if expedited else 1, -int(document.get("priority") or 1), entered, str(document["id"]))


def lane(document: Mapping[str, Any]) -> str:
    """Jobs of one lane are ranked by time alone; between lanes of a queue it does not matter who comes in first."""
    expedited, priority, *_ = order_of_service(document)
    return f"{document['queueId']} {expedited} {priority}"


def entered_at(document: Mapping[str, Any]) -> tuple[datetime, str]:
    """When the job entered its queue: jobs are queued on the other side in this order."""
    return parse_time(document.get("enqueuedAt") or "9999-12-31T00:00:00Z"), str(document["id"])


def _live(selectors: Any) -> list[Document]:
    return [one for one in selectors or [] if one.get("status") != "expired"]


def _is_past(mode: Mapping[str, Any], now: datetime) -> bool:
    return mode.get("kind") == "scheduleAndSuspend" and parse_time(mode.get("scheduleAt")) <= now


def _without_action_ids(rule: Mapping[str, Any]) -> Document:
    actions = [{name: value for name, value in one.items() if name != "id"} for one in rule.get("actions") or []]
    return {**rule, "actions": actions}


def _plain(document: Mapping[str, Any]) -> Document:
    """Without nulls, and without what the service says of selectors. What is the client's own stays as it is."""
    return {name: _plain_field(document, name, item) for name, item in document.items() if item is not None}


def _plain_field(holder: Mapping[str, Any], name: str, item: Any) -> Any:
    if is_static_value(holder, name):
        return item
    if name in OWN_MAPS:
        # A null says that there is no such label; none can be written.
        return {key: value for key, value in item.items() if value is not None} if isinstance(item, Mapping) else item
    return _plain_value(item, _selector if name in _SELECTORS else _plain)


def _plain_value(value: Any, plain: Callable[[Mapping[str, Any]], Document]) -> Any:
    if isinstance(value, list):
        return [_plain_value(item, plain) for item in value]
    return plain(value) if isinstance(value, Mapping) else value


def _selector(document: Mapping[str, Any]) -> Document:
    return _plain({name: item for name, item in document.items() if name not in _SELECTOR_LEFT})
