"""One host process: a web server on loopback, HTTP and HTTPS, or timers, or both; no state but the app's own."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakSet

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from local.expectation import answer_expectation
from local.host.bodies import busy
from local.host.eventgrid_trigger import PATH as EVENT_GRID_PATH
from local.host.eventgrid_trigger import EventGridTriggers
from local.host.http_trigger import HttpOptions, HttpTriggers
from local.host.kestrel import PARSER_LIMITS, refused_by_the_web_server
from local.host.mounts import FIRE_TIMERS
from local.host.pace import LONGEST_OF_NEW_SECONDS, LONGEST_SECONDS, Pace, Patience
from local.host.timer_trigger import TimerTriggers
from local.host.worker import Worker
from local.host.workers import open_worker
from local.questions import answer_on

log = logging.getLogger("local.host")

MAX_BODY_BYTES: Final = 4 * 1024 * 1024  # the app's own limit is lower; this one protects the host
SHUTDOWN_SECONDS: Final = 3.0
#: What is read of a connection at once, and kept of it before its request has begun.
_READ_BYTES: Final = 64 * 1024
#: In one turn of the event loop: how many connections are taken, requests begun, and of these the first of a connection
#: and those with a large body.
_ACCEPTED: Final = 16
_BEGUN: Final = 8
_FIRST_BEGUN: Final = 4
_LARGE_BEGUN: Final = 1
_LARGE_BYTES: Final = 16 * 1024
#: Connections that wait to be taken.
_BACKLOG: Final = 1024
_LOOPBACK: Final = "127.0.0.1"
_WEBHOOKS: Final = "/runtime/webhooks/"
#: Of what begins with /admin the host keeps these for itself; the rest reaches the app.
_KEPT: Final = ("/admin/host/", "/admin/functions")


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How one host process serves."""

    app_dir: Path
    port: int
    https_port: int | None = None
    listen: str = _LOOPBACK
    certificate: Path | None = None
    key: Path | None = None
    system_key: str = ""
    share_ports: bool = False
    serves: bool = True
    timers: bool = True
    wait_for: Sequence[str] = field(default_factory=tuple)
    asked_on: int | None = None
    mounts: Sequence[Callable[[web.Application], None]] = field(default_factory=tuple)


class Host:
    """The functions of one app, served until `stop`."""

    def __init__(self, worker: Worker, options: HostOptions) -> None:
        self._options = options
        self._worker = worker
        self._pace = Pace(_BEGUN)
        self._pace_of_first = Pace(_FIRST_BEGUN, self._pace)
        self._pace_of_large = Pace(_LARGE_BEGUN)
        #: Connections that have sent a request before. They go first: a flood opens many at once.
        self._known: WeakSet[asyncio.Transport] = WeakSet()
        self._http = HttpTriggers(worker, read_http_options(options.app_dir), self._pace)
        self._events = EventGridTriggers(worker, options.system_key)
        self._timers = TimerTriggers(worker)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        if self._options.serves:
            await self._serve_web()
        if self._options.timers:
            self._timers.start()

    async def stop(self) -> None:
        """Stops listening, lets what is under way end within SHUTDOWN_SECONDS, cancels the rest."""
        await self._timers.stop()
        closing = [self._runner.cleanup()] if self._runner is not None else []
        await asyncio.gather(*closing, self._worker.finish(SHUTDOWN_SECONDS))

    async def _serve_web(self) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app[FIRE_TIMERS] = self._timers.fire
        for mount in self._options.mounts:
            mount(app)
        # An encoded line break is part of a path too.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve, expect_handler=answer_expectation)
        # Bodies reach the app as they were sent: no decompression, as on the platform.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            read_bufsize=_READ_BYTES // 4,
            **PARSER_LIMITS,
        )
        await self._runner.setup()
        await self._listen(self._options.port, None)
        if self._options.https_port is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(str(self._options.certificate), str(self._options.key))
            await self._listen(self._options.https_port, context)

    async def _listen(self, port: int, context: ssl.SSLContext | None) -> None:
        address = self._options.listen
        await self._listen_at(address, port, context)
        if address == _LOOPBACK and has_ipv6_loopback():
            await self._listen_at("::1", port, context)

    async def _listen_at(self, address: str, port: int, context: ssl.SSLContext | None) -> None:
        assert self._runner is not None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        bound = socket.create_server((address, port), family=family, reuse_port=self._options.share_ports)
        # What the site calls its backlog is how many it takes at once as well.
        await web.SockSite(self._runner, bound, ssl_context=context, backlog=_ACCEPTED).start()
        bound.listen(_BACKLOG)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        target = request._message.path  # as sent; yarl would have normalised it
        if not target.startswith("/"):
            target = origin_form(target)
        lowered = target.partition("?")[0].lower()
        patience = Patience(_patience(request.method, lowered))
        try:
            await self._turn(request, patience)
        except TimeoutError:
            return busy()
        if (refused := refused_by_the_web_server(request._message)) is not None:
            return web.Response(status=refused)
        if lowered.rstrip("/") == EVENT_GRID_PATH:
            return await self._events.serve(request)
        if lowered.startswith(_WEBHOOKS):
            return web.Response(status=404)
        if lowered.startswith(_KEPT):
            return web.Response(status=401)  # it wants the host's master key, and here is none
        return await self._http.serve(request, target, patience)

    async def _turn(self, request: web.Request, patience: Patience) -> None:
        """Waits until the request may begin. Raises TimeoutError."""
        transport = request.transport
        is_first = transport is not None and transport not in self._known
        if transport is not None:
            self._known.add(transport)
        if (request.content_length or 0) > _LARGE_BYTES:
            await patience.turn(self._pace_of_large)
        else:
            await patience.turn(self._pace_of_first if is_first else self._pace)


