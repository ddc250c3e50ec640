"""HTTP triggers: from the request on the wire to what a worker is handed, and back from its answer."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from local.host.bodies import Bodies
from local.host.index import HTTP_TRIGGER, HostedFunction, IndexingError
from local.host.pace import Pace, Patience
from local.host.routes import Route, Router, decode_path, has_dot_segments, make_route, rebuild_path, unreachable
from local.host.worker import FunctionFailed, HttpAnswer, HttpCall, Worker

log = logging.getLogger("local.host")

#: Hands over the address as the real host does, decoded and written anew. Otherwise as it was sent, which on Azure the
#: front end tells.
_REBUILDS: Final = os.environ.get("LOCAL_HOST_URL") == "rebuilt"
_OURS: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`extensions.http` of host.json; 0 is no limit."""

    route_prefix: str
    concurrent: int = 0
    outstanding: int = 0


class HttpTriggers:
    """Serves every HTTP function of the app."""

    def __init__(self, worker: Worker, options: HttpOptions, ahead: Pace | None = None) -> None:
        self._worker = worker
        self._outstanding = 0
        self._most_outstanding = options.outstanding
        self._slots: AbstractAsyncContextManager[object] = (
            asyncio.Semaphore(options.concurrent) if options.concurrent else nullcontext()
        )
        self._functions: Final[dict[str, HostedFunction]] = {
            function.name: function for function in worker.functions if function.trigger == HTTP_TRIGGER
        }
        self.routes: Final[Sequence[Route]] = [
            make_route(
                function.name,
                function.settings.get("route") or function.name,
                function.settings.get("methods"),
                options.route_prefix,
            )
            for function in self._functions.values()
        ]
        if hidden := unreachable(self.routes):
            raise IndexingError("\n".join(hidden))
        self._router = Router(self.routes)
        self._bodies = Bodies(ahead=ahead)

    async def serve(
        self, request: web.BaseRequest, target: str, patience: Patience | None = None
    ) -> web.StreamResponse:
        """`target` is the request's path and query as sent."""
        raw_path, mark, query = target.partition("?")
        path = decode_path(raw_path)
        if path is None:
            return web.Response(status=400)
        found = self._router.find(request.method, path)
        if found is None:
            return web.Response(status=404)
        if _REBUILDS or has_dot_segments(raw_path):
            target = f"{rebuild_path(path)}{mark}{query}"
        if self._most_outstanding and self._outstanding >= self._most_outstanding:
            return web.Response(status=429)
        self._outstanding += 1
        try:
            async with self._slots:
                return await self._call(request, target, query, patience, *found)
        finally:
            self._outstanding -= 1

    async def _call(
        self,
        request: web.BaseRequest,
        target: str,
        query: str,
        patience: Patience | None,
        name: str,
        values: dict[str, str],
    ) -> web.StreamResponse:
        function = self._functions[name]
        headers = _headers(request)
        # Of a body without Content-Length the host reads nothing.
        body = await self._bodies.read(request, patience) if request.content_length else b""
        if isinstance(body, web.Response):
            return body
        call = HttpCall(
            method=request.method,
            url=f"{request.scheme}://{headers.get('host', '')}{target}",
            headers=headers,
            query=parse_query(query) if query else {},
            route=values,
            body=body,
        )
        try:
            return encode_answer(await self._worker.call_http(function, call))
        except FunctionFailed as error:
            log.error("function %s failed: %s\n%s", name, error, error.trace)
            return web.Response(status=500)


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """Lower-case names; repeated ones are joined by a comma."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


def parse_query(query: str) -> dict[str, str]:
    """Query parameters: names without regard to case, repeated ones joined, empty ones left out."""
    params: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in parse_qsl(query):
        key = spelled.setdefault(name.lower(), name)
        params[key] = f"{params[key]},{value}" if key in params else value
    return params


def encode_answer(answer: HttpAnswer) -> web.Response:
    """What a worker answered, on the wire; of a repeated header the last wins."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in answer.headers.items():
        if name.lower() not in _OURS:
            headers[name] = value
    for cookie in answer.cookies:
        headers.add("Set-Cookie", cookie)
    return web.Response(status=answer.status, body=answer.body, headers=headers)
