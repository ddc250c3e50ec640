"""A transaction as one request, and what its answer tells."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError

from router.storage.batches import Request, check, encode

_MADE = b"""--batchresponse_1\r
Content-Type: multipart/mixed; boundary=changesetresponse_1\r
\r
--changesetresponse_1\r
Content-Type: application/http\r
Content-Transfer-Encoding: binary\r
\r
HTTP/1.1 %s\r
Content-ID: 0\r
\r
%s\r
--changesetresponse_1--\r
--batchresponse_1--\r
"""
_REFUSED = b'{"odata.error":{"code":"%s","message":{"lang":"en-US","value":"0:Refused."}}}'


def test_the_requests_stand_between_boundaries() -> None:
    requests = [
        Request("PUT", "https://a/jobs(1)", {"If-Match": "W/1"}, '{"a": "\u00e4"}'.encode()),
        Request("DELETE", "https://a/jobs(2)", {}),
    ]
    boundary, content = encode(requests)
    first, second, rest = content.decode().split("Content-Type: application/http\r\n")
    assert first.startswith(f"--{boundary}\r\nContent-Type: multipart/mixed; boundary=changeset_")
    assert "Content-ID: 0\r\n\r\nPUT https://a/jobs(1) HTTP/1.1\r\n" in second
    assert "\r\nIf-Match: W/1\r\n" in second
    assert '\r\n\r\n{"a": "\u00e4"}\r\n--changeset_' in second
    assert "Content-ID: 1\r\n\r\nDELETE https://a/jobs(2) HTTP/1.1\r\n\r\n\r\n" in rest
    assert rest.endswith(f"--\r\n\r\n--{boundary}--\r\n")


def test_other_content_has_other_boundaries() -> None:
    one, _ = encode([Request("PUT", "https://a", {}, b"1")])
    other, _ = encode([Request("PUT", "https://a", {}, one.encode())])
    assert one != other


def test_all_made_is_no_failure() -> None:
    check(202, _MADE % (b"204 No Content", b""))


@pytest.mark.parametrize(
    ("line", "code", "status"),
    [
        (b"409 Conflict", b"EntityAlreadyExists", 409),
        (b"412 Precondition Failed", b"UpdateConditionNotSatisfied", 412),
        (b"404 Not Found", b"ResourceNotFound", 404),
        (b"413 Request Entity Too Large", b"RequestBodyTooLarge", 413),
        (b"400 Bad Request", b"EntityTooLarge", 400),
        (b"503 Server Busy", b"ServerBusy", 503),
    ],
)
def test_the_change_that_failed_is_told(line: bytes, code: bytes, status: int) -> None:
    with pytest.raises(HttpResponseError) as caught:
        check(202, _MADE % (line, _REFUSED % code))
    assert caught.value.status_code == status
    assert caught.value.error_code == code.decode()  # type: ignore[attr-defined]
    assert "0:Refused." in caught.value.message


@pytest.mark.parametrize(("status", "answer"), [(403, b"no"), (500, b""), (202, b""), (202, b"{[")])
def test_any_other_answer_is_a_failure(status: int, answer: bytes) -> None:
    with pytest.raises(HttpResponseError) as caught:
        check(status, answer)
    assert caught.value.status_code == (502 if status == 202 else status)
