"""Query parameters: api-version, filters, pages and their tokens."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.api.call import parse_ids, parse_query
from router.errors import RouterError
from router.models.filters import JobFilter, WorkerFilter
from router.models.jobs import ACTIVE, JobStatus
from router.models.operations import BY_NAME
from router.models.workers import WorkerState
from router.wire.paging import PageToken, open_token, seal_token, sealed
from router.wire.query import parse_api_version, read_job_list, read_list, read_worker_list

KEYS = ["cHJpbWFyeQ==", "c2Vjb25kYXJ5"]
JOBS, WORKERS, QUEUES = BY_NAME["GetJobs"], BY_NAME["GetWorkers"], BY_NAME["GetQueues"]


def _job_filter(**query: str) -> JobFilter:
    return read_job_list(query, JOBS, KEYS).filter


def _problems(query: dict[str, str]) -> list[str | None]:
    read: Any = read_worker_list if "state" in query or "hasCapacity" in query else read_job_list
    with pytest.raises(RouterError) as caught:
        read(query, WORKERS if read is read_worker_list else JOBS, KEYS)
    assert (caught.value.status, caught.value.code) == (400, "BadRequest")
    return [detail.target for detail in caught.value.details]


def test_api_versions() -> None:
    assert parse_api_version({"api-version": "2023-11-01"}) == "2023-11-01"
    assert parse_api_version({"API-Version": "2024-01-18-preview"}) == "2024-01-18-preview"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "MissingApiVersionParameter"),
        ({"api-version": ""}, "MissingApiVersionParameter"),
        ({"api-version": "2021-01-01"}, "UnsupportedApiVersionValue"),
        ({"api-version": "2023-11-01 "}, "UnsupportedApiVersionValue"),
        ({"api-version": "\ud800"}, "UnsupportedApiVersionValue"),
    ],
)
def test_wrong_api_versions(query: dict[str, str], code: str) -> None:
    with pytest.raises(RouterError) as caught:
        parse_api_version(query)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert "2023-11-01, 2024-01-18-preview" in caught.value.message


def test_of_a_repeated_parameter_the_last_counts() -> None:
    assert parse_query("a=1&A=2&b&api-version=x&API-Version=y&a=3;c") == {"a": "3;c", "b": "", "api-version": "y"}


def test_no_parameters_mean_everything() -> None:
    request = read_job_list({"api-version": "2023-11-01"}, JOBS, KEYS)
    assert (request.size, request.filter, request.position) == (100, JobFilter(), None)
    assert read_worker_list({}, WORKERS, KEYS).filter == WorkerFilter()


def test_job_filters() -> None:
    assert _job_filter(status="all") == JobFilter()
    assert _job_filter(status="ACTIVE").statuses == ACTIVE
    assert _job_filter(Status="pendingclassification").statuses == frozenset({JobStatus.PENDING_CLASSIFICATION})
    assert _job_filter(queueId="q", channelId="c", classificationPolicyId="p") == JobFilter(
        queue_id="q", channel_id="c", classification_policy_id="p"
    )
    noon = datetime(2024, 1, 31, 12, tzinfo=UTC)
    for text in ("2024-01-31T12:00:00Z", "2024-01-31T13:00:00+01:00", "2024-01-31T13:00:00 01:00"):
        assert _job_filter(scheduledBefore=text, scheduledAfter=text) == JobFilter(
            scheduled_before=noon, scheduled_after=noon
        )


def test_active_is_every_status_but_three() -> None:
    assert sorted(ACTIVE) == sorted(
        [
            "pendingClassification",
            "queued",
            "assigned",
            "classificationFailed",
            "completed",
            "pendingSchedule",
            "scheduled",
            "scheduleFailed",
            "waitingForActivation",
        ]
    )


def test_worker_filters() -> None:
    query = {"state": "Draining", "channelId": "c", "queueId": "q", "hasCapacity": "True", "MaxPageSize": "7"}
    request = read_worker_list(query, WORKERS, KEYS)
    assert request.filter == WorkerFilter(WorkerState.DRAINING, "c", "q", True)
    assert request.size == 7
    assert read_worker_list({"state": "all", "hasCapacity": "false"}, WORKERS, KEYS).filter == WorkerFilter()


def test_each_wrong_parameter_is_named() -> None:
    query = {"maxpagesize": "0", "status": "open", "queueId": ".", "scheduledBefore": "soon", "scheduledAfter": "x"}
    assert _problems(query) == ["maxpagesize", "status", "queueId", "scheduledBefore", "scheduledAfter"]
    assert _problems({"state": "idle", "hasCapacity": "1"}) == ["state", "hasCapacity"]


def test_an_empty_filter_is_none() -> None:
    filters = ("status", "queueId", "channelId", "classificationPolicyId", "scheduledBefore", "scheduledAfter")
    assert read_job_list(dict.fromkeys(filters, ""), JOBS, KEYS).filter == JobFilter()
    others = dict.fromkeys(("state", "queueId", "channelId", "hasCapacity"), "")
    assert read_worker_list(others, WORKERS, KEYS).filter == WorkerFilter()


@pytest.mark.parametrize("size", ["0", "1001", "-1", "1.5", "", "a", "\u0661", "9" * 5000, " 1", "\udfff"])
def test_page_sizes_out_of_range(size: str) -> None:
    assert _problems({"maxpagesize": size}) == ["maxpagesize"]


@pytest.mark.parametrize("size", ["1", "1000"])
def test_page_sizes_in_range(size: str) -> None:
    assert read_list({"maxpagesize": size}, QUEUES, KEYS).size == int(size)


def _follow(link: str) -> dict[str, str]:
    parts = urlsplit(link)
    assert not parts.scheme
    assert not parts.netloc
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def test_the_next_page_has_the_size_and_filters_of_the_first() -> None:
    first = read_job_list({"maxpagesize": "2", "status": "Queued", "queueId": "caf\u00e9"}, JOBS, KEYS)
    link = first.next_link(("after", "2"), KEYS)
    assert link is not None
    assert re.fullmatch(r"/routing/jobs\?continuationToken=[A-Za-z0-9_-]+", link)
    # What else a client sends along is ignored.
    query = {**_follow(link), "api-version": "2023-11-01", "maxpagesize": "999", "status": "nonsense"}
    second = read_job_list(query, JOBS, KEYS)
    assert (second.size, second.filter, second.position) == (2, first.filter, ("after", "2"))
    third = read_job_list(_follow(second.next_link(("after", "4"), KEYS) or ""), JOBS, KEYS)
    assert (third.size, third.filter, third.position) == (2, first.filter, ("after", "4"))
    assert first.next_link(None, KEYS) is None


def test_lists_below_a_resource() -> None:
    operation, path = BY_NAME["ExplainJob"], "/routing/jobs/a%2Fb/explain"
    link = read_list({}, operation, KEYS, path).next_link(("p", ""), KEYS)
    assert link is not None
    assert link.startswith(f"{path}?continuationToken=")
    assert read_list(_follow(link), operation, KEYS, path).position == ("p", "")
    with pytest.raises(RouterError):
        read_list(_follow(link), operation, KEYS, "/routing/jobs/other/explain")


@given(
    position=st.tuples(st.text(), st.text()),
    size=st.integers(1, 1000),
    filters=st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_tokens_round_trip(position: tuple[str, str], size: int, filters: dict[str, str]) -> None:
    token = PageToken("/routing/jobs", size, position, filters)
    text = seal_token(token, KEYS)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    assert open_token(text, "/routing/jobs", KEYS) == token


def test_a_token_holds_under_either_key() -> None:
    old = seal_token(PageToken("/routing/jobs", 1, ("p", "")), [KEYS[0]])
    assert open_token(old, "/routing/jobs", ["bmV3", KEYS[0]]).position == ("p", "")
    with pytest.raises(RouterError, match="no longer valid"):
        open_token(old, "/routing/jobs", ["bmV3"])


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    text = seal_token(PageToken("/routing/jobs", 100, ("posi", "tion"), {"queueId": "q"}), KEYS)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_").filter(lambda x: x != text[place]))
    with pytest.raises(RouterError) as caught:
        open_token(text[:place] + letter + text[place + 1 :], "/routing/jobs", KEYS)
    assert (caught.value.status, caught.value.code, caught.value.target) == (400, "BadRequest", "continuationToken")


@pytest.mark.parametrize(
    "content",
    [
        None, 1, "x", [], {}, [1], [1, "/routing/jobs"],
        [1, "/routing/jobs", 0, ["", ""], {}], [1, "/routing/jobs", 10**9, ["", ""], {}],
        [1, "/routing/jobs", "x", ["", ""], {}], [1, "/routing/jobs", 1, [], {}], [1, "/routing/jobs", 1, None, {}],
        [1, "/routing/jobs", 1, [1, 2], {}], [1, "/routing/jobs", 1, ["", ""], []],
        [1, "/routing/jobs", 1, ["", ""], {"status": 1}], [2, "/routing/jobs", 1, ["", ""], {}],
    ],
)  # fmt: skip
def test_what_a_key_holder_seals_is_not_believed(content: Any) -> None:
    good = seal_token(PageToken("/routing/jobs", 1, ("", "")), KEYS)
    assert sealed([1, "/routing/jobs", 1, ["", ""], {}], KEYS[0]) == good
    with pytest.raises(RouterError) as caught:
        open_token(sealed(content, KEYS[0]), "/routing/jobs", KEYS)
    assert (caught.value.status, caught.value.target) == (400, "continuationToken")


@given(st.text() | st.text(alphabet=string.ascii_letters + string.digits + "-_"))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(RouterError) as caught:
        open_token(text, "/routing/jobs", KEYS)
    assert caught.value.status == 400


def test_a_token_belongs_to_its_list() -> None:
    link = read_list({}, QUEUES, KEYS).next_link(("p", ""), KEYS) or ""
    with pytest.raises(RouterError, match="another list"):
        read_job_list(_follow(link), JOBS, KEYS)


@pytest.mark.parametrize("id", ["a", "x" * 256, "a:b", "a/b", "...", "\u00e9 #?%\\'\""])
def test_ids(id: str) -> None:
    assert parse_ids(BY_NAME["GetJob"], f"/routing/jobs/{quote(id, safe='')}") == (id,)


@pytest.mark.parametrize("id", [".", "..", "x" * 257, "a\0", "\ud800", "\x7f", "\x85", "a\tb"])
def test_wrong_ids(id: str) -> None:
    with pytest.raises(RouterError) as caught:
        parse_ids(BY_NAME["GetJob"], f"/routing/jobs/{quote(id, safe='', errors='surrogatepass')}")
    assert (caught.value.status, caught.value.code, caught.value.details[0].target) == (400, "BadRequest", "jobId")
