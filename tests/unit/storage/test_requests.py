"""What is asked of Table Storage, and what its answers say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from yarl import URL

from router.storage.port import Condition, Entity, Write
from router.storage.refusals import check
from router.storage.requests import Requests, body_of, entity_of, odata

REQUESTS = Requests("https://account.table.core.windows.net", "jobs", "2019-02-02")


def test_a_query_asks_for_what_is_wanted_from_where_the_last_ended() -> None:
    where: list[Condition] = [("PartitionKey", "eq", "a'b&c"), ("Due", "le", "2026"), ("Open", "eq", True)]
    request = REQUESTS.query(where, 20, ("1!4!cQ+-", "x y"), ["Due"])
    url = URL(request.url)
    assert (request.method, url.path) == ("GET", "/jobs()")
    assert dict(url.query) == {
        "$top": "20",
        "$filter": "PartitionKey eq 'a''b&c' and Due le '2026' and Open eq true",
        "$select": "PartitionKey,RowKey,Due",
        "NextPartitionKey": "1!4!cQ+-",
        "NextRowKey": "x y",
    }
    assert request.headers["Accept"].endswith("minimalmetadata")
    all_of_it = REQUESTS.query([], 1000, None, None, plain=True)
    assert dict(URL(all_of_it.url).query) == {"$top": "1000"}
    assert all_of_it.headers["Accept"].endswith("nometadata")


def test_numbers_of_a_filter() -> None:
    assert odata([("A", "gt", 2**31), ("B", "lt", 1.5), ("C", "ne", -1)]) == "A gt 2147483648L and B lt 1.5 and C ne -1"


def test_the_writes_of_a_transaction() -> None:
    writes = [
        Write("insert", Entity("p", "1", {"A": 1})),
        Write("upsert", Entity("p", "2")),
        Write("replace", Entity("p", "3", {}, 'W/"3"')),
        Write("delete", Entity("p", "4", {}, 'W/"4"')),
        Write("delete", Entity("p", "5")),
    ]
    request = REQUESTS.transaction(writes)
    assert (request.method, request.url) == ("POST", "https://account.table.core.windows.net/$batch")
    assert request.content is not None
    text = request.content.decode()
    lines = [line for line in text.split("\r\n") if line.endswith("HTTP/1.1") or line.startswith("If-Match")]
    at = "https://account.table.core.windows.net/jobs"
    assert lines == [
        f"POST {at} HTTP/1.1",
        f"PUT {at}(PartitionKey='p',RowKey='2') HTTP/1.1",
        f"PUT {at}(PartitionKey='p',RowKey='3') HTTP/1.1",
        'If-Match: W/"3"',
        f"DELETE {at}(PartitionKey='p',RowKey='4') HTTP/1.1",
        'If-Match: W/"4"',
        f"DELETE {at}(PartitionKey='p',RowKey='5') HTTP/1.1",
        "If-Match: *",
    ]
    with pytest.raises(ValueError, match="one partition"):
        REQUESTS.transaction([Write("upsert", Entity("p", "1")), Write("upsert", Entity("q", "1"))])


@pytest.mark.parametrize("value", ["ü\U0001f600\"'", "", 0, -5, 2**31 - 1, 2**31, -(2**40), 0.0, 1.0, 0.1, True, False])
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    """Storage gives back what it was given, and says of which type it is where JSON does not."""
    told = {"odata.metadata": "m", "odata.etag": 'W/"1"', "Timestamp@odata.type": "Edm.DateTime", "Timestamp": "t"}
    found = entity_of({**told, **json.loads(body_of(Entity("p", "r", {"Value": value})))})
    assert found == Entity("p", "r", {"Value": value}, 'W/"1"')
    assert type(found.columns["Value"]) is type(value)


def test_a_number_without_a_fraction_is_told_to_be_one() -> None:
    """Storage says 1 for 1.0, with its type."""
    found = entity_of({"PartitionKey": "p", "RowKey": "r", "Share": 1, "Share@odata.type": "Edm.Double"}, "v")
    assert repr(found.columns["Share"]) == "1.0"
    assert found.version == "v"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, ResourceNotFoundError),
        (409, ResourceExistsError),
        (412, ResourceModifiedError),
        (400, HttpResponseError),
        (503, HttpResponseError),
        (302, HttpResponseError),
    ],
)
def test_a_refusal_is_told_as_the_package_tells_it(status: int, error: type[HttpResponseError]) -> None:
    with pytest.raises(error) as refused:
        check(status, b'{"odata.error":{"code":"Why","message":{"lang":"en-US","value":"Because."}}}')
    assert type(refused.value) is error
    assert refused.value.status_code == status
    assert refused.value.error_code == "Why"  # type: ignore[attr-defined]
    assert "Because." in str(refused.value)


def test_a_success_is_none() -> None:
    for status in (200, 201, 204):
        check(status, b"")
