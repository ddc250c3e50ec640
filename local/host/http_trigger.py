"""HTTP triggers: from the request on the wire to azure.functions.HttpRequest, and back from HttpResponse."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web
from azure.functions import HttpResponse
from azure.functions.http import HttpRequest
from multidict import CIMultiDict

from local.host.bodies import Bodies
from local.host.index import HTTP_TRIGGER, HostedFunction, IndexingError
from local.host.invoke import Invoker
from local.host.routes import Route, Router, decode_path, make_route, unreachable

log = logging.getLogger("local.host")

_OURS: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


class HttpTriggers:
    """Serves every HTTP function of the app."""

    def __init__(self, functions: Iterable[HostedFunction], invoker: Invoker, route_prefix: str) -> None:
        self._invoker = invoker
        self._functions = {function.name: function for function in functions if function.trigger == HTTP_TRIGGER}
        self.routes: Final[Sequence[Route]] = [
            make_route(
                function.name,
                function.settings.get("route") or function.name,
                _methods(function.settings.get("methods")),
                route_prefix,
            )
            for function in self._functions.values()
        ]
        if hidden := unreachable(self.routes):
            raise IndexingError("\n".join(hidden))
        self._router = Router(self.routes)
        self._bodies = Bodies()

    async def serve(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        """`target` is the request's path and query as sent."""
        raw_path, _, query = target.partition("?")
        path = decode_path(raw_path)
        if path is None:
            return web.Response(status=400)
        found = self._router.find(request.method, path)
        if found is None:
            return web.Response(status=404)
        name, values = found
        function = self._functions[name]
        headers = _headers(request)
        body = await self._bodies.read(request)
        if isinstance(body, web.Response):
            return body
        http_request = HttpRequest(
            method=request.method,
            url=f"{request.scheme}://{headers.get('host', '')}{target}",
            headers=headers,
            params=parse_query(query) if query else {},
            route_params=values,
            body_type="bytes",
            body=body,
        )
        try:
            returned = await self._invoker.invoke(function, http_request, headers)
            return encode_response(returned)
        except Exception:
            log.exception("function %s failed", name)
            return web.Response(status=500)


def _methods(methods: Any) -> list[str] | None:
    return [getattr(method, "value", method) for method in methods] if methods else None


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


def encode_response(returned: object) -> web.Response:
    """What a function returned, as a response; of a repeated header the last wins, except Set-Cookie."""
    if returned is None:
        return web.Response(status=204)
    if isinstance(returned, str):
        return web.Response(body=returned.encode(), content_type="text/plain", charset="utf-8")
    if not isinstance(returned, HttpResponse):
        raise TypeError(f"an HTTP function must return HttpResponse or str, not {type(returned).__name__}")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in returned.headers.items():
        key = name.lower()
        if key == "set-cookie":
            headers.add(name, value)
        elif key not in _OURS:
            headers[name] = value
    if "content-type" not in headers:
        charset = f"; charset={returned.charset}" if returned.mimetype.startswith("text/") else ""
        headers["content-type"] = returned.mimetype + charset
    return web.Response(status=returned.status_code, body=returned.get_body(), headers=headers)
