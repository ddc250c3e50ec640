"""The topic's doors: publishing, validation URLs, health, and its state for tests."""

from __future__ import annotations

import logging
import sqlite3

from aiohttp import web

from local.topic.auth import check_credentials
from local.topic.errors import PublishError
from local.topic.options import Options
from local.topic.schemas import MAX_REQUEST_BYTES, check_content_type, parse_events
from local.topic.topic import Topic

_log = logging.getLogger("local.topic")

_API_VERSION = "2018-01-01"
_DRAINED_BYTES = 16 * 1024 * 1024  # a client still sending would see a broken connection instead of the 413


def make_app(topic: Topic, options: Options) -> web.Application:
    server = _Server(topic, options)
    app = web.Application()
    app.router.add_post("/api/events", server.publish)
    app.router.add_get("/validate", server.validate)
    app.router.add_post("/validate", server.validate)  # CloudEvents allows both
    app.router.add_get("/health", server.health)
    app.router.add_get("/admin/state", server.state)
    return app


class _Server:
    def __init__(self, topic: Topic, options: Options) -> None:
        self._topic, self._options = topic, options

    async def publish(self, request: web.Request) -> web.Response:
        try:
            return await self._publish(request)
        except PublishError as error:
            return web.Response(status=error.status, body=error.body(), content_type="application/json")
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
        try:
            check_credentials(request.headers, self._options.keys, self._options.port)
        except PublishError as error:
            return web.Response(status=error.status, body=error.body(), content_type="application/json")
        return web.json_response(self._topic.state())


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
