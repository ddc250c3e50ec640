"""Query parameters: the api-version, and what lists are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from router.errors import BadRequest, ErrorDetail
from router.models.enums import folded
from router.models.filters import JobFilter, WorkerFilter
from router.models.jobs import ACTIVE, JobStatus
from router.models.operations import API_VERSIONS, SUPPORTED_VERSIONS_HEADER, Operation
from router.models.types import check_id, parse_time
from router.models.workers import WorkerState
from router.wire.paging import MAX_PAGE_SIZE, PageToken, Position, open_token, seal_token
from router.wire.validate import refusal, shown

DEFAULT_PAGE_SIZE: Final = 100

#: The settings whose changes are told, and the grains of reports.
_SETTINGS: Final = ("ClassificationPolicy", "DistributionPolicy", "ExceptionPolicy", "Queue")
GRAINS: Final = ("15m", "1h", "1d")
_UTC: Final = ZoneInfo("UTC")

F = TypeVar("F")
T = TypeVar("T")


@dataclass(frozen=True)
class ListRequest(Generic[F]):
    """One page that a client asks for: how many, which ones, and from where (None: from the start)."""

    path: str
    size: int
    filter: F
    position: Position | None
    given: Mapping[str, str]

    def next_link(self, position: Position | None, keys: Sequence[str | bytes]) -> str | None:
        """The link to the page from `position` on; None (no position): this page is the last."""
        if position is None:
            return None
        token = seal_token(PageToken(self.path, self.size, position, self.given), keys)
        return f"{self.path}?continuationToken={token}"


def parse_api_version(query: Mapping[str, str]) -> str:
    """The api-version that is asked for, one of those supported."""
    given = _lower(query).get("api-version")
    if not given:
        raise BadRequest(
            f"The query parameter 'api-version' is missing. Supported are {SUPPORTED_VERSIONS_HEADER}.",
            code="MissingApiVersionParameter",
            target="api-version",
        )
    if given not in API_VERSIONS:
        raise BadRequest(
            f"The api-version {shown(given)} is not supported. Supported are {SUPPORTED_VERSIONS_HEADER}.",
            code="UnsupportedApiVersionValue",
            target="api-version",
        )
    return given


def read_job_list(
    query: Mapping[str, str], operation: Operation, keys: Sequence[str | bytes]
) -> ListRequest[JobFilter]:
    return _read(query, operation, keys, f"/{operation.route}", _job_filter)


def read_worker_list(
    query: Mapping[str, str], operation: Operation, keys: Sequence[str | bytes]
) -> ListRequest[WorkerFilter]:
    return _read(query, operation, keys, f"/{operation.route}", _worker_filter)


def read_list(
    query: Mapping[str, str], operation: Operation, keys: Sequence[str | bytes], path: str | None = None
) -> ListRequest[None]:
    """A list without filters. `path` is the encoded path where the route has parameters."""
    return _read(query, operation, keys, path or f"/{operation.route}", lambda _: None)


def read_live(
    query: Mapping[str, str], operation: Operation, keys: Sequence[str | bytes]
) -> ListRequest[tuple[str | None, datetime | None]]:
    """The queue that is asked for, and since when what has not changed may be left out."""
    return _read(
        query,
        operation,
        keys,
        f"/{operation.route}",
        lambda reader: (reader.filter("queueId", check_id), reader.filter("since", _time)),
    )


@dataclass(frozen=True)
class HistoryFilter:
    """What a timeline, a list of changes or a report is asked for."""

    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    id: str | None = None
    grain: str = "1h"
    zone: ZoneInfo = _UTC
    csv: bool = False
    queue_id: str | None = None
    worker_id: str | None = None


def read_history(
    query: Mapping[str, str], operation: Operation, keys: Sequence[str | bytes], path: str, default_size: int
) -> ListRequest[HistoryFilter]:
    """`path`: the encoded path. `default_size`: of a page."""
    return _read(query, operation, keys, path, _history_filter, default_size)


def read_time(query: Mapping[str, str], name: str) -> datetime | None:
    """One time that may be asked for. Raises BadRequest."""
    reader = _Reader(_lower(query))
    found = reader.filter(name, _time)
    if reader.problems:
        raise refusal(reader.problems)
    return found


class _Reader:
    """Reads parameters and collects what is wrong with them."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.problems: list[ErrorDetail] = []

    def filter(self, name: str, parse: Callable[[str], T]) -> T | None:
        """An empty filter is none."""
        return self.read(name, parse) if self.given.get(name) else None

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self.given.get(name)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            message = f"The query parameter '{name}' {error}, not {shown(text)}."
            self.problems.append(ErrorDetail("InvalidValue", message, name))
            return None


