"""Jobs: what clients write, what they see, and what the router remembers beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from router.models.selectors import MAX_SELECTORS, RouterWorkerSelector
from router.models.sizes import parts_weight, weight
from router.models.types import Flag, Id, Labels, Model, Name, Priority, Text, Time

MAX_NOTES: Final = 1000
MAX_UNASSIGNMENTS: Final = 3
JOB_LIFE_DAYS: Final = 90
#: A job that is scheduled for a later time could not live to the end of its life: the calendar ends before.
LATEST_SCHEDULE: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=JOB_LIFE_DAYS)
DEFAULT_PRIORITY: Final = 1
#: Ended offers that a job remembers.
MAX_ENDED_OFFERS: Final = 50
#: Workers that declined, as a job remembers them: so many that its row stays far from its limit.
MAX_DECLINES: Final = 1000


class JobStatus(StrEnum):
    PENDING_CLASSIFICATION = "pendingClassification"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    COMPLETED = "completed"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    CLASSIFICATION_FAILED = "classificationFailed"
    CREATED = "created"
    PENDING_SCHEDULE = "pendingSchedule"
    SCHEDULED = "scheduled"
    SCHEDULE_FAILED = "scheduleFailed"
    WAITING_FOR_ACTIVATION = "waitingForActivation"


_S = JobStatus
_WAITING = frozenset(
    {_S.PENDING_CLASSIFICATION, _S.QUEUED, _S.CANCELLED, _S.PENDING_SCHEDULE, _S.WAITING_FOR_ACTIVATION}
)
#: Which status may follow which (docs/behaviour.md, "Job life").
JOB_MOVES: Final[dict[JobStatus, frozenset[JobStatus]]] = {
    _S.CREATED: _WAITING,
    _S.PENDING_CLASSIFICATION: _WAITING | {_S.CLASSIFICATION_FAILED},
    _S.QUEUED: _WAITING | {_S.ASSIGNED},
    _S.ASSIGNED: frozenset({_S.COMPLETED, _S.QUEUED, _S.WAITING_FOR_ACTIVATION, _S.CANCELLED}),
    _S.COMPLETED: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.CLASSIFICATION_FAILED: _WAITING,
    _S.PENDING_SCHEDULE: _WAITING | {_S.SCHEDULED, _S.SCHEDULE_FAILED},
    _S.SCHEDULED: _WAITING | {_S.SCHEDULE_FAILED},
    _S.SCHEDULE_FAILED: _WAITING,
    _S.WAITING_FOR_ACTIVATION: _WAITING,
}

#: Statuses in which a job no longer needs its queue or classification policy.
ENDED: Final = frozenset({_S.CLOSED, _S.CANCELLED})
#: What `status=active` means in a list (docs/behaviour.md, "Operations").
ACTIVE: Final = frozenset(set(JobStatus) - ENDED - {_S.CREATED})
DELETABLE: Final = frozenset({_S.CLOSED, _S.CANCELLED, _S.CLASSIFICATION_FAILED, _S.SCHEDULE_FAILED})
#: Statuses from which a job goes on by itself.
GOES_ON: Final = frozenset({_S.PENDING_CLASSIFICATION, _S.PENDING_SCHEDULE})
#: Routing fields can no longer change (409).
SETTLED: Final = frozenset({_S.ASSIGNED, _S.COMPLETED, _S.CLOSED, _S.CANCELLED})


class QueueAndMatchMode(Model):
    kind: Literal["queueAndMatch"] = "queueAndMatch"


class ScheduleAndSuspendMode(Model):
    kind: Literal["scheduleAndSuspend"]
    schedule_at: Time


class SuspendMode(Model):
    kind: Literal["suspend"]


JobMatchingMode = Annotated[QueueAndMatchMode | ScheduleAndSuspendMode | SuspendMode, Field(discriminator="kind")]


class RouterJobNote(Model):
    message: Text
    added_at: Time | None = None


class RouterJobInput(Model):
    """What a client may write of a job: the document that a merge patch changes."""

    channel_reference: Name | None = None
    channel_id: Id
    classification_policy_id: Id | None = None
    queue_id: Id | None = None
    priority: Priority = DEFAULT_PRIORITY
    disposition_code: Name | None = None
    requested_worker_selectors: Annotated[list[RouterWorkerSelector], Field(max_length=MAX_SELECTORS)] = []
    labels: Labels = {}
    tags: Labels = {}
    notes: Annotated[list[RouterJobNote], Field(max_length=MAX_NOTES)] = []
    matching_mode: JobMatchingMode = QueueAndMatchMode()


class RouterJobAssignment(Model):
    assignment_id: str
    worker_id: str
    assigned_at: Time
    completed_at: Time | None = None
    closed_at: Time | None = None


class RouterJob(RouterJobInput):
    """A job as clients see it, without `etag`."""

    id: str
    status: JobStatus
    enqueued_at: Time | None = None
    attached_worker_selectors: list[RouterWorkerSelector] = []
    assignments: dict[str, RouterJobAssignment] = {}
    scheduled_at: Time | None = None


class OfferOutcome(StrEnum):
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    REVOKED = "revoked"


class JobOffer(Model):
    """A live offer, as its job knows it. The job's row decides the offer's fate."""

    offer_id: str
    worker_id: str
    capacity_cost: int
    offered_at: Time
    expires_at: Time
    #: Whom its worker belonged to (engine/ownership.py).
    owner: str | None = None


class EndedOffer(Model):
    """How an offer ended, kept so that its worker's row can be brought in line after a crash."""

    worker_id: str
    outcome: OfferOutcome


