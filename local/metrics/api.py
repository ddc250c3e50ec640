"""The Metrics page's routes: its files, and the JSON that it draws from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast, get_args

from aiohttp import web

from local.metrics import words
from local.metrics.answers import answers
from local.metrics.history import BUCKET_SECONDS, HOUR, KEPT_SECONDS, Aggregation, History, Tally
from router.telemetry import names

PREFIX: Final = "/metrics-explorer"
HISTORY: Final = web.AppKey("history", History)

_STATIC: Final = Path(__file__).parent / "static"
_AGGREGATIONS: Final = get_args(Aggregation)
_GRAINS: Final = {900: (10, 60), HOUR: (10, 60, 300), 6 * HOUR: (60, 300, 900), 24 * HOUR: (300, 900, 3600)}
"""The windows, in seconds, and how fine the steps of each may be."""
_RECENT_SECONDS: Final = 60
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def routes() -> list[web.RouteDef]:
    return [
        web.get(PREFIX, _page),
        web.get(f"{PREFIX}/", _page),
        web.get(f"{PREFIX}/static/{{path:.+}}", _file),
        web.get(f"{PREFIX}/api/answers", _answers),
        web.get(f"{PREFIX}/api/metrics", _metrics),
        web.get(f"{PREFIX}/api/chart", _chart),
        web.get(f"{PREFIX}/api/totals", _totals),
    ]


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "index.html", headers=_HEADERS)


async def _file(request: web.Request) -> web.FileResponse:
    path = (_STATIC / request.match_info["path"]).resolve()
    if not path.is_relative_to(_STATIC) or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=_HEADERS)


async def _answers(request: web.Request) -> web.Response:
    return web.json_response(answers(request.app[HISTORY], _window(request)), headers=_HEADERS)


def _window(request: web.Request) -> int:
    window = request.query.get("window", str(HOUR))
    if window not in {str(known) for known in _GRAINS}:
        raise web.HTTPBadRequest(text=f"window must be one of {', '.join(map(str, _GRAINS))} (seconds)")
    return int(window)


async def _metrics(request: web.Request) -> web.Response:
    """Every metric that the router has, and any other that came in, with the values of its dimensions."""
    history = request.app[HISTORY]
    seen = history.metrics()
    listed = sorted(names.METRICS | seen.keys(), key=lambda name: (name != names.API_REQUESTS, name))
    return web.json_response(
        {
            "seconds": KEPT_SECONDS,
            "droppedPoints": history.dropped,
            "metrics": [_described(history, name, seen.get(name, {})) for name in listed],
        },
        headers=_HEADERS,
    )


def _described(history: History, name: str, dimensions: dict[str, list[str]]) -> dict[str, Any]:
    if name in names.GAUGES:
        kind, default, (unit, description) = "gauge", "max", names.GAUGES[name]
    elif name in names.HISTOGRAMS:
        kind, default, (unit, description) = "histogram", "avg", names.HISTOGRAMS[name]
    else:
        kind, default, (unit, description) = "counter", "rate", names.COUNTERS.get(name, ("", ""))
    if name == names.API_REQUESTS:
        dimensions = {key: dimensions.get(key, []) for key in names.REQUEST_DIMENSIONS}
    last_minute = history.recent(name, _RECENT_SECONDS)
    return {
        "name": name,
        "title": words.title(name),
        "namespace": history.namespace(name) or names.METER,
        "kind": kind,
        "unit": unit,
        "description": description,
        "defaultAggregation": default,
        "dimensions": dimensions,
        "dimensionTitles": {dimension: words.dimension(dimension) for dimension in dimensions},
        "lastMinute": last_minute.value(cast(Aggregation, default), history.measured(_RECENT_SECONDS)),
    }


async def _chart(request: web.Request) -> web.Response:
    query = request.query
    aggregation = query.get("aggregation", "count")
    window = _window(request)
    grain = query.get("grain", "60" if 60 in _GRAINS[window] else str(_GRAINS[window][0]))
    if aggregation not in _AGGREGATIONS:
        raise web.HTTPBadRequest(text=f"aggregation must be one of {', '.join(_AGGREGATIONS)}")
    if grain not in {str(known) for known in _GRAINS[window]}:
        raise web.HTTPBadRequest(text=f"grain must be one of {', '.join(map(str, _GRAINS[window]))} (seconds)")
    filters: dict[str, set[str]] = {}
    for text in query.getall("filter", []):
        key, equals, value = text.partition("=")
        if not equals:
            raise web.HTTPBadRequest(text="filter must be DIMENSION=VALUE")
        filters.setdefault(key, set()).add(value)
    chart = request.app[HISTORY].chart(
        query.get("metric", names.API_REQUESTS),
        cast(Aggregation, aggregation),
        query.get("split") or None,
        {key: frozenset(values) for key, values in filters.items()},
        int(grain),
        window,
    )
    lines = [
        {"label": line.label, "values": line.values, **_figures(line.whole, chart.seconds)} for line in chart.lines
    ]
    return web.json_response(
        {
            "times": chart.times,
            "lines": lines,
            "grain": int(grain),
            "grains": _GRAINS[window],
            "window": window,
            "bucket": BUCKET_SECONDS,
        },
        headers=_HEADERS,
    )


async def _totals(request: web.Request) -> web.Response:
    metric = request.query.get("metric", names.API_REQUESTS)
    series = [
        {"dimensions": dimensions, **_figures(whole)} for dimensions, whole in request.app[HISTORY].totals(metric)
    ]
    return web.json_response(
        {"metric": metric, "namespace": request.app[HISTORY].namespace(metric), "series": series}, headers=_HEADERS
    )


def _figures(whole: Tally, seconds: float = HOUR) -> dict[str, float | None]:
    return {aggregation: whole.value(aggregation, seconds) for aggregation in _AGGREGATIONS}
