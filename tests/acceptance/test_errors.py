"""What is refused, and how the SDK tells it: exception types, codes and details."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient, aio
from azure.communication.jobrouter.models import (
    ClassificationPolicy,
    DistributionPolicy,
    ExpressionRouterRule,
    LongestIdleMode,
    RouterChannel,
    RouterJob,
    RouterWorker,
)
from azure.core import MatchConditions
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from tests.acceptance.desk import Desk
from tests.acceptance.service import Service, send

NOBODY = "nobody-" + uuid.uuid4().hex


def refused(call: Callable[[], Any]) -> HttpResponseError:
    with pytest.raises(HttpResponseError) as error:
        call()
    assert error.value.response.headers["x-ms-error-code"] == error.value.error.code
    return error.value


def targets(error: HttpResponseError) -> set[str | None]:
    return {detail.target for detail in error.error.details}


@pytest.mark.parametrize(
    "call",
    [
        lambda a, c: a.get_distribution_policy(NOBODY),
        lambda a, c: a.get_classification_policy(NOBODY),
        lambda a, c: a.get_exception_policy(NOBODY),
        lambda a, c: a.get_queue(NOBODY),
        lambda a, c: c.get_queue_statistics(NOBODY),
        lambda a, c: c.get_job(NOBODY),
        lambda a, c: c.get_queue_position(NOBODY),
        lambda a, c: c.reclassify_job(NOBODY),
        lambda a, c: c.cancel_job(NOBODY),
        lambda a, c: c.complete_job(NOBODY, "x"),
        lambda a, c: c.close_job(NOBODY, "x"),
        lambda a, c: c.unassign_job(NOBODY, "x"),
        lambda a, c: c.get_worker(NOBODY),
        lambda a, c: c.accept_job_offer(NOBODY, "x"),
        lambda a, c: c.decline_job_offer(NOBODY, "x"),
    ],
)
def test_what_is_not_there(
    administration: JobRouterAdministrationClient,
    client: JobRouterClient,
    call: Callable[[JobRouterAdministrationClient, JobRouterClient], Any],
) -> None:
    error = refused(lambda: call(administration, client))
    assert isinstance(error, ResourceNotFoundError)
    assert (error.status_code, error.reason, error.error.code) == (404, "Not Found", "NotFound")


def test_deleting_what_is_not_there(administration: JobRouterAdministrationClient, client: JobRouterClient) -> None:
    for delete in (
        administration.delete_distribution_policy,
        administration.delete_classification_policy,
        administration.delete_exception_policy,
        administration.delete_queue,
        client.delete_job,
        client.delete_worker,
    ):
        delete(NOBODY)  # no error: 204


@pytest.mark.ours
def test_what_must_be_given_at_creation(desk: Desk) -> None:
    administration, client = desk.administration, desk.client
    assert targets(refused(lambda: administration.upsert_distribution_policy(NOBODY, {}))) == {"mode"}
    assert targets(refused(lambda: administration.upsert_queue(NOBODY, {}))) == {"distributionPolicyId"}
    assert targets(refused(lambda: client.upsert_worker(NOBODY, {}))) == {"capacity"}
    assert targets(refused(lambda: client.upsert_job(NOBODY, {}))) == {"channelId", "queueId"}
    for get in (administration.get_distribution_policy, administration.get_queue, client.get_worker, client.get_job):
        assert isinstance(refused(partial(get, NOBODY)), ResourceNotFoundError)


@pytest.mark.ours
def test_what_is_named_must_exist(desk: Desk) -> None:
    administration, client = desk.administration, desk.client
    unknown_queue = refused(lambda: client.upsert_job(NOBODY, channel_id="v", queue_id=NOBODY))
    assert (unknown_queue.status_code, unknown_queue.error.code) == (400, "BadRequest")
    assert NOBODY in unknown_queue.message
    for call in (
        lambda: client.upsert_job(NOBODY, channel_id="v", classification_policy_id=NOBODY),
        lambda: client.upsert_worker(NOBODY, capacity=1, queues=[NOBODY]),
        lambda: administration.upsert_queue(NOBODY, distribution_policy_id=NOBODY),
        lambda: administration.upsert_queue(NOBODY, distribution_policy_id=desk.policy(), exception_policy_id=NOBODY),
    ):
        error = refused(call)
        assert (error.status_code, error.error.code) == (400, "BadRequest")


@pytest.mark.ours
def test_every_wrong_field_is_named(desk: Desk) -> None:
    queue = desk.queue()
    error = refused(
        lambda: desk.client.upsert_job(
            desk.id("job"),
            {
                "channelId": 5,
                "queueId": queue,
                "priority": 2**31,
                "labels": {"nested": {"no": 1}},
                "tags": {"list": []},
                "notes": [{"addedAt": "yesterday"}],
                "matchingMode": {"kind": "sometimes"},
                "requestedWorkerSelectors": [{"key": "k", "labelOperator": "like"}],
            },
        )
    )
    assert (error.status_code, error.error.code) == (400, "BadRequest")
    assert {target.split(".")[0].split("[")[0] for target in targets(error)} == {
        "channelId", "priority", "labels", "tags", "notes", "matchingMode", "requestedWorkerSelectors"
    }  # fmt: skip


@pytest.mark.ours
@pytest.mark.parametrize(
    "mode",
    [
        LongestIdleMode(min_concurrent_offers=0),
        LongestIdleMode(min_concurrent_offers=3, max_concurrent_offers=2),
        LongestIdleMode(max_concurrent_offers=0),
    ],
)
def test_wrong_numbers_of_offers(desk: Desk, mode: LongestIdleMode) -> None:
    policy = DistributionPolicy(offer_expires_after_seconds=1, mode=mode)
    assert refused(lambda: desk.administration.upsert_distribution_policy(NOBODY, policy)).status_code == 400


@pytest.mark.ours
@pytest.mark.parametrize("seconds", [0, -1])
def test_wrong_expiry(desk: Desk, seconds: float) -> None:
    policy = DistributionPolicy(offer_expires_after_seconds=seconds, mode=LongestIdleMode())
    assert refused(lambda: desk.administration.upsert_distribution_policy(NOBODY, policy)).status_code == 400


@pytest.mark.ours
def test_wrong_workers(desk: Desk) -> None:
    voice = RouterChannel(channel_id="voice", capacity_cost_per_job=1)
    for worker in (
        RouterWorker(capacity=0),
        RouterWorker(capacity=1, channels=[voice, voice]),
        RouterWorker(capacity=1, channels=[RouterChannel(channel_id="voice", capacity_cost_per_job=0)]),
        RouterWorker(capacity=1, labels={f"l{number}": 1 for number in range(101)}),
        RouterWorker(capacity=1, labels={"Id": "mine", "nested": {}}),
    ):
        assert refused(partial(desk.client.upsert_worker, NOBODY, worker)).status_code == 400


def test_a_policy_with_an_expression_that_does_not_compile(desk: Desk) -> None:
    policy = ClassificationPolicy(prioritization_rule=ExpressionRouterRule(expression="If(job.Vip = , 1"))
    error = refused(lambda: desk.administration.upsert_classification_policy(NOBODY, policy))
    assert (error.status_code, error.error.code) == (400, "BadRequest")


def test_a_schedule_in_the_past(desk: Desk) -> None:
    mode = {"kind": "scheduleAndSuspend", "scheduleAt": "2020-01-01T00:00:00Z"}
    job = {"channelId": "v", "queueId": desk.queue(), "matchingMode": mode}
    assert refused(lambda: desk.client.upsert_job(NOBODY, job)).status_code == 400


def test_bad_json(desk: Desk) -> None:
    path = f"routing/queues/{desk.id('queue')}"
    for body in ("{", '{"name": "x"', "[1]x", "nonsense", "[]", "1"):
        answer = send(
            desk.client, "PATCH", path, content=body, headers={"Content-Type": "application/merge-patch+json"}
        )
        assert answer.status_code == 400, body
        assert "Traceback" not in answer.text()
    assert send(desk.client, "GET", path).status_code == 404


@pytest.mark.ours
def test_the_code_of_bad_json(desk: Desk) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    for body in ("{", '{"capacity": NaN}', '{"capacity": 1}}'):
        answer = send(desk.client, "PATCH", f"routing/workers/{NOBODY}", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidJson")
        assert answer.headers["x-ms-error-code"] == "InvalidJson"


def test_api_versions(desk: Desk) -> None:
    missing = send(desk.client, "GET", "routing/queues", version=None)
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    unknown = send(desk.client, "GET", "routing/queues", version="2001-01-01")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "UnsupportedApiVersionValue")
    assert "2023-11-01" in unknown.json()["error"]["message"]


@pytest.mark.ours
def test_other_refusals_in_the_error_form(desk: Desk) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    for expected, method, path, options in (
        (404, "GET", "routing/nothing", {}),
        (405, "PUT", f"routing/jobs/{NOBODY}", {"json": {}}),
        (415, "PATCH", f"routing/jobs/{NOBODY}", {"content": "<a/>", "headers": {"Content-Type": "text/xml"}}),
        (413, "PATCH", f"routing/jobs/{NOBODY}", {"content": " " * (1024 * 1024 + 1), "headers": merge}),
        (400, "PATCH", f"routing/jobs/{'x' * 257}", {"json": {}}),
    ):
        answer = send(desk.client, method, path, **options)
        assert answer.status_code == expected, path
        assert answer.json()["error"]["code"] == answer.headers["x-ms-error-code"]
        assert answer.json()["error"]["message"]
    assert "PATCH" in send(desk.client, "PUT", f"routing/jobs/{NOBODY}").headers["Allow"]


def test_a_wrong_key(service: Service) -> None:
    wrong = AzureKeyCredential(base64.b64encode(b"not the key").decode())
    with JobRouterClient(service.endpoint, wrong) as stranger:
        error = refused(lambda: stranger.get_job(NOBODY))
        assert isinstance(error, ClientAuthenticationError)
        assert error.status_code == 401
        assert "WWW-Authenticate" in error.response.headers
        assert refused(lambda: stranger.upsert_job(NOBODY, channel_id="v", queue_id="q")).status_code == 401


def test_what_a_request_brings_is_echoed(desk: Desk) -> None:
    answer = send(desk.client, "GET", "routing/queues", headers={"x-ms-client-request-id": "abc-1"})
    assert answer.headers["x-ms-client-request-id"] == "abc-1"
    assert answer.headers["x-ms-request-id"]


@pytest.mark.ours
def test_a_job_that_is_not_queued_has_no_position(desk: Desk) -> None:
    job = desk.job(desk.queue())
    desk.client.cancel_job(job)
    error = refused(lambda: desk.client.get_queue_position(job))
    assert isinstance(error, ResourceExistsError)
    assert (error.status_code, error.error.code) == (409, "Conflict")


@pytest.mark.ours
async def test_the_asynchronous_client_raises_the_same(service: Service, desk: Desk) -> None:
    queue = desk.queue()
    job, worker, policy = desk.queued(queue), desk.worker(queue, available_for_offers=False), desk.policy()
    stale = {"etag": "stale", "match_condition": MatchConditions.IfNotModified}
    missing = {"match_condition": MatchConditions.IfMissing}
    wrong = AzureKeyCredential(base64.b64encode(b"not the key").decode())
    stranger = aio.JobRouterClient(service.endpoint, wrong)
    async with service.administration_aio() as administration, service.client_aio() as client, stranger:
        calls: list[tuple[Awaitable[Any], type[HttpResponseError], int, str]] = [
            (administration.get_distribution_policy(NOBODY), ResourceNotFoundError, 404, "NotFound"),
            (administration.get_queue(NOBODY), ResourceNotFoundError, 404, "NotFound"),
            (client.get_job(NOBODY), ResourceNotFoundError, 404, "NotFound"),
            (client.accept_job_offer(NOBODY, "x"), ResourceNotFoundError, 404, "NotFound"),
            (client.complete_job(job, "none such"), ResourceNotFoundError, 404, "NotFound"),
            (client.delete_job(job), ResourceExistsError, 409, "Conflict"),
            (administration.delete_queue(queue), ResourceExistsError, 409, "Conflict"),
            (client.upsert_worker(worker, {"capacity": 2}, **stale), ResourceModifiedError, 412, "ConditionNotMet"),
            (client.upsert_worker(worker, {"capacity": 2}, **missing), ResourceExistsError, 412, "ConditionNotMet"),
            (
                administration.upsert_distribution_policy(policy, {"name": "n"}, **stale),
                ResourceModifiedError,
                412,
                "ConditionNotMet",
            ),
            (client.upsert_worker(worker, {"capacity": 0}), HttpResponseError, 400, "BadRequest"),
            (client.upsert_job(NOBODY, {"channelId": "v", "queueId": NOBODY}), HttpResponseError, 400, "BadRequest"),
            (stranger.get_job(job), ClientAuthenticationError, 401, "Unauthorized"),
        ]
        for call, kind, status, code in calls:
            with pytest.raises(HttpResponseError) as caught:
                await call
            assert type(caught.value) is kind
            assert (caught.value.status_code, caught.value.error.code) == (status, code)
            assert caught.value.response.headers["x-ms-error-code"] == code
        assert (await client.get_worker(worker)).capacity == 1


class TestInUse:
    """Deleting what is in use (R)."""

    def test_a_distribution_policy(self, desk: Desk) -> None:
        policy = desk.policy()
        queue = desk.queue(distribution_policy_id=policy)
        error = refused(lambda: desk.administration.delete_distribution_policy(policy))
        assert (error.status_code, error.error.code) == (400, "BadRequest")
        assert error.error.details[0].code == "QueueExistsWithDistributionPolicy"
        desk.administration.delete_queue(queue)
        desk.administration.delete_distribution_policy(policy)

    def test_an_exception_policy(self, desk: Desk) -> None:
        policy = desk.exceptions()
        queue = desk.queue(exception_policy_id=policy)
        error = refused(lambda: desk.administration.delete_exception_policy(policy))
        assert (error.status_code, error.error.code) == (400, "BadRequest")
        assert error.error.details[0].code == "QueueExistsWithExceptionPolicy"
        desk.administration.upsert_queue(queue, {"exceptionPolicyId": None})
        desk.administration.delete_exception_policy(policy)

    def test_a_classification_policy(self, desk: Desk) -> None:
        policy = desk.classification(fallback_queue_id=desk.queue())
        job = desk.queued(None, classification_policy_id=policy)
        error = refused(lambda: desk.administration.delete_classification_policy(policy))
        assert (error.status_code, error.error.code) == (400, "BadRequest")
        assert error.error.details[0].code == "ActiveJobWithClassificationPolicyExist"
        desk.client.cancel_job(job)
        desk.administration.delete_classification_policy(policy)

    def test_a_queue(self, desk: Desk) -> None:
        queue = desk.queue()
        job = desk.queued(queue)
        policy = desk.classification(fallback_queue_id=queue)
        error = refused(lambda: desk.administration.delete_queue(queue))
        assert isinstance(error, ResourceExistsError)
        assert (error.status_code, error.error.code) == (409, "Conflict")
        assert job in error.message
        assert policy in error.message, "both reasons are named"
        desk.client.cancel_job(job)
        assert policy in refused(lambda: desk.administration.delete_queue(queue)).message
        desk.administration.delete_classification_policy(policy)
        desk.administration.delete_queue(queue)

    def test_a_job(self, desk: Desk) -> None:
        queue = desk.queue()
        job = desk.queued(queue)
        worker = desk.worker(queue)
        assert refused(lambda: desk.client.delete_job(job)).status_code == 409
        accepted = desk.accept(worker, job)
        assert refused(lambda: desk.client.delete_job(job)).status_code == 409
        desk.complete(accepted)
        assert refused(lambda: desk.client.delete_job(job)).status_code == 409
        desk.client.close_job(job, accepted.assignment_id)
        desk.client.delete_job(job)
        assert isinstance(refused(lambda: desk.client.get_job(job)), ResourceNotFoundError)


def test_an_unknown_assignment(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    desk.accept(worker, job)
    for call in (desk.client.complete_job, desk.client.close_job, desk.client.unassign_job):
        error = refused(partial(call, job, str(uuid.uuid4())))
        assert error.status_code == 404


def test_a_job_by_any_model(desk: Desk) -> None:
    """The SDK takes models, JSON and streams."""
    queue = desk.queue()
    one = desk.client.upsert_job(desk.id("job"), RouterJob(channel_id="v", queue_id=queue))
    other = desk.client.upsert_job(desk.id("job"), {"channelId": "v", "queueId": queue})
    assert one.status == other.status == "created"
