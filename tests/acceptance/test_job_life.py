"""The life of a job, from created to closed and deleted (docs/behaviour.md, "Job life")."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from azure.communication.jobrouter.models import (
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    RouterJobNote,
    UnassignJobOptions,
)
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from local.options import ROOT
from tests.acceptance.desk import Desk
from tests.acceptance.service import Service, send


def conflict(call: Callable[[], Any]) -> None:
    with pytest.raises(ResourceExistsError) as refused:
        call()
    assert (refused.value.status_code, refused.value.error.code) == (409, "Conflict")


@pytest.mark.ours
@pytest.mark.parametrize("over", ["http", "https"])
def test_the_quick_start(service: Service, over: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    if over == "https":
        environment["ROUTER_CONNECTION_STRING"] = service.connection_string
        environment["REQUESTS_CA_BUNDLE"] = str(service.certificate)
    else:
        environment |= {"ROUTER_ENDPOINT": service.endpoint, "ROUTER_ACCESS_KEY": service.key}
    command = [sys.executable, "examples/quickstart.py"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "is closed, disposition Resolved" in run.stdout


def test_from_created_to_closed_and_deleted(desk: Desk) -> None:
    client = desk.client
    queue = desk.queue()
    worker = desk.worker(queue, capacity=4, cost=2)
    job = desk.id("job")
    started = datetime.now(UTC) - timedelta(seconds=5)
    assert client.upsert_job(job, channel_id="voice", queue_id=queue).status == "created"

    offer = desk.offer(worker, job)
    assert (offer.capacity_cost, client.get_worker(worker).load_ratio) == (2, 0.5)
    assert timedelta(seconds=59) < offer.expires_at - offer.offered_at < timedelta(seconds=61)
    queued = client.get_job(job)
    assert queued.status == "queued"
    assert queued.enqueued_at > started
    assert queued.assignments == {}

    accepted = client.accept_job_offer(worker, offer.offer_id)
    assert (accepted.job_id, accepted.worker_id) == (job, worker)
    assigned = client.get_job(job)
    assert (assigned.status, assigned.enqueued_at) == ("assigned", queued.enqueued_at)
    assert list(assigned.assignments) == [accepted.assignment_id]
    [assignment] = assigned.assignments.values()
    assert (assignment.assignment_id, assignment.worker_id) == (accepted.assignment_id, worker)
    assert assignment.assigned_at > started
    assert (assignment.completed_at, assignment.closed_at) == (None, None)
    busy = client.get_worker(worker)
    assert (busy.offers, busy.load_ratio) == ([], 0.5)
    [held] = busy.assigned_jobs or []
    assert (held.assignment_id, held.job_id, held.capacity_cost) == (accepted.assignment_id, job, 2)

    client.complete_job(job, accepted.assignment_id, CompleteJobOptions(note="completed"))
    completed = client.get_job(job)
    assert completed.status == "completed"
    assert completed.assignments[accepted.assignment_id].completed_at > started
    assert client.get_worker(worker).load_ratio == 0.5, "wrap-up holds the capacity"

    client.close_job(job, accepted.assignment_id, CloseJobOptions(disposition_code="Solved", note="closed"))
    closed = client.get_job(job)
    assert (closed.status, closed.disposition_code) == ("closed", "Solved")
    assert closed.assignments[accepted.assignment_id].closed_at > started
    assert [note.message for note in closed.notes] == ["completed", "closed"]
    assert all(note.added_at > started for note in closed.notes)
    free = client.get_worker(worker)
    assert (free.assigned_jobs, free.load_ratio) == ([], 0)

    client.delete_job(job)
    with pytest.raises(ResourceNotFoundError):
        client.get_job(job)
    assert job not in [one.id for one in client.list_jobs(queue_id=queue)]
    assert client.upsert_job(job, channel_id="voice", queue_id=queue).status == "created", "the id is free again"


def test_actions_without_options_answer_with_an_object(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    assignment = desk.accept(worker, job).assignment_id
    path = f"routing/jobs/{job}/assignments/{assignment}"
    for action in ("complete", "close"):
        answer = send(desk.client, "POST", f"{path}:{action}")
        assert (answer.status_code, answer.json()) == (200, {})
    assert desk.client.get_job(job).disposition_code == "Closed"


def test_each_action_in_its_state_only(desk: Desk) -> None:
    client = desk.client
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    assignment = desk.accept(worker, job).assignment_id
    conflict(lambda: client.close_job(job, assignment))
    client.complete_job(job, assignment)
    for call in (client.complete_job, client.unassign_job):
        conflict(partial(call, job, assignment))
    conflict(lambda: client.cancel_job(job))
    client.close_job(job, assignment)
    for call in (client.complete_job, client.close_job, client.unassign_job):
        conflict(partial(call, job, assignment))
    conflict(lambda: client.cancel_job(job))


def test_close_at(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    accepted = desk.accept(worker, job)
    desk.complete(accepted)
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    desk.client.close_job(job, accepted.assignment_id, CloseJobOptions(close_at=at, disposition_code="Later", note="n"))
    waiting = desk.client.get_job(job)
    assert waiting.status == "completed"
    assert desk.client.get_worker(worker).load_ratio == 1
    closed = desk.until(job, "closed")
    assert closed.disposition_code == "Later"
    closed_at = closed.assignments[accepted.assignment_id].closed_at
    assert at <= closed_at < at + timedelta(seconds=1.1)
    assert desk.until_worker(worker, lambda one: one.load_ratio == 0, "is free").assigned_jobs == []


def test_close_at_in_the_past_closes_at_once(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    accepted = desk.accept(worker, job)
    desk.complete(accepted)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    desk.client.close_job(job, accepted.assignment_id, CloseJobOptions(close_at=past))
    assert desk.client.get_job(job).status == "closed"


class TestCancel:
    def test_a_queued_job(self, desk: Desk) -> None:
        queue = desk.queue()
        worker = desk.worker(queue)
        job = desk.job(queue, notes=[RouterJobNote(message="before", added_at=datetime(2020, 1, 1, tzinfo=UTC))])
        desk.offer(worker, job)
        desk.client.cancel_job(job, CancelJobOptions(note="why", disposition_code="Gone"))
        cancelled = desk.client.get_job(job)
        assert (cancelled.status, cancelled.disposition_code) == ("cancelled", "Gone")
        assert [note.message for note in cancelled.notes] == ["before", "why"]
        assert desk.no_offers(worker).load_ratio == 0
        conflict(lambda: desk.client.cancel_job(job))

    @pytest.mark.ours
    def test_an_assigned_job(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        desk.accept(worker, job)
        waiting = desk.queued(queue)
        desk.client.cancel_job(job)
        assert desk.client.get_job(job).disposition_code == "Cancelled"
        assert desk.client.get_worker(worker).assigned_jobs == []
        assert desk.offer(worker, waiting, seconds=3), "its capacity is free for the next"

    def test_a_job_on_offer_makes_room_for_the_next(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        desk.offer(worker, job)
        waiting = desk.queued(queue)
        desk.client.cancel_job(job)
        assert desk.offer(worker, waiting, seconds=3)

    def test_a_job_that_could_not_be_classified(self, desk: Desk) -> None:
        job = desk.job(None, classification_policy_id=desk.classification())
        desk.until(job, "classificationFailed")
        desk.client.cancel_job(job)
        assert desk.client.get_job(job).status == "cancelled"


class TestUnassign:
    def test_back_to_its_place_in_the_queue(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        enqueued = desk.until(job, "queued").enqueued_at
        first = desk.offer(worker, job)
        accepted = desk.client.accept_job_offer(worker, first.offer_id)
        later = desk.queued(queue)
        answer = desk.client.unassign_job(job, accepted.assignment_id)
        assert (answer.job_id, answer.unassignment_count) == (job, 1)
        again = desk.client.get_job(job)
        assert (again.status, again.assignments, again.enqueued_at) == ("queued", {}, enqueued)
        second = desk.offer(worker)
        assert second.job_id == job, "it stands before the later job"
        assert second.offer_id != first.offer_id
        assert desk.client.get_queue_position(later).position == 2

    def test_three_times_at_most(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        for count in (1, 2, 3):
            accepted = desk.accept(worker, job)
            assert desk.client.unassign_job(job, accepted.assignment_id).unassignment_count == count
        accepted = desk.accept(worker, job)
        conflict(lambda: desk.client.unassign_job(job, accepted.assignment_id))
        desk.close(accepted)

    def test_and_suspend(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        accepted = desk.accept(worker, job)
        desk.client.unassign_job(job, accepted.assignment_id, UnassignJobOptions(suspend_matching=True))
        waiting = desk.client.get_job(job)
        assert (waiting.status, waiting.matching_mode.kind) == ("waitingForActivation", "suspend")
        assert desk.client.get_worker(worker).load_ratio == 0
        active = desk.client.upsert_job(job, {"matchingMode": {"kind": "queueAndMatch"}})
        assert active.status == "queued"
        desk.close(desk.accept(worker, job))


class TestSettled:
    """An assigned, completed or closed job is no longer routed (ours)."""

    @pytest.fixture
    def assigned(self, desk: Desk) -> Any:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        return desk.accept(worker, job)

    @pytest.mark.ours
    @pytest.mark.parametrize(
        "patch", [{"priority": 5}, {"channelId": "chat"}, {"requestedWorkerSelectors": [{"key": "k", "labelOperator": "equal", "value": 1}]}]
    )  # fmt: skip
    def test_routing_fields_are_refused(self, desk: Desk, assigned: Any, patch: dict[str, Any]) -> None:
        before = desk.client.get_job(assigned.job_id)
        conflict(lambda: desk.client.upsert_job(assigned.job_id, patch))
        assert desk.client.get_job(assigned.job_id) == before

    def test_the_rest_is_accepted(self, desk: Desk, assigned: Any) -> None:
        client = desk.client
        patch = {"labels": {"a": 1}, "tags": {"b": 2}, "notes": [{"message": "m"}], "channelReference": "r"}
        changed = client.upsert_job(assigned.job_id, patch)
        assert (changed.status, changed.labels, changed.tags) == ("assigned", {"a": 1}, {"b": 2})
        desk.close(assigned)
        changed = client.upsert_job(assigned.job_id, {"tags": {"b": 3}, "dispositionCode": "D"})
        assert (changed.status, changed.tags, changed.disposition_code) == ("closed", {"b": 3}, "D")


def test_a_disposition_set_before_is_kept(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue, disposition_code="Mine")
    desk.close(desk.accept(worker, job))
    assert desk.client.get_job(job).disposition_code == "Mine"


def test_reclassify_needs_a_policy(desk: Desk) -> None:
    job = desk.queued(desk.queue())
    with pytest.raises(HttpResponseError) as refused:
        desk.client.reclassify_job(job)
    assert (refused.value.status_code, refused.value.error.code) == (400, "BadRequest")


def test_an_assigned_job_is_not_reclassified(desk: Desk) -> None:
    queue = desk.queue()
    policy = desk.classification()
    worker, job = desk.worker(queue), desk.job(queue, classification_policy_id=policy)
    desk.accept(worker, job)
    conflict(lambda: desk.client.reclassify_job(job))
