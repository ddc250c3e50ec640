"""Event Grid triggers: the webhook that Event Grid delivers to, `/runtime/webhooks/eventgrid`."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from typing import Any, Final

from aiohttp import web

from local.host.bodies import Bodies
from local.host.failures import Failures
from local.host.index import EVENT_GRID_TRIGGER, HostedFunction
from local.host.json_net import reparsed
from local.host.worker import FunctionFailed, Worker

log = logging.getLogger("local.host")

PATH: Final = "/runtime/webhooks/eventgrid"
_CONCURRENCY: Final = 64


class EventGridTriggers:
    """Serves the webhook for every Event Grid function of the app."""

    def __init__(self, worker: Worker, system_key: str) -> None:
        self._worker = worker
        self._functions: Final[dict[str, HostedFunction]] = {
            function.name: function for function in worker.functions if function.trigger == EVENT_GRID_TRIGGER
        }
        self._key = system_key.encode()
        self._slots = asyncio.Semaphore(_CONCURRENCY)
        self._bodies = Bodies()
        self._failures = Failures()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        query = request.query
        given = query.get("code") or request.headers.get("x-functions-key") or ""
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key):
            return web.Response(status=401)
        name = query.get("functionName", "")
        function = self._functions.get(name)
        if function is None:
            return web.Response(status=404, text=f"cannot find function: {name[:100]!a}")
        if request.method == "OPTIONS":
            # The handshake of CloudEvents webhooks.
            origin = request.headers.get("WebHook-Request-Origin", "*")
            if not origin.isascii() or not origin.isprintable():
                return web.Response(status=400, text="the origin is no host name")
            return web.Response(headers={"WebHook-Allowed-Origin": origin})
        if request.method != "POST":
            return web.Response(status=400)
        content = await self._bodies.read(request)
        if isinstance(content, web.Response):
            return content
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            return web.Response(status=500)
        events = body if isinstance(body, list) else [body]
        if not all(isinstance(event, dict) for event in events):
            return web.Response(status=400, text="the body is neither an event nor a list of events")
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "subscriptionvalidation":
            return _answer_validation(events)
        if kind == "unsubscribe":
            return web.Response(status=202)
        if kind == "notification":
            return await self._deliver(function, events)
        return web.Response(status=400, text="the header aeg-event-type is missing or unknown")

    async def _deliver(self, function: HostedFunction, events: list[dict[str, Any]]) -> web.Response:
        """Each event is an invocation of its own; one failure makes Event Grid deliver the request again."""
        results = await asyncio.gather(*(self._invoke(function, event) for event in events))
        failures = [result for result in results if result is not None]
        if failures:
            return web.Response(status=500, text=failures[0])
        return web.Response(status=202)

    async def _invoke(self, function: HostedFunction, event: dict[str, Any]) -> str | None:
        """The failure's message, or None."""
        async with self._slots:
            try:
                await self._worker.call_json(function, json.dumps(reparsed(event)))
            except FunctionFailed as error:
                self._failures.tell(function.name, error, f"for event {event.get('id')}")
                return str(error)
        return None


def _answer_validation(events: list[dict[str, Any]]) -> web.Response:
    data = events[0].get("data") if events else None
    if isinstance(data, str):
        try:
            data = json.loads(data)  # CloudEvents carry it as text
        except (ValueError, RecursionError):
            data = None
    code = data.get("validationCode") if isinstance(data, dict) else None
    if not isinstance(code, str):
        return web.Response(status=400, text="there is no validationCode")
    return web.json_response({"validationResponse": code})
