"""What the builders say: subjects, values, and what becomes of records that lack something."""

from __future__ import annotations

import pytest

from router.engine import announce
from router.models.event_catalogue import EventName, JobBrief, QueueBrief, WorkerProperty
from router.models.jobs import JobStatus, SuspendMode
from router.models.workers import RouterChannel
from tests.unit.events.event_samples import EXPIRED, LATER, drafts, job, worker

JOB = "job/job-1/channel/voice"
SUBJECTS = {
    EventName.JOB_RECEIVED: JOB,
    EventName.JOB_CLASSIFIED: f"{JOB}/queue/queue-1",
    EventName.JOB_CLASSIFICATION_FAILED: f"{JOB}/classificationpolicy/policy-1",
    EventName.JOB_QUEUED: f"{JOB}/queue/queue-1",
    EventName.JOB_WORKER_SELECTORS_EXPIRED: f"{JOB}/queue/queue-1",
    EventName.JOB_EXCEPTION_TRIGGERED: f"{JOB}/exceptionrule/rule-1",
    EventName.JOB_COMPLETED: f"{JOB}/assignment/assignment-1",
    EventName.JOB_UNASSIGNED: f"{JOB}/assignment/assignment-1",
    EventName.JOB_CLOSED: f"{JOB}/assignment/assignment-1",
    EventName.JOB_CANCELLED: f"{JOB}/disposition/Cancelled",
    EventName.JOB_WAITING_FOR_ACTIVATION: JOB,
    EventName.JOB_SCHEDULING_FAILED: JOB,
    EventName.JOB_DELETED: JOB,
    EventName.WORKER_OFFER_ISSUED: "worker/worker-1/job/job-1",
    EventName.WORKER_OFFER_ACCEPTED: "worker/worker-1/job/job-1",
    EventName.WORKER_OFFER_DECLINED: "worker/worker-1/job/job-1",
    EventName.WORKER_OFFER_EXPIRED: "worker/worker-1/job/job-1",
    EventName.WORKER_OFFER_REVOKED: "worker/worker-1/job/job-1",
    EventName.WORKER_REGISTERED: "worker/worker-1",
    EventName.WORKER_UPDATED: "worker/worker-1",
    EventName.WORKER_DELETED: "worker/worker-1",
    EventName.WORKER_DEREGISTERED: "worker/worker-1",
}


@pytest.mark.parametrize("name", list(EventName))
def test_subject(name: EventName) -> None:
    assert drafts()[name].subject == SUBJECTS[name]


def test_received_as_scheduled() -> None:
    data = drafts()[EventName.JOB_RECEIVED].data
    assert data["scheduledOn"] == "2024-01-31T12:01:00.125+00:00"
    assert data["unavailableForMatching"] is True
    assert data["jobStatus"] == "Queued"


@pytest.mark.parametrize("status", list(JobStatus))
def test_a_job_is_received_pending_classification_or_queued(status: JobStatus) -> None:
    """Whatever its status is: these two are all that the reference of the event knows."""
    classified = announce.job_received(job(status=status)).data
    assert (classified["jobStatus"], classified["queueId"], classified["priority"]) == (
        "PendingClassification",
        None,
        None,
    )
    direct = announce.job_received(job(status=status, classification_policy_id=None, priority=7)).data
    assert (direct["jobStatus"], direct["queueId"], direct["priority"]) == ("Queued", "queue-1", 7)


