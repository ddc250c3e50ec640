"""Lists through the SDK's paging helpers, and their filters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.communication.jobrouter.models import RouterChannel, ScheduleAndSuspendMode
from azure.core.exceptions import HttpResponseError
from azure.core.paging import PageIterator

from tests.acceptance.desk import Desk
from tests.acceptance.service import Service, send


@pytest.fixture(scope="module")
def five(service: Service, administration: Any, client: Any) -> Iterator[tuple[Desk, str, list[str]]]:
    """A queue with five jobs."""
    desk = Desk(administration, client)
    queue = desk.queue()
    yield desk, queue, [desk.job(queue) for _ in range(5)]
    if not service.ours:
        desk.clear()


def test_pages(five: tuple[Desk, str, list[str]]) -> None:
    desk, queue, jobs = five
    pages = [[job.id for job in page] for page in desk.client.list_jobs(queue_id=queue, results_per_page=2).by_page()]
    assert all(len(page) <= 2 for page in pages)
    assert sorted(id for page in pages for id in page) == jobs
    assert sorted(job.id for job in desk.client.list_jobs(queue_id=queue, results_per_page=1)) == jobs


def test_going_on_from_a_continuation_token(five: tuple[Desk, str, list[str]], service: Service) -> None:
    desk, queue, jobs = five
    paged = desk.client.list_jobs(queue_id=queue, results_per_page=2).by_page()
    assert isinstance(paged, PageIterator)
    first = [job.id for job in next(paged)]
    token = paged.continuation_token
    assert token.startswith("/routing/jobs?continuationToken=")
    # Filters and size are in the token; any client goes on from it.
    with service.client() as other:
        rest = [[job.id for job in page] for page in other.list_jobs().by_page(continuation_token=token)]
    assert sorted(first + [id for page in rest for id in page]) == jobs
    assert all(len(page) <= 2 for page in rest)


async def test_pages_asynchronously(five: tuple[Desk, str, list[str]], service: Service) -> None:
    _, queue, jobs = five
    async with service.client_aio() as client:
        paged = client.list_jobs(queue_id=queue, results_per_page=3).by_page()
        found = [job.id async for page in paged async for job in page]
        assert sorted(found) == jobs


@pytest.mark.ours
def test_a_token_is_checked_for_tampering(five: tuple[Desk, str, list[str]]) -> None:
    desk, queue, _ = five
    paged = desk.client.list_jobs(queue_id=queue, results_per_page=2).by_page()
    assert isinstance(paged, PageIterator)
    next(paged)
    token = paged.continuation_token
    middle = len(token) - 12
    broken = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(HttpResponseError) as refused:
        next(desk.client.list_jobs().by_page(continuation_token=broken))
    assert refused.value.status_code == 400


@pytest.mark.ours
def test_nothing_vanishes_or_comes_twice_while_others_come_and_go(five: tuple[Desk, str, list[str]]) -> None:
    desk, queue, jobs = five
    passing = [desk.job(queue) for _ in range(3)]
    seen: list[str] = []
    for number, page in enumerate(desk.client.list_jobs(queue_id=queue, results_per_page=1).by_page()):
        seen += [job.id for job in page]
        if number < len(passing):
            desk.client.cancel_job(passing[number])
            desk.client.delete_job(passing[number])
            desk.client.cancel_job(desk.job(queue))
    assert [seen.count(job) for job in jobs] == [1] * len(jobs)
    assert len(seen) == len(set(seen))


@pytest.mark.ours
def test_a_page_of_a_wrong_size_is_refused(desk: Desk) -> None:
    for size in ("0", "1001", "x"):
        answer = send(desk.client, "GET", "routing/queues", params={"maxpagesize": size})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")


def test_the_last_page_has_no_link(five: tuple[Desk, str, list[str]]) -> None:
    desk, queue, _ = five
    body = send(desk.client, "GET", "routing/jobs", params={"queueId": queue, "maxpagesize": "1000"}).json()
    while "nextLink" in body:
        path, _, query = body["nextLink"].partition("?")
        name, _, token = query.partition("=")
        body = send(desk.client, "GET", path.lstrip("/"), params={name: token}).json()
    assert "nextLink" not in body


def test_jobs_by_filter(desk: Desk) -> None:
    queue, other = desk.queue(), desk.queue()
    policy = desk.classification(fallback_queue_id=queue)
    soon = datetime.now(UTC) + timedelta(hours=1)
    plain, elsewhere = desk.queued(queue), desk.queued(other)
    chat = desk.queued(queue, channel_id="chat")
    classified = desk.queued(None, classification_policy_id=policy)
    scheduled = desk.job(queue, matching_mode=ScheduleAndSuspendMode(schedule_at=soon))
    desk.until(scheduled, "scheduled")
    ended = desk.job(queue)
    desk.client.cancel_job(ended)

    def listed(**filters: object) -> set[str]:
        return {job.id for job in desk.client.list_jobs(**filters)} & {
            plain, elsewhere, chat, classified, scheduled, ended
        }  # fmt: skip

    assert listed() == listed(status="all") == {plain, elsewhere, chat, classified, scheduled, ended}
    assert listed(queue_id=queue) == {plain, chat, classified, scheduled, ended}
    assert listed(queue_id=queue, status="active") == {plain, chat, classified, scheduled}
    assert listed(queue_id=queue, status="queued", channel_id="chat") == {chat}
    assert listed(queue_id=queue, status="QUEUED") == {plain, chat, classified}
    assert listed(status="cancelled") == {ended}
    assert listed(classification_policy_id=policy) == {classified}
    assert listed(scheduled_after=soon, scheduled_before=soon) == {scheduled}
    assert listed(scheduled_before=soon - timedelta(seconds=1), queue_id=queue) == set()
    assert listed(scheduled_after=soon + timedelta(seconds=1)) == set()
    with pytest.raises(HttpResponseError) as refused:
        listed(status="asleep")
    assert refused.value.status_code == 400


def test_workers_by_filter(desk: Desk) -> None:
    queue, other = desk.queue(), desk.queue()
    chat = [RouterChannel(channel_id="chat", capacity_cost_per_job=1)]
    voice_worker, elsewhere = desk.worker(queue), desk.worker(other)
    chat_worker = desk.worker(queue, channels=chat, capacity=5)
    inactive = desk.worker(queue, available_for_offers=False)
    busy = desk.worker(queue, capacity=1)
    job = desk.job(queue)
    busy_or_voice = desk.offered_to(job, voice_worker, busy)
    free = ({voice_worker, busy} - {busy_or_voice}).pop()

    def listed(**filters: object) -> set[str]:
        mine = {voice_worker, elsewhere, chat_worker, inactive, busy}
        return {worker.id for worker in desk.client.list_workers(**filters)} & mine

    assert listed(state="all") == {voice_worker, elsewhere, chat_worker, inactive, busy}
    assert listed(queue_id=queue) == {voice_worker, chat_worker, inactive, busy}
    assert listed(queue_id=queue, state="active") == {voice_worker, chat_worker, busy}
    assert listed(queue_id=queue, state="inactive") == {inactive}
    assert listed(queue_id=queue, channel_id="chat") == {chat_worker}
    assert listed(queue_id=queue, channel_id="voice", state="active", has_capacity=True) == {free}
    assert listed(queue_id=queue, state="active", has_capacity=True) == {free, chat_worker}


def test_what_an_action_did_is_listed_at_once(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)

    def listed(status: str) -> bool:
        return job in [one.id for one in desk.client.list_jobs(queue_id=queue, status=status)]

    accepted = desk.accept(worker, job)
    assert listed("assigned")
    desk.client.complete_job(job, accepted.assignment_id)
    assert listed("completed")
    desk.client.close_job(job, accepted.assignment_id)
    assert listed("closed")
    assert not listed("active")
    desk.client.delete_job(job)
    assert not listed("all")
    desk.client.delete_worker(worker)
    assert worker not in [one.id for one in desk.client.list_workers()]
