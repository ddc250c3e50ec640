"""The catalogue of events: the name of each, and a payload model that says which fields it has.

The router builds payloads as plain dictionaries (engine/announce.py); these models are what the tests hold them
against and what the catalogue's page is made of. A field that has no value is there as null: the official
system-event models name every field, most as required.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from router.models.types import LabelValue, Time

EVENT_TYPE_PREFIX: Final = "Microsoft.Communication."
DATA_VERSION: Final = "1.0"


class EventName(StrEnum):
    """An event's type without its prefix."""

    JOB_RECEIVED = "RouterJobReceived"
    JOB_CLASSIFIED = "RouterJobClassified"
    JOB_CLASSIFICATION_FAILED = "RouterJobClassificationFailed"
    JOB_QUEUED = "RouterJobQueued"
    JOB_WORKER_SELECTORS_EXPIRED = "RouterJobWorkerSelectorsExpired"
    JOB_EXCEPTION_TRIGGERED = "RouterJobExceptionTriggered"
    JOB_COMPLETED = "RouterJobCompleted"
    JOB_UNASSIGNED = "RouterJobUnassigned"
    JOB_CLOSED = "RouterJobClosed"
    JOB_CANCELLED = "RouterJobCancelled"
    JOB_WAITING_FOR_ACTIVATION = "RouterJobWaitingForActivation"
    JOB_SCHEDULING_FAILED = "RouterJobSchedulingFailed"
    JOB_DELETED = "RouterJobDeleted"
    WORKER_OFFER_ISSUED = "RouterWorkerOfferIssued"
    WORKER_OFFER_ACCEPTED = "RouterWorkerOfferAccepted"
    WORKER_OFFER_DECLINED = "RouterWorkerOfferDeclined"
    WORKER_OFFER_EXPIRED = "RouterWorkerOfferExpired"
    WORKER_OFFER_REVOKED = "RouterWorkerOfferRevoked"
    WORKER_REGISTERED = "RouterWorkerRegistered"
    WORKER_UPDATED = "RouterWorkerUpdated"
    WORKER_DELETED = "RouterWorkerDeleted"
    WORKER_DEREGISTERED = "RouterWorkerDeregistered"


class EventLabelOperator(StrEnum):
    """A label operator as events write it."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    LESS_THAN = "Less"
    LESS_THAN_OR_EQUAL = "LessThanOrEqual"
    GREATER_THAN = "Greater"
    GREATER_THAN_OR_EQUAL = "GreaterThanOrEqual"


class SelectorState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"


class EventJobStatus(StrEnum):
    """A job's status as events write it."""

    PENDING_CLASSIFICATION = "PendingClassification"
    QUEUED = "Queued"
    ASSIGNED = "Assigned"
    COMPLETED = "Completed"
    CLOSED = "Closed"
    CANCELLED = "Cancelled"
    CLASSIFICATION_FAILED = "ClassificationFailed"
    CREATED = "Created"
    PENDING_SCHEDULE = "PendingSchedule"
    SCHEDULED = "Scheduled"
    SCHEDULE_FAILED = "ScheduleFailed"
    WAITING_FOR_ACTIVATION = "WaitingForActivation"


class WorkerProperty(StrEnum):
    """What RouterWorkerUpdated says has changed."""

    AVAILABLE_FOR_OFFERS = "AvailableForOffers"
    TOTAL_CAPACITY = "TotalCapacity"
    QUEUE_ASSIGNMENTS = "QueueAssignments"
    LABELS = "Labels"
    TAGS = "Tags"
    CHANNEL_CONFIGURATIONS = "ChannelConfigurations"


@dataclass(frozen=True, slots=True)
class QueueBrief:
    """What an event tells of a queue."""

    id: str
    name: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobBrief:
    """What an offer's end tells of its job: enough where the job itself is gone."""

    id: str
    channel_id: str
    queue_id: str | None = None
    channel_reference: str | None = None


class EventData(BaseModel):
    """A payload: camelCase on the wire, every field there, no other field."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", defer_build=True
    )


EventLabels = dict[str, LabelValue]


class QueueDetails(EventData):
    id: str
    name: str | None
    labels: EventLabels


class SelectorDetails(EventData):
    key: str
    label_operator: EventLabelOperator
    value: LabelValue | None
    ttl_seconds: float | None
    state: SelectorState
    expiration_time: Time | None


class ChannelConfiguration(EventData):
    channel_id: str
    capacity_cost_per_job: int
    max_number_of_jobs: int | None


class CommunicationError(EventData):
    code: str
    message: str
    target: str | None
    innererror: CommunicationError | None
    details: list[CommunicationError]


class JobEventData(EventData):
    """What every event of a job has."""

    job_id: str
    channel_reference: str | None
    channel_id: str
    queue_id: str | None
    labels: EventLabels
    tags: EventLabels


class RouterJobReceivedData(JobEventData):
    job_status: EventJobStatus
    classification_policy_id: str | None
    priority: int | None
    requested_worker_selectors: list[SelectorDetails]
    scheduled_on: Time | None
    unavailable_for_matching: bool


class RouterJobClassifiedData(JobEventData):
    queue_details: QueueDetails
    classification_policy_id: str | None
    priority: int | None
    attached_worker_selectors: list[SelectorDetails]


class RouterJobClassificationFailedData(JobEventData):
    classification_policy_id: str | None
    errors: list[CommunicationError]


class RouterJobQueuedData(JobEventData):
    priority: int
    attached_worker_selectors: list[SelectorDetails]
    requested_worker_selectors: list[SelectorDetails]


class ExpiredSelectorsData(JobEventData):
    """An event of a job that names the selectors that have expired."""

    expired_requested_worker_selectors: list[SelectorDetails]
    expired_attached_worker_selectors: list[SelectorDetails]


class RouterJobWorkerSelectorsExpiredData(ExpiredSelectorsData):
    pass


class RouterJobExceptionTriggeredData(JobEventData):
    rule_key: str
    exception_rule_id: str


class AssignmentData(JobEventData):
    """An event of a job's assignment."""

    assignment_id: str
    worker_id: str


