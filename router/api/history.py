"""Handlers of timelines, changes and reports (beyond ACS; docs/history.md)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import quote

from router.api.call import Call, Reply
from router.errors import BadRequest, ErrorDetail
from router.usecases import reports, timelines
from router.usecases.reports import MOST_DAYS, Asked, Grain
from router.usecases.timelines import Span
from router.wire import documents
from router.wire.query import DEFAULT_PAGE_SIZE, HistoryFilter, ListRequest, read_history

_REPORT_ROWS: Final = 1000
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
    return _rows(call, request, await reports.of_queues(call.parts, asked, request.filter.queue_id))


async def worker_report(call: Call) -> Reply:
    request = _request(call, _REPORT_ROWS)
    asked = _asked(call, request.filter)
    return _rows(call, request, await reports.of_workers(call.parts, asked, request.filter.worker_id))


def _request(call: Call, size: int = DEFAULT_PAGE_SIZE) -> ListRequest[HistoryFilter]:
    path = f"/{call.operation.route}"
    for id in call.ids:
        start, _, rest = path.partition("{")
        path = f"{start}{quote(id, safe='')}{rest.partition('}')[2]}"
    return read_history(call.query, call.operation, call.token_keys, path, size)


def _behind(request: ListRequest[HistoryFilter]) -> str | None:
    return request.position[1] if request.position is not None else None


def _span(wanted: HistoryFilter) -> Span:
    return Span(wanted.since, wanted.until)


def _page(call: Call, request: ListRequest[HistoryFilter], found: Sequence[dict[str, Any]], after: str | None) -> Reply:
    link = request.next_link(("", after) if after is not None else None, call.token_keys)
    return Reply(body=documents.page_body(found, link))


def _asked(call: Call, wanted: HistoryFilter) -> Asked:
    """From the beginning of the day on, until now, where nothing is said. Raises BadRequest."""
    now = call.parts.clock.now()
    until = wanted.until or now
    local = until.astimezone(wanted.zone)
    since = wanted.since or local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(now.tzinfo)
    grain = cast(Grain, wanted.grain)
    if until - since > timedelta(days=MOST_DAYS[grain]):
        message = f"A report with grain {grain} spans {MOST_DAYS[grain]} days at most."
        raise BadRequest(message, target="from", details=[ErrorDetail("InvalidValue", message, "from")])
    return Asked(since, until, grain, wanted.zone)


def _rows(call: Call, request: ListRequest[HistoryFilter], rows: Sequence[dict[str, Any]]) -> Reply:
    if request.filter.csv:
        return Reply(content=_csv(rows).encode("utf-8", "replace"), headers={"Content-Type": CSV})
    start = int(_behind(request) or 0)
    end = start + request.size
    return _page(call, request, rows[start:end], str(end) if len(rows) > end else None)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Columns as the rows have them; what is not plain is JSON."""
    written = io.StringIO()
    if rows:
        writer = csv.writer(written)
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"  # a spreadsheet would run it
    return "" if value is None else value
