"""kill -9 of the app, or of one of its processes, between any two steps: started again, it goes on where it was."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from azure.communication.jobrouter.models import CloseJobOptions
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from scripts.event_run import Subscriber
from tests.acceptance.desk import Desk
from tests.acceptance.service import local_service
from tests.eventually import eventually
from tests.local_router import LocalRouter

pytestmark = [pytest.mark.ours, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    router = LocalRouter(tmp_path_factory.mktemp("crashed"), workers=2)
    try:
        yield router
    finally:
        router.end()


@pytest.fixture
def crash_desk(router: LocalRouter) -> Iterator[Desk]:
    service = local_service(router)
    # Retries while the app is away are not wanted: each step is made once.
    with service.administration(retry_total=0) as administration, service.client(retry_total=0) as client:
        yield Desk(administration, client)


def test_a_jobs_life_goes_on_after_each_step(router: LocalRouter, crash_desk: Desk) -> None:
    """Two jobs, so that what is made up for after some seconds is waited for only once."""
    desk, client = crash_desk, crash_desk.client
    first_queue, queue = desk.queue(), desk.queue()
    first_worker = desk.worker(first_queue)
    job = desk.queued(queue)

    def crash() -> None:
        router.kill_app()
        router.start_app()

    first_job = desk.id("job")
    client.upsert_job(first_job, channel_id="voice", queue_id=first_queue)
    crash()
    worker = desk.worker(queue)
    crash()
    desk.offer(first_worker, first_job, seconds=40)
    offer = desk.offer(worker, job, seconds=40)
    crash()
    accepted = client.accept_job_offer(worker, offer.offer_id)
    crash()
    assert client.get_job(job).status == "assigned"
    assert client.accept_job_offer(worker, offer.offer_id) == accepted, "the answer may have been lost"
    client.complete_job(job, accepted.assignment_id)
    crash()
    assert client.get_job(job).status == "completed"
    following = desk.job(queue)
    client.close_job(job, accepted.assignment_id, CloseJobOptions(disposition_code="Done"))
    crash()
    assert (client.get_job(job).status, client.get_job(job).disposition_code) == ("closed", "Done")
    assert desk.offer(worker, following, seconds=40)
    assert desk.client.get_worker(worker).assigned_jobs == []


def test_requests_under_way_when_the_app_is_killed(router: LocalRouter, crash_desk: Desk) -> None:
    """Many jobs at different steps, and the kill without waiting for any of them to come to rest."""
    desk, client = crash_desk, crash_desk.client
    queue = desk.queue()
    workers = [desk.worker(queue, capacity=3) for _ in range(3)]
    jobs = [desk.job(queue) for _ in range(9)]
    for worker in workers:
        if offers := desk.offers(worker):
            client.accept_job_offer(worker, offers[0].offer_id)
    router.kill_app()
    router.start_app()

    def step() -> bool:
        """Takes every job one step on; true when all are closed."""
        for worker in workers:
            for offer in desk.offers(worker):
                client.accept_job_offer(worker, offer.offer_id)
        states = []
        for job_id in jobs:
            job = client.get_job(job_id)
            states.append(job.status)
            for assignment in job.assignments:
                if job.status == "assigned":
                    client.complete_job(job_id, assignment)
                if job.status == "completed":
                    client.close_job(job_id, assignment)
        return set(states) == {"closed"}

    eventually(step, "every job is closed", seconds=60)
    assert [client.get_worker(worker).load_ratio for worker in workers] == [0, 0, 0]
    assert all(len(client.get_job(job).assignments) == 1 for job in jobs)


def test_deadlines_that_passed_while_the_app_was_away(router: LocalRouter, crash_desk: Desk) -> None:
    desk = crash_desk
    queue = desk.queue(expires=1)
    worker, job = desk.worker(queue), desk.job(queue)
    desk.offer(worker, job)
    router.kill_app()
    router.start_app()
    desk.until_worker(worker, lambda one: one.state == "inactive" and not one.offers, "its offer has expired", 40)
    assert desk.client.get_job(job).status == "queued"
    assert desk.offer(desk.worker(queue), job)


def test_one_of_two_workers_is_killed(start_router: Callable[..., LocalRouter]) -> None:
    router = start_router(workers=2)
    service = local_service(router)
    with service.administration() as administration, service.client() as client:
        desk = Desk(administration, client)
        queue = desk.queue()
        desk.worker(queue, capacity=20)
        for number in range(6):
            if number == 2:
                os.kill(router.pid("app.1"), signal.SIGKILL)
            job = _again_if_cut(lambda: desk.job(queue, tags={"run": uuid.uuid4().hex}))
            _again_if_cut(partial(desk.until_job, job, lambda one: one.status == "queued", "is queued", 40))
        statistics = eventually(lambda: _again_if_cut(lambda: client.get_queue_statistics(queue)))
        # A request that was cut off may have made its job before it was sent again.
        assert statistics.length >= 6


def test_the_timers_process_is_killed(router: LocalRouter, crash_desk: Desk) -> None:
    """Nothing else runs deadlines: an offer that was made before expires after another process took its place."""
    desk = crash_desk
    queue = desk.queue(expires=4)
    worker, job = desk.worker(queue), desk.job(queue)
    desk.offer(worker, job)
    router.kill_process("app.timer")
    assert desk.offers(worker), "it outlives the process that was to end it"
    desk.until_worker(worker, lambda one: one.state == "inactive" and not one.offers, "its offer has expired", 40)
    assert desk.client.get_job(job).status == "queued"
    assert desk.offer(desk.worker(queue), job, seconds=40)


def test_deadlines_pass_while_nobody_serves(start_router: Callable[..., LocalRouter]) -> None:
    """The timer's process needs no other: the offer expires, and subscribers are told, while those that serve stand."""
    subscriber = Subscriber()
    try:
        router = start_router(workers=2, environment={"ROUTER_EVENT_SUBSCRIBERS": subscriber.url})
        service = local_service(router)
        with service.administration() as administration, service.client() as client:
            desk = Desk(administration, client)
            queue = desk.queue(expires=3)
            worker, job = desk.worker(queue), desk.job(queue)
            offer = desk.offer(worker, job)
            standing = [router.pid(name) for name in ("app", "app.1")]
            for pid in standing:
                os.kill(pid, signal.SIGSTOP)
            try:
                subscriber.wait("RouterWorkerOfferExpired", seconds=40, offerId=offer.offer_id)
            finally:
                for pid in standing:
                    os.kill(pid, signal.SIGCONT)
            assert client.get_job(job).status == "queued"
            assert desk.offer(desk.worker(queue), job, seconds=40)
    finally:
        subscriber.close()


def _again_if_cut(call: Callable[[], Any]) -> Any:
    """A connection to the process that was killed is reset; the client comes again, as applications do."""
    for _ in range(3):
        try:
            return call()
        except (ServiceResponseError, ServiceRequestError):
            continue
    return call()