def _read(
    query: Mapping[str, str],
    operation: Operation,
    keys: Sequence[str | bytes],
    path: str,
    read_filter: Callable[[_Reader], F],
    default_size: int = DEFAULT_PAGE_SIZE,
) -> ListRequest[F]:
    lower = _lower(query)
    text = lower.get("continuationtoken")
    if text is not None:
        token = open_token(text, path, keys)
        return ListRequest(path, token.size, read_filter(_Reader(token.filters)), token.position, token.filters)
    given = {name: lower[name.lower()] for name in operation.query if name.lower() in lower}
    reader = _Reader(given)
    size = reader.read("maxpagesize", _page_size)
    wanted = read_filter(reader)
    if reader.problems:
        raise refusal(reader.problems)
    filters = {name: value for name, value in given.items() if name != "maxpagesize"}
    return ListRequest(path, size or default_size, wanted, None, filters)


def _job_filter(reader: _Reader) -> JobFilter:
    return JobFilter(
        statuses=reader.filter("status", _statuses),
        queue_id=reader.filter("queueId", check_id),
        channel_id=reader.filter("channelId", check_id),
        classification_policy_id=reader.filter("classificationPolicyId", check_id),
        scheduled_before=reader.filter("scheduledBefore", _time),
        scheduled_after=reader.filter("scheduledAfter", _time),
    )


def _worker_filter(reader: _Reader) -> WorkerFilter:
    return WorkerFilter(
        state=reader.filter("state", _state),
        channel_id=reader.filter("channelId", check_id),
        queue_id=reader.filter("queueId", check_id),
        has_capacity=reader.filter("hasCapacity", _flag) or False,
    )


def _history_filter(reader: _Reader) -> HistoryFilter:
    since, until = reader.filter("from", _time), reader.filter("to", _time)
    if since is not None and until is not None and since >= until:
        message = "The query parameter 'from' must be a time before 'to'."
        reader.problems.append(ErrorDetail("InvalidValue", message, "from"))
    return HistoryFilter(
        since=since,
        until=until,
        kind=reader.filter("kind", _one_of(_SETTINGS)),
        id=reader.filter("id", check_id),
        grain=reader.filter("grain", _one_of(GRAINS)) or "1h",
        zone=reader.filter("tz", _zone) or _UTC,
        csv=(reader.filter("format", _one_of(("json", "csv"))) or "json") == "csv",
        queue_id=reader.filter("queueId", check_id),
        worker_id=reader.filter("workerId", check_id),
    )


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        found = next((name for name in names if folded(name) == folded(text)), None)
        if found is None:
            raise ValueError(f"must be one of {', '.join(names)}")
        return found

    return parse


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be an IANA time zone, such as Europe/Berlin") from None


def _lower(query: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in query.items()}


_JOB_STATUSES: Final = {folded(status): status for status in JobStatus}
_WORKER_STATES: Final = {folded(state): state for state in WorkerState}


def _statuses(text: str) -> frozenset[JobStatus] | None:
    if text.lower() == "all":
        return None
    if text.lower() == "active":
        return ACTIVE
    if (status := _JOB_STATUSES.get(folded(text))) is None:
        raise ValueError(f"must be one of {', '.join(JobStatus)}, active, all")
    return frozenset({status})


def _state(text: str) -> WorkerState | None:
    if text.lower() == "all":
        return None
    if (state := _WORKER_STATES.get(folded(text))) is None:
        raise ValueError(f"must be one of {', '.join(WorkerState)}, all")
    return state


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _time(text: str) -> datetime:
    # A `+` that a client did not encode arrives as a space.
    return parse_time(f"{text[:-6]}+{text[-5:]}" if text[-6:-5] == " " else text)


def _page_size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_PAGE_SIZE and len(text) < 9):
        raise ValueError(f"must be an integer from 1 to {MAX_PAGE_SIZE}")
    return int(text)
