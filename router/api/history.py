"""Handlers of timelines, changes and reports (beyond ACS; docs/history.md)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import quote

from router.api.call import Call, Reply
from router.engine.columns import QUEUE_COLUMNS, csv_of
from router.errors import BadRequest, ErrorDetail
from router.models.types import format_time, parse_time
from router.offload import off_loop_if
from router.replay.names import FIGURES
from router.usecases import reports, timelines
from router.usecases.reports import MOST_DAYS, Asked, Grain, QueueSlot, end_of
from router.usecases.timelines import Span
from router.wire import documents
from router.wire.paging import unknown_position
from router.wire.query import DEFAULT_PAGE_SIZE, HistoryFilter, ListRequest, read_history

_REPORT_ROWS: Final = 1000
#: Made in less time than a turn of a thread takes.
_ROWS_AT_ONCE: Final = 100
#: Times that have days before and after them in every time zone.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
#: No report has so many rows as this has digits.
_LONGEST_COUNT: Final = 10
#: What a report of shadow policies spans.
_A_WEEK: Final = timedelta(days=7)
_MOST_SHADOWED: Final = timedelta(days=400)
_OF_SHADOWS: Final = (
    "from",
    "to",
    "queueId",
    "distributionPolicyId",
    "candidatePolicyId",
    "jobs",
    "replications",
    "thresholdSeconds",
)
CSV: Final = "text/csv; charset=utf-8"


async def job_timeline(call: Call) -> Reply:
    request = _request(call)
    found, after = await timelines.of_a_job(call.parts, call.id, request.size, _behind(request))
    return _page(call, request, found, after)


async def worker_timeline(call: Call) -> Reply:
    request = _request(call)
    found, after = await timelines.of_a_worker(
        call.parts, call.id, _span(request.filter), request.size, _behind(request)
    )
    return _page(call, request, found, after)


async def changes(call: Call) -> Reply:
    request = _request(call)
    wanted = request.filter
    found, after = await timelines.of_settings(
        call.parts, _span(wanted), wanted.kind, wanted.id, request.size, _behind(request)
    )
    return _page(call, request, found, after)


async def everything(call: Call) -> Reply:
    request = _request(call)
    found, after = await timelines.of_all(call.parts, _span(request.filter), request.size, _behind(request))
    return _page(call, request, found, after)


async def queue_report(call: Call) -> Reply:
    request = _request(call, _REPORT_ROWS)
    asked = _asked(call, request.filter)
    if request.filter.csv:
        slots = await reports.of_queues(call.parts, asked, request.filter.queue_id)
        return _csv_reply(await off_loop_if(len(slots) > _ROWS_AT_ONCE, _queue_csv, slots, asked))
    # A page begins with a slot, behind so many of its rows: nothing before that is read again.
    begin, _, passed = (_behind(request) or "").partition("~")
    if begin:
        asked = replace(asked, since=max(asked.since, _time(begin)))
    start = _count(passed)
    end = start + request.size
    slots = await reports.of_queues(call.parts, asked, request.filter.queue_id, end + 1)
    shown = slots[start:end]
    after = None
    if len(slots) > end:
        following = slots[end].start
        after = f"{format_time(following)}~{sum(one.start == following for one in slots[:end])}"
    made = await off_loop_if(len(shown) > _ROWS_AT_ONCE, reports.documents, shown, asked)
    return _page(call, request, made, after)


async def worker_report(call: Call) -> Reply:
    request = _request(call, _REPORT_ROWS)
    asked = _asked(call, request.filter)
    rows = await reports.of_workers(call.parts, asked, request.filter.worker_id)
    if request.filter.csv:
        return _csv_reply(await off_loop_if(len(rows) > _ROWS_AT_ONCE, _csv, rows))
    start = _count(_behind(request))
    end = start + request.size
    return _page(call, request, rows[start:end], str(end) if len(rows) > end else None)


async def shadow_report(call: Call) -> Reply:
    """What candidates for distribution policies would have done, by day; of the last week where nothing is said."""
    request = _request(call, _REPORT_ROWS)
    wanted = request.filter
    _check_times(wanted)
    until = wanted.until or call.parts.clock.now()
    since = wanted.since or until - _A_WEEK
    if until - since > _MOST_SHADOWED:
        message = f"A report of shadow policies spans {_MOST_SHADOWED.days} days at most."
        raise BadRequest(message, target="from", details=[ErrorDetail("InvalidValue", message, "from")])
    rows = [dict(one) for one in await call.parts.shadows.of(since, until, wanted.queue_id)]
    if wanted.csv:
        return _csv_reply(_csv([_flat(one) for one in rows]))
    start = _count(_behind(request))
    end = start + request.size
    return _page(call, request, rows[start:end], str(end) if len(rows) > end else None)


def _request(call: Call, size: int = DEFAULT_PAGE_SIZE) -> ListRequest[HistoryFilter]:
    path = f"/{call.operation.route}"
    for id in call.ids:
        start, _, rest = path.partition("{")
        path = f"{start}{quote(id, safe='')}{rest.partition('}')[2]}"
    return read_history(call.query, call.operation, call.token_keys, path, size)


def _behind(request: ListRequest[HistoryFilter]) -> str | None:
    return request.position[1] if request.position is not None else None


def _count(text: str | None) -> int:
    """So many rows are on former pages. Raises BadRequest."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST_COUNT):
        raise unknown_position()
    return int(text)


