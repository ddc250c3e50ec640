"""A whole router under a host that writes each address anew before the app sees it, as the platform may do
(docs/local-host.md): the official client signs its own form of it, and has to be understood all the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from azure.communication.jobrouter.models import (
    CancelJobOptions,
    DistributionPolicy,
    LongestIdleMode,
    RouterChannel,
    RouterJob,
    RouterQueue,
    RouterWorker,
)
from azure.core.exceptions import ResourceNotFoundError

from tests.acceptance.service import Service, local_service
from tests.eventually import eventually
from tests.local_router import LocalRouter

pytestmark = [pytest.mark.ours, pytest.mark.timeout(180)]

ODD = [
    "plain",
    "with space",
    "100%",
    "a%20b",
    "quote'double\"",
    "plus+and&equals=semi;comma,",
    "Zürich 東京 😀",
    "a/b",
    "x?y#z",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    router = LocalRouter(tmp_path_factory.mktemp("rebuilt"), environment={"LOCAL_HOST_URL": "rebuilt"})
    try:
        yield local_service(router)
    finally:
        router.end()


@pytest.mark.parametrize("odd", ODD)
def test_a_jobs_life_whatever_its_ids(service: Service, odd: str) -> None:
    with service.administration() as administration, service.client() as client:
        policy = f"p {odd}"
        administration.upsert_distribution_policy(
            policy, DistributionPolicy(offer_expires_after_seconds=60, mode=LongestIdleMode())
        )
        queue = administration.upsert_queue(f"q {odd}", RouterQueue(distribution_policy_id=policy))
        worker = f"w {odd}"
        channel = RouterChannel(channel_id="voice", capacity_cost_per_job=1)
        client.upsert_worker(
            worker, RouterWorker(capacity=1, queues=[queue.id], channels=[channel], available_for_offers=True)
        )
        job = client.upsert_job(f"j {odd}", RouterJob(channel_id="voice", queue_id=queue.id, priority=1))
        assert (queue.id, job.id) == (f"q {odd}", f"j {odd}")
        offers = eventually(lambda: client.get_worker(worker).offers)
        accepted = client.accept_job_offer(worker, offers[0].offer_id)
        assert accepted.job_id == job.id
        client.complete_job(job.id, accepted.assignment_id)
        client.close_job(job.id, accepted.assignment_id)
        assert [one.id for one in client.list_jobs(queue_id=queue.id, status="closed")] == [job.id]
        client.delete_job(job.id)
        with pytest.raises(ResourceNotFoundError):
            client.get_job(job.id)


def test_the_next_page_is_where_its_link_says(service: Service) -> None:
    with service.administration() as administration, service.client() as client:
        administration.upsert_distribution_policy(
            "pages", DistributionPolicy(offer_expires_after_seconds=60, mode=LongestIdleMode())
        )
        administration.upsert_queue("pages & more", RouterQueue(distribution_policy_id="pages"))
        ids = [f"page {number} {uuid.uuid4()}" for number in range(5)]
        for id in ids:
            client.upsert_job(id, RouterJob(channel_id="voice", queue_id="pages & more", priority=1))
        pages = client.list_jobs(queue_id="pages & more", results_per_page=2).by_page()
        assert [[one.id for one in page] for page in pages] == [ids[:2:-1], ids[2:0:-1], ids[:1]]
        for id in ids:
            client.cancel_job(id, CancelJobOptions(note="over"))