class Unassigned(Model):
    """An assignment that the job no longer shows, kept for the same reason."""

    worker_id: str
    offer_id: str


class Decline(Model):
    """A worker that declined this job: never again when `retry_at` is not set."""

    declined_at: Time
    retry_at: Time | None = None


class TriggeredException(Model):
    """An exception rule that has fired and whose actions are still to be run."""

    rule_id: str
    policy_id: str
    at: Time
    #: Where its actions go on, once the classification that one of them asked for is done.
    next_action: int = 0


class JobRouting(Model):
    """What the router remembers of a job and clients do not see."""

    created_at: Time
    #: When a job that came suspended was activated: from then on it could be matched.
    activated_at: Time | None = None
    offers: dict[str, JobOffer] = {}
    ended_offers: dict[str, EndedOffer] = {}
    #: Offer id of each assignment: an accept that is repeated gets the same answer.
    accepted_offers: dict[str, str] = {}
    #: Whom the worker of an assignment belonged to, by assignment id.
    assignment_owners: dict[str, str] = {}
    declined: dict[str, Decline] = {}
    #: By assignment id; at most as many as a job may be unassigned.
    unassigned: dict[str, Unassigned] = {}
    unassignment_count: int = 0
    #: Counts the stays in a queue; a rule fires at most once per stay.
    stay: int = 0
    fired_rules: list[str] = []
    triggered: list[TriggeredException] = []
    #: In how many stays rules have fired, since when: policies that send a job in circles are stopped.
    fired_stays: int = 0
    fired_stays_since: Time | None = None
    #: Its labels or its policy have changed while it was suspended: it is classified when it is activated.
    to_classify: bool = False
    #: Assignment id and time of a close that was put off.
    close_at: Time | None = None
    close_disposition: str | None = None
    #: Kind and id of queues and policies that the job has named before: their hints go when it ends.
    left_owners: list[tuple[Literal["q", "c"], str]] = []
    #: Row keys of deadlines that its settle deadline has written.
    armed: list[str] = []
    #: When the job came into the queue whose waits are among them.
    armed_since: Time | None = None
    #: A scoring rule failed: not tried again before this.
    scoring_failures: int = 0
    #: Which rule failed last, and why.
    scoring_failure: str | None = None
    retry_at: Time | None = None
    #: The reason of the last failed classification.
    failure: str | None = None
    #: What failed again and again, and is not tried any more.
    given_up: str | None = None


class JobRecord(Model):
    """The truth row of a job."""

    job: RouterJob
    routing: JobRouting
    etag: str
    modified: Time

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def created_at(self) -> datetime:
        return self.routing.created_at

    @property
    def status(self) -> JobStatus:
        return self.job.status

    @property
    def weight(self) -> int:
        """About how many characters it has as JSON."""
        job, routing = self.job, self.routing
        return (
            weight(job.labels, job.tags)
            + parts_weight(job.notes, lambda note: note.message)
            + parts_weight(job.requested_worker_selectors, lambda selector: selector.value)
            + parts_weight(job.attached_worker_selectors, lambda selector: selector.value)
            + parts_weight(routing.declined)
            + parts_weight(routing.ended_offers)
        )


class CancelJobOptions(Model):
    note: Text | None = None
    disposition_code: Name | None = None


class CompleteJobOptions(Model):
    note: Text | None = None


class CloseJobOptions(Model):
    disposition_code: Name | None = None
    close_at: Time | None = None
    note: Text | None = None


class UnassignJobOptions(Model):
    suspend_matching: Flag | None = None


class ReclassifyJobOptions(Model):
    """`:reclassify` names no fields."""