@pytest.mark.parametrize(("chose", "gave"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_classification_tells_what_the_policy_gave(chose: bool, gave: bool) -> None:
    told = announce.job_classified(job(priority=7), "queue-1", None, {}, chose_queue=chose, gave_priority=gave)
    assert told.data["queueId"] == ("queue-1" if chose else None)
    assert told.data["priority"] == (7 if gave else None)
    assert told.data["queueDetails"]["id"] == "queue-1"


def test_the_queue_of_a_job_with_a_policy_is_null_where_the_reference_says_so() -> None:
    found = [
        [
            announce.job_unassigned(one, "a", "w").data["queueId"],
            announce.job_waiting_for_activation(one).data["queueId"],
            announce.job_scheduling_failed(one, "r").data["queueId"],
            announce.job_queued(one).data["queueId"],
        ]
        for one in (job(), job(classification_policy_id=None))
    ]
    assert found == [[None, None, None, "queue-1"], ["queue-1"] * 4]


def test_received_as_it_comes() -> None:
    plain = job(classification_policy_id=None, queue_id=None, channel_reference=None)
    data = announce.job_received(plain).data
    assert data["unavailableForMatching"] is False
    assert [data[name] for name in ("scheduledOn", "classificationPolicyId", "queueId", "channelReference")] == [
        None
    ] * 4


def test_selectors() -> None:
    assert drafts()[EventName.JOB_QUEUED].data["requestedWorkerSelectors"] == [
        {
            "key": "language",
            "labelOperator": "Equal",
            "value": "fr",
            "ttlSeconds": None,
            "state": "active",
            "expirationTime": None,
        },
        {
            "key": "level",
            "labelOperator": "LessThanOrEqual",
            "value": 10,
            "ttlSeconds": 60.5,
            "state": "expired",
            "expirationTime": "2024-01-31T12:01:00.125+00:00",
        },
    ]


def test_waiting_for_activation_names_only_the_expired_selectors() -> None:
    suspended = job(matching_mode=SuspendMode(kind="suspend"), scheduled_at=LATER)
    data = announce.job_waiting_for_activation(suspended).data
    assert [selector["key"] for selector in data["expiredRequestedWorkerSelectors"]] == [EXPIRED.key]
    assert data["unavailableForMatching"] is True
    assert data["scheduledOn"] == "2024-01-31T12:01:00.125+00:00"


def test_labels_and_tags_are_passed_as_they_are() -> None:
    data = drafts()[EventName.WORKER_OFFER_ISSUED].data
    assert data["jobLabels"] == {"language": "fr", "level": 3, "ratio": 0.5, "vip": True}
    assert data["workerTags"] == {"team": "a"}


def test_a_worker_tells_of_its_queues_even_of_one_that_is_gone() -> None:
    queues = {"queue-1": QueueBrief("queue-1", "Queue", {"region": "EU"})}
    assert announce.worker_registered(worker(), queues).data["queueAssignments"] == [
        {"id": "queue-1", "name": "Queue", "labels": {"region": "EU", "Id": "queue-1"}},
        {"id": "queue-gone", "name": None, "labels": {"Id": "queue-gone"}},
    ]


def test_queues_and_workers_have_the_label_id() -> None:
    plain = worker().model_copy(update={"labels": {"skill": 3}})
    assert announce.worker_registered(plain, {}).data["labels"] == {"skill": 3, "Id": "worker-1"}
    assert announce.offer_accepted(job(), plain, "o", "a").data["workerLabels"] == {"skill": 3, "Id": "worker-1"}
    classified = announce.job_classified(
        job(), "queue-1", None, {"region": "EU"}, chose_queue=True, gave_priority=True
    ).data
    assert classified["queueDetails"]["labels"] == {"region": "EU", "Id": "queue-1"}


def test_an_offer_of_a_job_that_is_gone_can_still_be_revoked() -> None:
    draft = announce.offer_revoked(JobBrief("job-1", "voice", "queue-1"), "worker-1", "offer-1")
    assert draft.subject == "worker/worker-1/job/job-1"
    assert draft.data == {
        "jobId": "job-1",
        "channelReference": None,
        "channelId": "voice",
        "workerId": "worker-1",
        "queueId": "queue-1",
        "offerId": "offer-1",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"capacity": 11}, [WorkerProperty.TOTAL_CAPACITY]),
        ({"queues": ["queue-1"]}, [WorkerProperty.QUEUE_ASSIGNMENTS]),
        ({"labels": {"Id": "worker-1", "skill": 3.5}}, [WorkerProperty.LABELS]),
        ({"tags": {}}, [WorkerProperty.TAGS]),
        ({"available_for_offers": False}, [WorkerProperty.AVAILABLE_FOR_OFFERS]),
        (
            {"channels": [RouterChannel(channel_id="voice", capacity_cost_per_job=1)]},
            [WorkerProperty.CHANNEL_CONFIGURATIONS],
        ),
        ({}, []),
        ({"capacity": 1, "tags": {}}, [WorkerProperty.TOTAL_CAPACITY, WorkerProperty.TAGS]),
    ],
)
def test_changed_properties(change: dict[str, object], expected: list[WorkerProperty]) -> None:
    before = worker()
    assert announce.changed_properties(before, before.model_copy(update=change)) == expected


def test_true_and_one_are_two_labels() -> None:
    before = worker().model_copy(update={"labels": {"a": 1}})
    after = worker().model_copy(update={"labels": {"a": True}})
    assert announce.changed_properties(before, after) == [WorkerProperty.LABELS]


def test_unset_and_false_availability_are_one() -> None:
    before = worker().model_copy(update={"available_for_offers": None})
    after = worker().model_copy(update={"available_for_offers": False})
    assert announce.changed_properties(before, after) == []
