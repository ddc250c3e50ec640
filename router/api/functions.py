"""The HTTP functions: one for each operation, and health, OpenAPI and the fallback beside them."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import azure.functions as func

from router.api import console
from router.api.call import Reply, parse_ids
from router.api.gate import JSON, Gate, every_answer, headers_of, refusal
from router.errors import Busy, NotFound, RouterError
from router.ids import Ids
from router.models.operations import OPERATIONS, Operation
from router.offload import off_loop
from router.outages import Health, is_told
from router.settings import SettingsError
from router.storage.port import StorageUnavailable
from router.telemetry.requests import count_request
from router.version import VERSION
from router.wire.documents import json_bytes

_log = logging.getLogger(__name__)

_HEALTH = "health"
_DOCUMENT = "openapi.json"
_OTHERS = (_HEALTH, _DOCUMENT)


class App(Protocol):
    """What the functions need of the composition root."""

    async def gate(self) -> Gate: ...

    async def health(self) -> Health: ...

    def console(self) -> console.Console: ...


def http_functions(app: App) -> func.Blueprint:
    """A blueprint with all HTTP functions, named as the operations are."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    for operation in OPERATIONS:
        _register(blueprint, operation.name, operation.route, _served(operation.method), _operation(app, operation))
    _register(blueprint, "Health", _HEALTH, _served("GET"), _health(app))
    _register(blueprint, "OpenApi", _DOCUMENT, _served("GET"), _openapi(app))
    _register(blueprint, console.OPERATION, console.ROUTE, _served("GET"), _console(app))
    # The host tries routes in the alphabetical order of function names: this one must come last. It takes every
    # method, also those that nobody has heard of.
    _register(blueprint, "ZUnknownRoute", "{*path}", None, _fallback(app))
    return blueprint


def _served(method: str) -> tuple[str, ...]:
    """The host takes no HEAD to a function that has only GET."""
    return ("GET", "HEAD") if method == "GET" else (method,)


Endpoint = Callable[..., Awaitable[func.HttpResponse]]


def _register(
    blueprint: func.Blueprint, name: str, route: str, methods: tuple[str, ...] | None, endpoint: Endpoint
) -> None:
    endpoint.__name__ = name  # the worker indexes functions by name
    trigger = blueprint.route(route=route, methods=methods, auth_level=func.AuthLevel.ANONYMOUS)
    blueprint.function_name(name)(trigger(endpoint))


def _operation(app: App, operation: Operation) -> Endpoint:
    async def serve(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        try:
            gate = await app.gate()
        except Exception as error:
            count_request(operation.name, None, 503)
            return unavailable(error, req)
        return await gate.serve(operation, req, context.trace_context.trace_parent)

    return serve


def _health(app: App) -> Endpoint:
    async def health(req: func.HttpRequest) -> func.HttpResponse:
        found = await app.health()
        told: dict[str, Any] = {"status": found.status, "message": found.message, "version": VERSION}
        if found.silent:
            told["notAnswering"] = [
                {"part": part, "seconds": round(seconds)} for part, seconds in sorted(found.silent.items())
            ]
        return func.HttpResponse(
            json_bytes(told),
            status_code=200 if found.ready else 503,
            headers=every_answer(headers_of(req), Ids().guid()),
            mimetype=JSON,
        )

    return health


def unavailable(error: Exception, req: func.HttpRequest) -> func.HttpResponse:
    """The answer while the app cannot be put together: settings are wrong, storage does not answer, or it fails."""
    unforeseen = not isinstance(error, SettingsError | StorageUnavailable)
    if not is_told(error):
        _log.error("The router is not ready: %s", error, exc_info=error if unforeseen else None)
    refused = Busy("The router is not ready. Its log and /health tell why.", retry_after=5)
    headers = {**every_answer(headers_of(req), Ids().guid()), **refused.headers, "x-ms-error-code": refused.code}
    body = json_bytes(refused.to_wire(_path(req)))
    return func.HttpResponse(body, status_code=refused.status, headers=headers, mimetype=JSON)


def _path(req: func.HttpRequest) -> str:
    try:
        return str(urlsplit(req.url).path)
    except ValueError:  # a host that is none, such as `[::1`
        return "/"


def _openapi(app: App) -> Endpoint:
    async def serve(req: func.HttpRequest) -> func.HttpResponse:
        try:
            gate = await app.gate()
        except Exception as error:
            return unavailable(error, req)
        try:
            await gate.admit(req)
            reply = Reply(content=await openapi())
        except Exception as error:
            reply = refusal(error, "OpenApi", _path(req))
        return gate.render(reply, headers_of(req))

    return serve


async def openapi() -> bytes:
    """The OpenAPI document."""
    return await off_loop(_openapi_bytes)


@lru_cache(maxsize=1)
def _openapi_bytes() -> bytes:
    """Made once: importing what makes it, and making it, take longer than others should wait."""
    from router.api.openapi import openapi_document

    return json_bytes(openapi_document())


def _console(app: App) -> Endpoint:
    async def serve(req: func.HttpRequest) -> func.HttpResponse:
        started, status = time.perf_counter(), 500
        try:
            try:
                page = app.console()
            except Exception as error:
                answered = unavailable(error, req)
            else:
                answered = await page.answer(req, req.route_params.get("file") or "")
            status = answered.status_code
            return answered
        finally:
            count_request(console.OPERATION, None, status, time.perf_counter() - started)

    return serve


def _fallback(app: App) -> Endpoint:
    async def fallback(req: func.HttpRequest) -> func.HttpResponse:
        try:
            gate = await app.gate()
        except Exception as error:
            return unavailable(error, req)
        if (allowed := gate.cors.preflight(req.method or "", headers_of(req))) is not None:
            return gate.render(Reply(204, None, allowed), headers_of(req))
        try:
            target = await gate.admit(req)
            reply = refusal(_unknown(req.method or "", target.path), "ZUnknownRoute", target.path)
        except Exception as error:
            reply = refusal(error, "ZUnknownRoute", _path(req))
        return gate.render(reply, headers_of(req))

    return fallback


def _unknown(method: str, path: str) -> RouterError:
    matching = [operation for operation in OPERATIONS if _matches(operation, path)]
    allowed = sorted({operation.method for operation in matching})
    place = path.strip("/").lower()
    if place in _OTHERS or place.partition("/")[0] == console.PREFIX:
        allowed = ["GET"]
    same = next((operation for operation in matching if operation.method == method), None)
    if same is not None:
        # The platform did not take it there: an id that it reads as a path, such as `..`, is told as what it is.
        try:
            parse_ids(same, path)
        except RouterError as error:
            return error
    elif allowed:
        message = f"{method} is not allowed here; allowed: {', '.join(allowed)}."
        return RouterError("MethodNotAllowed", message, 405, headers={"Allow": ", ".join(allowed)})
    return NotFound("Route", path)


def _matches(operation: Operation, path: str) -> bool:
    # One slash at the end is nothing to the host.
    segments, template = path.removeprefix("/").removesuffix("/").split("/"), operation.route.split("/")
    if len(segments) != len(template):
        return False
    for given, wanted in zip(segments, template, strict=True):
        if not wanted.startswith("{"):
            if given.lower() != wanted.lower():
                return False
        elif not given or not given.endswith(wanted.partition("}")[2]):
            return False
    return True