class RouterJobCompletedData(AssignmentData):
    pass


class RouterJobUnassignedData(AssignmentData):
    pass


class RouterJobClosedData(AssignmentData):
    disposition_code: str


class RouterJobCancelledData(JobEventData):
    note: str | None
    disposition_code: str


class RouterJobWaitingForActivationData(ExpiredSelectorsData):
    priority: int
    scheduled_on: Time | None
    unavailable_for_matching: bool


class RouterJobSchedulingFailedData(ExpiredSelectorsData):
    priority: int
    scheduled_on: Time | None
    failure_reason: str


class RouterJobDeletedData(JobEventData):
    pass


class OfferData(EventData):
    """What every event of an offer has."""

    job_id: str
    channel_reference: str | None
    channel_id: str
    worker_id: str
    queue_id: str | None
    offer_id: str


class OfferDetailsData(OfferData):
    """An event of an offer that tells of both its sides."""

    job_priority: int
    worker_labels: EventLabels
    worker_tags: EventLabels
    job_labels: EventLabels
    job_tags: EventLabels


class RouterWorkerOfferIssuedData(OfferDetailsData):
    offered_on: Time
    expires_on: Time


class RouterWorkerOfferAcceptedData(OfferDetailsData):
    assignment_id: str


class RouterWorkerOfferDeclinedData(OfferData):
    pass


class RouterWorkerOfferExpiredData(OfferData):
    pass


class RouterWorkerOfferRevokedData(OfferData):
    pass


class WorkerData(EventData):
    """What an event tells of a worker."""

    worker_id: str
    queue_assignments: list[QueueDetails]
    channel_configurations: list[ChannelConfiguration]
    total_capacity: int
    labels: EventLabels
    tags: EventLabels


class RouterWorkerRegisteredData(WorkerData):
    pass


class RouterWorkerUpdatedData(WorkerData):
    updated_worker_properties: list[WorkerProperty]


class RouterWorkerDeletedData(WorkerData):
    #: The official model of this event inherits the fields of a job's; no deleted worker has a value for them.
    job_id: None
    channel_reference: None
    channel_id: None


class RouterWorkerDeregisteredData(EventData):
    worker_id: str


#: The payload model of each event.
CATALOGUE: Final[Mapping[EventName, type[EventData]]] = {
    EventName.JOB_RECEIVED: RouterJobReceivedData,
    EventName.JOB_CLASSIFIED: RouterJobClassifiedData,
    EventName.JOB_CLASSIFICATION_FAILED: RouterJobClassificationFailedData,
    EventName.JOB_QUEUED: RouterJobQueuedData,
    EventName.JOB_WORKER_SELECTORS_EXPIRED: RouterJobWorkerSelectorsExpiredData,
    EventName.JOB_EXCEPTION_TRIGGERED: RouterJobExceptionTriggeredData,
    EventName.JOB_COMPLETED: RouterJobCompletedData,
    EventName.JOB_UNASSIGNED: RouterJobUnassignedData,
    EventName.JOB_CLOSED: RouterJobClosedData,
    EventName.JOB_CANCELLED: RouterJobCancelledData,
    EventName.JOB_WAITING_FOR_ACTIVATION: RouterJobWaitingForActivationData,
    EventName.JOB_SCHEDULING_FAILED: RouterJobSchedulingFailedData,
    EventName.JOB_DELETED: RouterJobDeletedData,
    EventName.WORKER_OFFER_ISSUED: RouterWorkerOfferIssuedData,
    EventName.WORKER_OFFER_ACCEPTED: RouterWorkerOfferAcceptedData,
    EventName.WORKER_OFFER_DECLINED: RouterWorkerOfferDeclinedData,
    EventName.WORKER_OFFER_EXPIRED: RouterWorkerOfferExpiredData,
    EventName.WORKER_OFFER_REVOKED: RouterWorkerOfferRevokedData,
    EventName.WORKER_REGISTERED: RouterWorkerRegisteredData,
    EventName.WORKER_UPDATED: RouterWorkerUpdatedData,
    EventName.WORKER_DELETED: RouterWorkerDeletedData,
    EventName.WORKER_DEREGISTERED: RouterWorkerDeregisteredData,
}
