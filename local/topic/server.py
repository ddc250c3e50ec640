"""The topic's doors: publishing, validation URLs, health, and its state for tests."""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import Final

from aiohttp import web

from local.topic.auth import check_credentials
from local.topic.errors import PublishError
from local.topic.options import Options
from local.topic.schemas import MAX_REQUEST_BYTES, check_content_type, parse_events
from local.topic.subscriptions import SubscriptionsError, parse_subscription
from local.topic.topic import NameTaken, Topic

_log = logging.getLogger("local.topic")

_API_VERSION = "2018-01-01"
_LEASE_SECONDS: Final = (1.0, 60.0, 3600.0)  # at least, where nothing is said, at most
_DRAINED_BYTES = 16 * 1024 * 1024  # a client still sending would see a broken connection instead of the 413


def make_app(topic: Topic, options: Options) -> web.Application:
    server = _Server(topic, options)
    app = web.Application()
    app.router.add_post("/api/events", server.publish)
    app.router.add_get("/validate", server.validate)
    app.router.add_post("/validate", server.validate)  # CloudEvents allows both
    app.router.add_get("/health", server.health)
    app.router.add_get("/admin/state", server.state)
    app.router.add_put("/admin/subscriptions/{name}", server.lease)
    app.router.add_delete("/admin/subscriptions/{name}", server.end_lease)
    return app


class _Server:
    def __init__(self, topic: Topic, options: Options) -> None:
        self._topic, self._options = topic, options

    async def publish(self, request: web.Request) -> web.Response:
        try:
            return await self._publish(request)
        except PublishError as error:
            return _answer(error)
        except sqlite3.Error:
            _log.exception("events could not be stored")
            unstored = PublishError(503, "ServiceUnavailable", "The events could not be stored; try again.")
            return web.Response(status=503, body=unstored.body(), content_type="application/json")

    async def _publish(self, request: web.Request) -> web.Response:
        check_credentials(request.headers, self._options.keys, self._options.port)
        version = request.query.get("api-version", _API_VERSION)
        if version != _API_VERSION:
            message = f"The api-version '{version[:50]}' is not supported; use {_API_VERSION}."
            raise PublishError(400, "BadRequest", message)
        # aiohttp's word for a missing header is application/octet-stream
        content_type = request.content_type if "Content-Type" in request.headers else "application/json"
        body = await _read(request)
        check_content_type(content_type, self._options.schema)
        events = parse_events(body, self._options.schema, self._options.topic_id, content_type)
        await self._topic.publish(events)
        return web.Response()

    async def validate(self, request: web.Request) -> web.Response:
        if self._topic.follow_validation_url(request.query.get("subscription", ""), request.query.get("id", "")):
            return web.Response(text="Webhook successfully validated as a subscription endpoint")
        return web.Response(status=400, text="This validation URL is not, or no longer, valid")

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def state(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        return web.json_response(self._topic.state())

    async def lease(self, request: web.Request) -> web.Response:
        """The body is a subscription of the file without its name; it is kept in memory for `seconds` (query)."""
        if refusal := self._refusal(request):
            return refusal
        try:
            item = json.loads(await _read(request))
            if not isinstance(item, dict):
                raise SubscriptionsError("a subscription must be an object")
            subscription = parse_subscription({**item, "name": request.match_info["name"]}, self._options.schema)
            await self._topic.lease(subscription, _lease_seconds(request.query.get("seconds")))
        except NameTaken as error:
            return _answer(PublishError(409, "Conflict", f"The subscriptions file has '{error}'; take another name."))
        except PublishError as error:
            return _answer(error)
        except ValueError as error:  # of JSON, too
            return _answer(PublishError(400, "BadRequest", str(error)))
        return web.json_response(self._topic.state()["subscriptions"][subscription.name])

    async def end_lease(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        return web.Response(status=204 if await self._topic.end_lease(request.match_info["name"]) else 404)

    def _refusal(self, request: web.Request) -> web.Response | None:
        try:
            check_credentials(request.headers, self._options.keys, self._options.port)
        except PublishError as error:
            return _answer(error)
        return None


def _answer(error: PublishError) -> web.Response:
    return web.Response(status=error.status, body=error.body(), content_type="application/json")


def _lease_seconds(text: str | None) -> float:
    low, usual, high = _LEASE_SECONDS
    try:
        seconds = usual if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not low <= seconds <= high:
        raise SubscriptionsError(f"seconds must be a number from {low:g} to {high:g}")
    return seconds


async def _read(request: web.Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size <= MAX_REQUEST_BYTES:
            parts.append(part)
        elif size > _DRAINED_BYTES:
            break
    if size > MAX_REQUEST_BYTES:
        raise PublishError(
            413, "RequestEntityTooLarge", f"The maximum size ({MAX_REQUEST_BYTES}) has been exceeded by the request."
        )
    return b"".join(parts)