def _patience(method: str, path: str) -> float | None:
    if path.startswith(_WEBHOOKS):
        return None  # an event that is refused comes again much later
    return LONGEST_OF_NEW_SECONDS if method == "PATCH" else LONGEST_SECONDS


def origin_form(target: str) -> str:
    """Path and query of a request target in absolute form (`http://host/path?query`), undecoded."""
    _, scheme, rest = target.partition("://")
    if not scheme:
        return "/" if target == "*" else "/" + target
    for index, char in enumerate(rest):
        if char in "/?":
            return rest[index:] if char == "/" else "/" + rest[index:]
    return "/"


def read_http_options(app_dir: Path) -> HttpOptions:
    """What host.json says of HTTP."""
    path = app_dir / "host.json"
    settings = json.loads(path.read_text()) if path.is_file() else {}
    http = settings.get("extensions", {}).get("http", {})
    return HttpOptions(
        route_prefix=str(http.get("routePrefix", "api")),
        concurrent=int(http.get("maxConcurrentRequests", 0)),
        outstanding=int(http.get("maxOutstandingRequests", 0)),
    )


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def read_little() -> None:
    """Of each connection of this process at once: else a turn of the loop lasts as long as all of them together."""
    transports = importlib.import_module("asyncio.selector_events")
    transports._SelectorSocketTransport.max_size = _READ_BYTES


async def serve_until_signalled(module: str, options: HostOptions) -> None:
    """Serves until SIGTERM or SIGINT. Raises IndexingError."""
    worker = await open_worker(options.app_dir, module)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.asked_on is not None:
        answer_on(options.asked_on)
    read_little()
    host = Host(worker, options)
    if not await _unless(ended, asyncio.gather(*(_wait_for(url) for url in options.wait_for))):
        return
    await host.start()
    if options.serves:
        log.info("serving %d functions on port %d, under %s", len(worker.functions), options.port, worker.name)
    else:
        log.info("running the timers, listening nowhere")
    await ended.wait()
    await host.stop()
    # Clients that the app keeps open for its whole life are not worth a message at the end.
    loop.set_exception_handler(lambda _, context: None)


async def _wait_for(url: str) -> None:
    """Until somebody answers there, whatever the answer."""
    async with ClientSession(timeout=ClientTimeout(total=2)) as session:
        while True:
            try:
                async with session.get(url):
                    return
            except (ClientError, TimeoutError):
                await asyncio.sleep(0.03)


async def _unless(ended: asyncio.Event, wait: asyncio.Future[list[None]]) -> bool:
    """Waits, and says whether that came to its end before the signal."""
    signalled = asyncio.create_task(ended.wait())
    await asyncio.wait((wait, signalled), return_when=asyncio.FIRST_COMPLETED)
    for task in (wait, signalled):
        task.cancel()
    return not ended.is_set()
