"""Every operation of the official SDK, once: synchronous and asynchronous, over http and over https."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient, aio
from azure.communication.jobrouter.models import (
    CancelJobOptions,
    ClassificationPolicy,
    CloseJobOptions,
    CompleteJobOptions,
    DeclineJobOfferOptions,
    DistributionPolicy,
    ExceptionPolicy,
    LongestIdleMode,
    RouterChannel,
    RouterJob,
    RouterQueue,
    RouterWorker,
    UnassignJobOptions,
)
from azure.core.credentials import AzureKeyCredential

from tests.acceptance.service import Service
from tests.conftest import SECONDARY_KEY
from tests.eventually import eventually, eventually_async

#: How a client may be made: from endpoint and key over http, or from the connection string over https.
WAYS = ["key", "connection string"]


@pytest.mark.parametrize("way", WAYS)
def test_every_operation(service: Service, way: str) -> None:
    if way == "key":
        administration, client = service.administration(), service.client()
    else:
        given = service.connection_string
        administration = JobRouterAdministrationClient.from_connection_string(given, **service.trust)
        client = JobRouterClient.from_connection_string(given, **service.trust)
    run = uuid.uuid4().hex[:10]
    policy, queue, worker, job = f"{run}-policy", f"{run}-queue", f"{run}-worker", f"{run}-job"
    with administration, client:
        mode = LongestIdleMode()
        made = administration.upsert_distribution_policy(
            policy, DistributionPolicy(offer_expires_after_seconds=60, mode=mode)
        )
        assert made == administration.get_distribution_policy(policy)
        assert policy in [one.id for one in administration.list_distribution_policies()]
        classification = administration.upsert_classification_policy(policy, ClassificationPolicy(name="n"))
        assert classification == administration.get_classification_policy(policy)
        assert policy in [one.id for one in administration.list_classification_policies()]
        exception = administration.upsert_exception_policy(policy, ExceptionPolicy(name="n", exception_rules=[]))
        assert exception == administration.get_exception_policy(policy)
        assert policy in [one.id for one in administration.list_exception_policies()]
        made_queue = administration.upsert_queue(queue, RouterQueue(distribution_policy_id=policy))
        assert made_queue == administration.get_queue(queue)
        assert queue in [one.id for one in administration.list_queues()]

        created = client.upsert_job(job, RouterJob(channel_id="voice", queue_id=queue, classification_policy_id=policy))
        assert created.status == "pendingClassification"
        eventually(lambda: client.get_job(job).status == "queued")
        assert client.get_queue_position(job).position == 1
        assert client.get_queue_statistics(queue).length == 1
        assert [one.id for one in client.list_jobs(queue_id=queue)] == [job]
        before = client.get_job(job).etag
        client.reclassify_job(job)
        eventually(lambda: (found := client.get_job(job)).status == "queued" and found.etag != before)

        registered = client.upsert_worker(
            worker,
            RouterWorker(
                capacity=1,
                queues=[queue],
                channels=[RouterChannel(channel_id="voice", capacity_cost_per_job=1)],
                available_for_offers=True,
            ),
        )
        assert registered.state == "active"
        assert [one.id for one in client.list_workers(queue_id=queue)] == [worker]

        def offer_id(declined: str = "") -> str:
            def offers() -> list[str]:
                return [one.offer_id for one in client.get_worker(worker).offers or [] if one.offer_id != declined]

            return eventually(offers)[0]

        again = DeclineJobOfferOptions(retry_offer_at=datetime.now(UTC))
        declined = offer_id()
        client.decline_job_offer(worker, declined, again)
        assignment = client.accept_job_offer(worker, offer_id(declined)).assignment_id
        unassigned = client.unassign_job(job, assignment, UnassignJobOptions(suspend_matching=False))
        assert (unassigned.job_id, unassigned.unassignment_count) == (job, 1)
        assignment = client.accept_job_offer(worker, offer_id()).assignment_id
        client.complete_job(job, assignment, CompleteJobOptions(note="done"))
        client.close_job(job, assignment, CloseJobOptions(disposition_code="Solved", note="closed"))
        assert client.get_job(job).disposition_code == "Solved"
        client.delete_job(job)
        client.upsert_job(job, RouterJob(channel_id="voice", queue_id=queue))
        client.cancel_job(job, CancelJobOptions(note="no", disposition_code="Gone"))
        client.delete_job(job)
        client.delete_worker(worker)
        administration.delete_queue(queue)
        administration.delete_exception_policy(policy)
        administration.delete_classification_policy(policy)
        administration.delete_distribution_policy(policy)
        administration.delete_distribution_policy(policy)


@pytest.mark.parametrize("way", WAYS)
async def test_every_operation_asynchronously(service: Service, way: str) -> None:
    if way == "key":
        administration, client = service.administration_aio(), service.client_aio()
    else:
        given = service.connection_string
        administration = aio.JobRouterAdministrationClient.from_connection_string(given, **service.trust)
        client = aio.JobRouterClient.from_connection_string(given, **service.trust)
    run = uuid.uuid4().hex[:10]
    # The asynchronous client sends a colon as it is, the synchronous one encodes it.
    policy, queue, worker, job = f"{run}:policy", f"{run}:queue", f"{run}:worker", f"{run}:job"
    async with administration, client:
        made = await administration.upsert_distribution_policy(
            policy, DistributionPolicy(offer_expires_after_seconds=60, mode=LongestIdleMode())
        )
        assert made == await administration.get_distribution_policy(policy)
        assert policy in [one.id async for one in administration.list_distribution_policies()]
        classification = await administration.upsert_classification_policy(policy, ClassificationPolicy(name="n"))
        assert classification == await administration.get_classification_policy(policy)
        assert policy in [one.id async for one in administration.list_classification_policies()]
        exception = await administration.upsert_exception_policy(policy, ExceptionPolicy(name="n", exception_rules=[]))
        assert exception == await administration.get_exception_policy(policy)
        assert policy in [one.id async for one in administration.list_exception_policies()]
        made_queue = await administration.upsert_queue(queue, RouterQueue(distribution_policy_id=policy))
        assert made_queue == await administration.get_queue(queue)
        assert queue in [one.id async for one in administration.list_queues()]

        async def queued() -> bool:
            return (await client.get_job(job)).status == "queued"

        created = await client.upsert_job(
            job, RouterJob(channel_id="voice", queue_id=queue, classification_policy_id=policy)
        )
        assert created.status == "pendingClassification"
        await eventually_async(queued)
        assert (await client.get_queue_position(job)).position == 1
        assert (await client.get_queue_statistics(queue)).length == 1
        assert [one.id async for one in client.list_jobs(queue_id=queue)] == [job]
        before = (await client.get_job(job)).etag
        await client.reclassify_job(job)

        async def reclassified() -> bool:
            found = await client.get_job(job)
            return found.status == "queued" and found.etag != before

        await eventually_async(reclassified)

        registered = await client.upsert_worker(
            worker,
            RouterWorker(
                capacity=1,
                queues=[queue],
                channels=[RouterChannel(channel_id="voice", capacity_cost_per_job=1)],
                available_for_offers=True,
            ),
        )
        assert registered.state == "active"
        assert [one.id async for one in client.list_workers(queue_id=queue)] == [worker]

        async def offer_id(declined: str = "") -> str:
            async def offers() -> list[str]:
                held = (await client.get_worker(worker)).offers or []
                return [offer.offer_id for offer in held if offer.offer_id != declined]

            return (await eventually_async(offers))[0]

        again = DeclineJobOfferOptions(retry_offer_at=datetime.now(UTC))
        declined = await offer_id()
        await client.decline_job_offer(worker, declined, again)
        assignment = (await client.accept_job_offer(worker, await offer_id(declined))).assignment_id
        unassigned = await client.unassign_job(job, assignment)
        assert (unassigned.job_id, unassigned.unassignment_count) == (job, 1)
        assignment = (await client.accept_job_offer(worker, await offer_id())).assignment_id
        await client.complete_job(job, assignment)
        await client.close_job(job, assignment)
        assert (await client.get_job(job)).disposition_code == "Closed"
        await client.delete_job(job)
        await client.upsert_job(job, RouterJob(channel_id="voice", queue_id=queue))
        await client.cancel_job(job)
        await client.delete_job(job)
        await client.delete_worker(worker)
        await administration.delete_queue(queue)
        await administration.delete_exception_policy(policy)
        await administration.delete_classification_policy(policy)
        await administration.delete_distribution_policy(policy)


def test_upserts_by_keyword(service: Service) -> None:
    """As the ACS documentation writes them: without a model."""
    run = uuid.uuid4().hex[:10]
    with service.administration() as administration, service.client() as client:
        administration.upsert_distribution_policy(
            run, offer_expires_after_seconds=30.5, mode=LongestIdleMode(), name="p"
        )
        administration.upsert_queue(run, distribution_policy_id=run, name="q", labels={"Region": "NA"})
        job = client.upsert_job(run, channel_id="voice", queue_id=run, priority=3, labels={"a": 1}, tags={"b": True})
        assert (job.priority, job.labels, job.tags) == (3, {"a": 1}, {"b": True})
        queue = administration.upsert_queue(run, RouterQueue(name="x"), name="the keyword wins")
        assert (queue.name, queue.labels) == ("the keyword wins", {"Region": "NA", "Id": run})
        assert administration.get_distribution_policy(run).offer_expires_after_seconds == 30.5
        client.cancel_job(run)
        client.delete_job(run)
        administration.delete_queue(run)
        administration.delete_distribution_policy(run)


@pytest.mark.parametrize(
    "id", ["with space", "a:b", "a/b", "a#b?c%d", "back\\slash", 'it\'s "quoted"', "Ünï-日本", "a+b&c=d"]
)
def test_ids_of_all_kinds(service: Service, id: str) -> None:
    id = f"{uuid.uuid4().hex[:8]} {id}"
    with service.administration() as administration, service.client() as client:
        administration.upsert_distribution_policy(id, offer_expires_after_seconds=60, mode=LongestIdleMode())
        assert administration.get_distribution_policy(id).id == id
        administration.upsert_queue(id, distribution_policy_id=id)
        client.upsert_job(id, channel_id="voice", queue_id=id)
        assert [job.id for job in client.list_jobs(queue_id=id)] == [id]
        client.cancel_job(id)
        client.delete_job(id)
        client.upsert_worker(id, capacity=1, queues=[id])
        assert [worker.id for worker in client.list_workers(queue_id=id)] == [id]
        client.delete_worker(id)
        administration.delete_queue(id)
        administration.delete_distribution_policy(id)


@pytest.mark.ours
def test_both_keys_are_valid(service: Service) -> None:
    for key in (service.key, SECONDARY_KEY):
        with JobRouterClient(service.endpoint, AzureKeyCredential(key)) as client:
            assert next(client.list_workers().by_page()) is not None
