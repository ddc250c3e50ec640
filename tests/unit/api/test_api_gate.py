"""What stands before every operation: the order of its checks, and the headers of its answers
(docs/behaviour.md, "General rules" and "Authentication")."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from router.api.auth.refusal import RateLimited, Unauthorized
from router.api.gate import refusal
from router.errors import NotFound, RouterError
from router.models.operations import GA
from router.storage.port import StorageUnavailable
from tests.memory_router import Call, in_virtual_time
from tests.unit.api.api_caller import Caller
from tests.unit.auth.signed_wire import OTHER_KEY

QUEUE = {"distributionPolicyId": "q"}


@in_virtual_time
async def test_every_answer_has_the_headers_of_every_answer() -> None:
    call = Caller()
    client = {"x-ms-client-request-id": "mine \u00e9" + "x" * 300}
    for answer in (
        await call("GetQueue", "none", headers=client),
        await call("GetQueues", headers=client),
        await call("GetQueues", headers=client, key=OTHER_KEY),
        await call("GetQueues", headers=client, version=None),
    ):
        assert answer.headers["api-supported-versions"] == "2023-11-01, 2024-01-18-preview"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-ms-request-id"]
        repeated = answer.headers["x-ms-client-request-id"]
        assert repeated.startswith("mine x")
        assert len(repeated) <= 256


@in_virtual_time
async def test_two_requests_have_two_ids() -> None:
    call = Caller()
    first, second = await call("GetQueues"), await call("GetQueues")
    assert first.headers["x-ms-request-id"] != second.headers["x-ms-request-id"]
    assert "x-ms-client-request-id" not in first.headers


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        # Everything is wrong at first, then one thing less each time: the first check that fails is the answer.
        ({"raw": b"x" * (1024 * 1024 + 1), "key": OTHER_KEY, "version": None}, 413, "RequestEntityTooLarge"),
        ({"raw": b"x", "key": OTHER_KEY, "version": None}, 401, "Unauthorized"),
        ({"raw": b"x", "version": None, "headers": {"content-type": "text/plain"}}, 400, "MissingApiVersionParameter"),
        ({"raw": b"x", "version": "2020", "headers": {"content-encoding": "x"}}, 400, "UnsupportedApiVersionValue"),
        ({"raw": b"x", "headers": {"content-encoding": "gzip"}}, 415, "UnsupportedMediaType"),
        ({"raw": b"x", "headers": {"content-type": "text/plain"}}, 415, "UnsupportedMediaType"),
        ({"raw": b"x", "headers": {"if-match": "other"}}, 400, "InvalidJson"),
        ({"body": {"distributionPolicyId": 7}, "headers": {"if-match": "other"}}, 412, "ConditionNotMet"),
        ({"body": {"distributionPolicyId": 7}}, 400, "BadRequest"),
        ({"body": {"distributionPolicyId": "none"}}, 400, "BadRequest"),
        ({"body": QUEUE}, 201, None),
    ],
)
@in_virtual_time
async def test_the_first_check_that_fails_is_the_answer(options: dict[str, Any], status: int, code: str | None) -> None:
    call = Caller()
    await call("UpsertDistributionPolicy", "q", body={"mode": {"kind": "longestIdle"}})
    answer = await call("UpsertQueue", "new", **options)
    assert (answer.status, answer.code) == (status, code)
    assert (await call("GetQueue", "new")).status == (200 if status == 201 else 404)


@in_virtual_time
async def test_the_rate_limit_counts_callers_and_not_their_mistakes() -> None:
    call = Caller(limit=2)
    assert (await call("GetQueues", key=OTHER_KEY)).status == 401
    assert [(await call("GetQueue", "none")).status for _ in range(3)] == [404, 404, 429]
    refused = await call("GetQueues", version=None)
    assert (refused.status, refused.code) == (429, "TooManyRequests")
    assert int(refused.headers["Retry-After"]) >= 1


@in_virtual_time
async def test_the_body_may_be_as_large_as_a_mebibyte() -> None:
    call = Caller()
    await call.settings()
    body = b'{"name": "' + b"x" * 10 + b'"}'
    answer = await call("UpsertQueue", "q", raw=body.ljust(1024 * 1024))
    assert (answer.status, answer.body["name"]) == (200, "x" * 10)


@in_virtual_time
async def test_storage_that_does_not_answer_is_told_as_such() -> None:
    call = Caller()

    async def before(_: Call) -> None:
        raise StorageUnavailable("the address of the account")

    call.process.tables.before = before
    answer = await call("GetQueue", "q")
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert b"address" not in answer.raw


@in_virtual_time
async def test_a_fault_of_the_router_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    call = Caller()

    async def before(_: Call) -> None:
        raise LookupError("what nobody thought of")

    call.process.tables.before = before
    answer = await call("GetQueue", "q")
    assert (answer.status, answer.code) == (500, "InternalServerError")
    assert b"nobody" not in answer.raw
    (record,) = (one for one in caplog.records if one.levelname == "ERROR")
    assert record.__dict__["request_id"] == answer.headers["x-ms-request-id"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


@in_virtual_time
async def test_what_is_no_operation_needs_credentials_and_counts() -> None:
    call = Caller(limit=1)
    with pytest.raises(Unauthorized):
        await call.gate.admit(call.request("GetQueues", "/openapi.json", key=OTHER_KEY))
    assert (await call.gate.admit(call.request("GetQueues", "/openapi.json"))).path == "/openapi.json"
    with pytest.raises(RateLimited):
        await call.gate.admit(call.request("GetQueues", "/openapi.json"))


def test_a_method_that_is_none_is_answered_with_those_that_are_and_head() -> None:
    wrong = RouterError("MethodNotAllowed", "No.", 405, headers={"Allow": "PATCH, GET"})
    assert refusal(wrong, "x", "/").headers["Allow"] == "GET, HEAD, PATCH"
    wrong = RouterError("MethodNotAllowed", "No.", 405, headers={"Allow": "POST"})
    assert refusal(wrong, "x", "/").headers["Allow"] == "POST"
    assert refusal(NotFound("Job", "j"), "x", "/").status == 404


@pytest.mark.parametrize("id", ["a b", "Ü/x", "a:b", "%2F", "x" * 256, "~!$&'()*+,;=@", "..."])
@in_virtual_time
async def test_ids_are_decoded_once(id: str) -> None:
    call = Caller()
    await call.settings()
    assert (await call("UpsertQueue", id, body=QUEUE)).body["id"] == id
    assert (await call("GetQueue", id)).body["id"] == id
    assert set((await call("GetQueues")).ids) == {"q", id}
    job = await call.job(id, queueId=id)
    assert (job.status, job.body["id"]) == (201, id)
    assert (await call("CancelJob", id)).status == 200
    assert (await call("GetJob", id)).body["status"] == "cancelled"


@pytest.mark.parametrize("path", ["x" * 257, "%01", "%2E", "%2e%2e", "%FF", "%00"])
@in_virtual_time
async def test_ids_that_are_none(path: str) -> None:
    call = Caller()
    answer = await call.send("GetQueue", f"/routing/queues/{path}?api-version={GA}")
    assert (answer.status, answer.code, answer.details) == (400, "BadRequest", ["InvalidId"])


@in_virtual_time
async def test_query_parameters_have_no_case_and_the_last_one_counts() -> None:
    call = Caller()
    for query in (f"API-Version={GA}", f"api-version=2020&Api-Version={GA}"):
        assert (await call.send("GetQueues", f"/routing/queues?{query}")).status == 200
    assert (await call.send("GetQueues", f"/routing/queues?api-version={GA}&API-VERSION=2020")).status == 400


@in_virtual_time
async def test_secrets_are_kept_where_there_is_a_key_and_refused_elsewhere() -> None:
    secret = {"kind": "function", "functionUri": "https://f.example/", "credential": {"functionKey": "hidden"}}
    policy = {"prioritizationRule": secret}
    refused = await Caller()("UpsertClassificationPolicy", "c", body=policy)
    assert (refused.status, refused.details) == (400, ["SecretsNotConfigured"])
    call = Caller(secrets=base64.b64encode(b"k" * 32).decode())
    answer = await call("UpsertClassificationPolicy", "c", body=policy)
    assert answer.status == 201
    # Who has sent it has it.
    assert answer.body["prioritizationRule"]["credential"]["functionKey"] == "hidden"
    shown = (await call("GetClassificationPolicy", "c")).body["prioritizationRule"]
    assert shown["credential"]["functionKey"] == "********"
    rows = call.process.tables.of("policies").all()
    assert "hidden" not in repr(rows)
    again = await call("UpsertClassificationPolicy", "c", body={"prioritizationRule": shown})
    assert (again.status, again.body["etag"]) == (200, answer.body["etag"])