def _time(text: str) -> datetime:
    """Where a page begins. Raises BadRequest."""
    try:
        return parse_time(text)
    except ValueError:
        raise unknown_position() from None


def _span(wanted: HistoryFilter) -> Span:
    return Span(wanted.since, wanted.until)


def _page(call: Call, request: ListRequest[HistoryFilter], found: Sequence[dict[str, Any]], after: str | None) -> Reply:
    link = request.next_link(("", after) if after is not None else None, call.token_keys)
    return Reply(body=documents.page_body(found, link))


def _asked(call: Call, wanted: HistoryFilter) -> Asked:
    """From the beginning of the day on, until now, where nothing is said. Raises BadRequest."""
    now = call.parts.clock.now()
    _check_times(wanted)
    until = wanted.until or now
    local = until.astimezone(wanted.zone)
    since = wanted.since or local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(now.tzinfo)
    grain = cast(Grain, wanted.grain)
    if until - since > timedelta(days=MOST_DAYS[grain]):
        message = f"A report with grain {grain} spans {MOST_DAYS[grain]} days at most."
        raise BadRequest(message, target="from", details=[ErrorDetail("InvalidValue", message, "from")])
    return Asked(since, until, grain, wanted.zone)


def _check_times(wanted: HistoryFilter) -> None:
    """Raises BadRequest."""
    for name, at in (("from", wanted.since), ("to", wanted.until)):
        if at is not None and not _FIRST <= at <= _LAST:
            message = f"A report is of times from {_FIRST.year} to {_LAST.year}."
            raise BadRequest(message, target=name, details=[ErrorDetail("InvalidValue", message, name)])


def _csv_reply(text: str) -> Reply:
    return Reply(content=text.encode("utf-8", "replace"), headers={"Content-Type": CSV})


def _queue_csv(slots: Sequence[QueueSlot], asked: Asked) -> str:
    """As `_csv`, of columns that are text already."""
    if not slots:
        return ""
    times: dict[datetime, str] = {}
    names: dict[tuple[str, str], str] = {}
    lines = [",".join(("from", "to", "queueId", "channelId", *QUEUE_COLUMNS))]
    for slot in slots:
        when = times.get(slot.start)
        if when is None:
            times[slot.start] = when = f"{format_time(slot.start)},{format_time(end_of(slot.start, asked))}"
        place = (slot.queue_id, slot.channel_id)
        name = names.get(place)
        if name is None:
            written = io.StringIO()
            csv.writer(written, lineterminator="").writerow(map(_cell, place))
            names[place] = name = written.getvalue()
        lines.append(f"{when},{name},{csv_of(slot.text)}")
    return "\r\n".join([*lines, ""])


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Columns as the rows have them; what is not plain is JSON."""
    written = io.StringIO()
    if rows:
        writer = csv.writer(written)
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return written.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A column for each figure, as it was, as it would have been, and the difference with half of its interval."""
    found: dict[str, Any] = {name: row.get(name) for name in _OF_SHADOWS}
    for name in FIGURES:
        one = row.get("figures", {}).get(name, {})
        found |= {f"{name}{part.capitalize()}": one.get(part) for part in ("before", "after", "difference", "half95")}
    return found | {"sentence": row.get("sentence"), "notPredicted": row.get("notPredicted")}


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"  # a spreadsheet would run it
    return "" if value is None else value
