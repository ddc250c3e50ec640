"""A subscription on the local topic for as long as a command runs, delivered to a little web server of the command."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from jobrouter.connect import local_parts
from jobrouter.failure import CommandError
from jobrouter.output import tell

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LEASE_SECONDS: Final = 30
_RENEW_SECONDS: Final = 10.0
_BODY_BYTES: Final = 4 * 1024 * 1024


@contextlib.asynccontextmanager
async def subscribed(handler: Handler, subscription: Mapping[str, Any]) -> AsyncIterator[asyncio.Task[None]]:
    """Events come to `handler` while this is open; the task ends, with its error, when the topic refuses to go on."""
    parts = local_parts()
    name = f"command-{secrets.token_hex(4)}"
    path = f"/{secrets.token_urlsafe(16)}"  # other programs of this machine cannot send events here
    app = web.Application(client_max_size=_BODY_BYTES)
    app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        body = {**subscription, "endpoint": f"http://127.0.0.1:{port}{path}"}
        url = f"{parts.topic_endpoint}/admin/subscriptions/{name}"
        headers = {"aeg-sas-key": parts.topic_key}
        async with ClientSession(headers=headers, timeout=ClientTimeout(total=5)) as session:
            await _lease(session, url, body)
            renewing = asyncio.create_task(_renew(session, url, body))
            try:
                yield renewing
            finally:
                renewing.cancel()
                with contextlib.suppress(ClientError, TimeoutError, OSError):
                    await session.delete(url)
    finally:
        await runner.cleanup()


async def _renew(session: ClientSession, url: str, body: Mapping[str, Any]) -> None:
    """A topic that ends and is started again knows nothing of the subscription: it is made anew then."""
    answers = True
    while True:
        await asyncio.sleep(_RENEW_SECONDS if answers else 1.0)
        try:
            await _lease(session, url, body)
        except _NoTopic as error:
            if answers:
                tell(f"{error} Waiting for it.")
            answers = False
        else:
            if not answers:
                tell("The router is there again.")
            answers = True


class _NoTopic(CommandError):
    """Nobody answers where the topic was."""


async def _lease(session: ClientSession, url: str, body: Mapping[str, Any]) -> None:
    try:
        async with session.put(url, json=body, params={"seconds": str(_LEASE_SECONDS)}) as answer:
            if answer.status == 200:
                return
            text = await answer.text()
    except (ClientError, TimeoutError, OSError):
        raise _NoTopic("The local router does not run: `jobrouter start` starts it.") from None
    raise CommandError(f"The local topic refuses the subscription ({answer.status}): {text}")
