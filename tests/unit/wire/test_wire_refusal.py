"""What a failed request is answered: the router's own errors as they are, everything else without a word of its inside."""

from __future__ import annotations

import json
import logging

import azure.functions as func
import pytest

from router.api.functions import unavailable
from router.api.gate import refusal
from router.errors import BadRequest, ErrorDetail
from router.storage.port import StorageUnavailable


def test_an_error_of_the_router_is_told_as_it_is() -> None:
    error = BadRequest("m", target="t", details=[ErrorDetail("c", "n", "u"), ErrorDetail("d", "o")])
    reply = refusal(error, "GetJob", "/routing/jobs/j")
    details = [{"code": "c", "message": "n", "target": "u"}, {"code": "d", "message": "o"}]
    assert reply.status == 400
    told = {"code": "BadRequest", "message": "m", "target": "/routing/jobs/j", "details": details}
    assert reply.body == {"error": told, "communicationError": told}
    assert reply.headers == {"x-ms-error-code": "BadRequest"}


def test_a_500_never_carries_internals(caplog: pytest.LogCaptureFixture) -> None:
    reply = refusal(RuntimeError("the inside"), "GetJob", "/routing/jobs/j", "request-1")
    assert (reply.status, reply.body["error"]["code"]) == (500, "InternalServerError")
    assert reply.headers["x-ms-error-code"] == "InternalServerError"
    assert "inside" not in str(reply)
    [record] = caplog.records
    assert record.exc_info is not None, "the log tells why"
    assert (record.levelno, record.request_id) == (logging.ERROR, "request-1")  # type: ignore[attr-defined]


def test_storage_that_does_not_answer_is_503_and_no_fault_of_the_router(caplog: pytest.LogCaptureFixture) -> None:
    reply = refusal(StorageUnavailable("table jobs at https://account"), "GetJob", "/routing/jobs/j")
    assert (reply.status, reply.body["error"]["code"]) == (503, "ServiceUnavailable")
    assert int(reply.headers["Retry-After"]) >= 1
    assert "account" not in str(reply)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_an_app_that_is_not_ready_says_so_in_the_form_of_all_errors() -> None:
    request = func.HttpRequest("GET", "/routing/jobs", headers={"X-MS-Client-Request-Id": "mine"}, body=b"")
    answer = unavailable(RuntimeError("the setting X is abc"), request)
    error = json.loads(answer.get_body())["error"]
    assert (answer.status_code, error["code"], error["target"]) == (503, "ServiceUnavailable", "/routing/jobs")
    assert answer.mimetype == "application/json; charset=utf-8"
    assert "abc" not in str(error)
    assert answer.headers["x-ms-error-code"] == "ServiceUnavailable"
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert answer.headers["x-ms-request-id"]
    assert answer.headers["api-supported-versions"] == "2023-11-01, 2024-01-18-preview"
    assert int(answer.headers["Retry-After"]) >= 1
