"""Starts the parts of a local run, waits until they are ready, serves until Ctrl-C and ends them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from local import metrics
from local.app_hosts import END_SECONDS, READY_SECONDS, AppHosts
from local.certificate import Certificate, ensure_certificate
from local.commands import (
    azurite_command,
    core_tools_command,
    full_azurite_command,
    host_command,
    topic_command,
    topic_environment,
    write_local_settings,
    write_subscriptions,
)
from local.debug import Files, serve_reloading
from local.disk import refuse_full_disk, sole_starter, watch_disk
from local.greeting import greeting
from local.network import answers, choose_port, port_is_free, wait_until_it_answers
from local.options import ROOT, LocalError, Options
from local.parts import Parts, app_settings, load_parts, make_parts, save_parts
from local.processes import Part, refuse_second_run, runs, start_part
from local.stores import Store, Stores
from local.webhooks import watch_webhooks
from router.settings import SettingsError
from router.settings import load as load_settings

_PART_SECONDS: Final = 30.0


def tell(message: str) -> None:
    print(message, flush=True)


async def start_everything(options: Options, app_dir: Path, *, core_tools: bool, debug: bool = False) -> None:
    """`make start`, `make start-func` and `make debug`."""
    if debug and len(options.topology.processes) > 1:
        raise LocalError("`make debug` is for one process, which has the terminal: leave WORKERS and TIMER alone.")
    stop = _stop_on_signals()
    data_dir = options.data_dir
    if core_tools and options.movable_clock:
        raise LocalError("CLOCK=movable is for `make start`: Core Tools have no such routes.")
    async with contextlib.AsyncExitStack() as ending:
        is_sole = ending.enter_context(sole_starter(data_dir))
        earlier = load_parts(data_dir)
        await _refuse_second_router(data_dir, earlier, is_sole=is_sole)
        refuse_second_run(data_dir, ["azurite", "eventgrid", *_app_names(data_dir)])
        _refuse_busy_ports(options)
        parts = make_parts(options, earlier)
        _check_settings(app_settings(parts, options))
        refuse_full_disk(data_dir)
        for folder in ("azurite", "topic", "logs"):
            (data_dir / folder).mkdir(exist_ok=True)
        certificate = ensure_certificate(data_dir)
        stores, blob_ports = await ending.enter_async_context(_stores(parts, options, app_dir, core_tools=core_tools))
        collector = await metrics.start(parts.metrics_port)
        ending.push_async_callback(collector.close)
        parts = replace(parts, metrics_environment=collector.environment)
        save_parts(data_dir, parts)
        settings = app_settings(parts, options)
        if core_tools:
            await _serve_core_tools(parts, options, app_dir, settings, stores, blob_ports, stop)
            return
        if debug:
            await _serve_attached(parts, certificate, options, app_dir, settings, stores, stop)
            tell("Ending.")
            return
        hosts = _app_hosts(parts, certificate, options, app_dir, settings)
        ending.push_async_callback(hosts.end)
        # The app loads while the others start, and serves when they answer.
        await hosts.start()
        if not await _unless_stopped(_all_ready(parts, options, hosts), stop):
            return
        stores.ready()
        tell(greeting(parts, options, certificate))
        if options.event_subscribers:
            ending.push_async_callback(_cancel, asyncio.create_task(watch_webhooks(parts, tell)))
        while not stop.is_set():
            await _first(stop.wait(), hosts.down.wait())
            if hosts.down.is_set() and not stop.is_set():
                tell(
                    f"The app {hosts.last_words}. The other parts still run; start the app again with "
                    "`make start-app`, or press Ctrl-C to end them too."
                )
                await stop.wait()
        tell("Ending.")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def start_app_alone(options: Options, app_dir: Path) -> None:
    """`make start-app`: the app against the parts of a `make start` that still runs."""
    stop = _stop_on_signals()
    parts = load_parts(options.data_dir)
    if parts is None or not (
        await answers(parts.azurite_url) and await answers(f"{parts.topic_endpoint}/health", status=200)
    ):
        raise LocalError(f"The other parts do not run in {options.data_dir}; `make start` starts everything.")
    refuse_second_run(options.data_dir, _app_names(options.data_dir))
    for port in (parts.port, parts.https_port):
        _refuse_busy_port(port, "")
    certificate = ensure_certificate(options.data_dir)
    _check_settings(app_settings(parts, options))
    hosts = _app_hosts(parts, certificate, options, app_dir, app_settings(parts, options))
    try:
        await hosts.start()
        if await _unless_stopped(hosts.wait_until_ready(), stop):
            tell(greeting(parts, options, certificate, "the app"))
            await _first(stop.wait(), hosts.down.wait())
            if hosts.down.is_set():
                raise LocalError(f"The app {hosts.last_words}.")
    finally:
        await hosts.end()


@contextlib.asynccontextmanager
async def _stores(
    parts: Parts, options: Options, app_dir: Path, *, core_tools: bool
) -> AsyncIterator[tuple[Stores, tuple[int, int] | None]]:
    """Azurite and the topic, starting. The end of one before it was ready ends the run. Raises LocalError if the end
    could not save."""
    data_dir = options.data_dir
    blob_ports = None
    command = azurite_command(parts, data_dir)
    if core_tools:
        first = choose_port(None, ())
        blob_ports = first, choose_port(None, {first})
        command = full_azurite_command(parts, data_dir, *blob_ports)
    subscriptions = data_dir / "subscriptions.json"
    write_subscriptions(subscriptions, app_dir, parts, options)
    topic = topic_command(parts, data_dir, subscriptions, os.environ.get("ROUTER_EVENTGRID_SCHEMA"))
    stores = Stores(
        [
            # Azurite saves its data when it is interrupted, not when it is terminated.
            Store("azurite", command, signal.SIGINT, os.environ, "What it had not saved yet is lost."),
            Store("eventgrid", topic, signal.SIGTERM, {**os.environ, **topic_environment(parts)}),
        ],
        data_dir,
        tell,
    )
    task = asyncio.current_task()
    assert task is not None
    unforeseen: list[str] = []

    async def watch() -> None:
        unforeseen.append(await stores.failed())
        task.cancel()

    watcher = asyncio.create_task(watch())
    disk = asyncio.create_task(watch_disk(data_dir, tell))
    try:
        await stores.start()
        yield stores, blob_ports
    except asyncio.CancelledError:
        if not unforeseen:
            raise
        task.uncancel()
        raise LocalError(" ".join(unforeseen)) from None
    finally:
        for one in (watcher, disk):
            one.cancel()
        await asyncio.gather(watcher, disk, return_exceptions=True)
        await stores.end()


async def _stores_ready(parts: Parts, options: Options) -> None:
    azurite, topic = await asyncio.gather(
        wait_until_it_answers(parts.azurite_url, seconds=_PART_SECONDS),
        wait_until_it_answers(f"{parts.topic_endpoint}/health", status=200, seconds=_PART_SECONDS),
    )
    if not (azurite and topic):
        name = "eventgrid" if azurite else "azurite"
        raise LocalError(f"{name} is not ready after {_PART_SECONDS:.0f} s; see {options.data_dir}/logs/{name}.log.")


async def _all_ready(parts: Parts, options: Options, hosts: AppHosts) -> None:
    try:
        async with asyncio.TaskGroup() as waiting:
            waiting.create_task(_stores_ready(parts, options))
            waiting.create_task(hosts.wait_until_ready())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _serve_core_tools(
    parts: Parts,
    options: Options,
    app_dir: Path,
    settings: Mapping[str, str],
    stores: Stores,
    blob_ports: tuple[int, int] | None,
    stop: asyncio.Event,
) -> None:
    command = core_tools_command(parts)
    assert blob_ports is not None
    account = parts.tables_connection_string
    base = "http://127.0.0.1:{}/devstoreaccount1"
    storage = f"{account}BlobEndpoint={base.format(blob_ports[0])};QueueEndpoint={base.format(blob_ports[1])};"
    settings = {"AzureWebJobsStorage": storage, **settings}
    write_local_settings(app_dir, settings)
    await _stores_ready(parts, options)
    stores.ready()
    environment = {**os.environ, **settings, "FUNCTIONS_WORKER_RUNTIME": "python"}
    func = await start_part("func", command, options.data_dir / "app.pid", cwd=app_dir, environment=environment)
    try:
        ready = asyncio.create_task(wait_until_it_answers(f"{parts.app_url}/health", status=200, seconds=120))
        ended = asyncio.create_task(func.ended())
        await _first(stop.wait(), ready, ended)
        if ready.done() and ready.result():
            tell(greeting(parts, options, None))
        await _first(stop.wait(), ended)
        if ended.done():
            raise LocalError(f"func {ended.result()}.")
    finally:
        await func.end(END_SECONDS)


async def _serve_attached(
    parts: Parts,
    certificate: Certificate,
    options: Options,
    app_dir: Path,
    settings: Mapping[str, str],
    stores: Stores,
    stop: asyncio.Event,
) -> None:
    """The app with this terminal, until Ctrl-C."""
    (process,) = options.topology.processes
    mounts = _mounts(parts, options)
    command = host_command(parts, certificate, app_dir, mounts, process, share_ports=False, listen=options.listen)
    environment = _app_environment(parts, settings)

    async def start() -> Part:
        pid_file = options.data_dir / process.pid_file
        return await start_part("app", command, pid_file, cwd=ROOT, environment=environment, attached=True)

    async def ready() -> None:
        while not await wait_until_it_answers(f"{parts.app_url}/health", status=200, seconds=READY_SECONDS):
            pass  # somebody may be at a breakpoint
        stores.ready()

    words = greeting(parts, options, certificate) + "breakpoint() stops here; a change starts the app again.\n"
    await serve_reloading(start, ready, Files(app_dir), stop, tell, words, END_SECONDS)


def _app_environment(parts: Parts, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        **settings,
        "LOCAL_HOST_SYSTEM_KEY": parts.system_key,
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "WEBSITE_HOSTNAME": f"localhost:{parts.port}",
    }


def _mounts(parts: Parts, options: Options) -> list[str]:
    return [
        f"local.metrics:mount=http://127.0.0.1:{parts.metrics_port}",
        "local.document:mount",
        *(["local.clock:mount"] if options.movable_clock else []),
    ]


def _app_hosts(
    parts: Parts, certificate: Certificate, options: Options, app_dir: Path, settings: Mapping[str, str]
) -> AppHosts:
    return AppHosts(
        parts,
        certificate,
        app_dir=app_dir,
        data_dir=options.data_dir,
        topology=options.topology,
        environment=_app_environment(parts, settings),
        mounts=_mounts(parts, options),
        listen=options.listen,
        tell=tell,
    )


def _check_settings(settings: Mapping[str, str]) -> None:
    """The app's own check of its settings, before anything is started: it would say the same with each request."""
    try:
        load_settings({**os.environ, **settings})
    except SettingsError as error:
        raise LocalError(str(error)) from None


async def _refuse_second_router(data_dir: Path, earlier: Parts | None, *, is_sole: bool) -> None:
    """One that runs and is well is to be used, not to be ended; nor is one that is about to be well."""
    if earlier is not None and runs(data_dir, _app_names(data_dir)) and await answers(f"{earlier.app_url}/health"):
        raise LocalError(
            f"A router with this data ({data_dir}) runs already: http://localhost:{earlier.port}. "
            "Use that one, or set DATA_DIR and PORT for a second one."
        )
    if not is_sole:
        raise LocalError(
            f"A router with this data ({data_dir}) runs already, and does not answer yet: it is starting or ending, or "
            "stands at a breakpoint. Wait for it, or set DATA_DIR and PORT for a second one."
        )


def _app_names(data_dir: Path) -> list[str]:
    """Of whatever topology the earlier run was."""
    return sorted(path.stem for path in data_dir.glob("app*.pid"))


def _refuse_busy_ports(options: Options) -> None:
    _refuse_busy_port(options.port, "Set PORT to a free one.")
    _refuse_busy_port(options.https_port, "Set HTTPS_PORT (it is PORT+1 otherwise) to a free one.")


def _refuse_busy_port(port: int, advice: str) -> None:
    if not port_is_free(port):
        raise LocalError(f"Port {port} on 127.0.0.1 is in use by another program. {advice}".strip())


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _unless_stopped(wait: Awaitable[None], stop: asyncio.Event) -> bool:
    """Waits, and says whether that came to its end before the developer stopped the run."""
    task = asyncio.ensure_future(wait)
    await _first(task, stop.wait())
    if stop.is_set():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
    await task
    return True


async def _first(*waits: Awaitable[object]) -> None:
    """Until the first of these ends; tasks are left running, coroutines are not."""
    tasks = [(wait, wait if isinstance(wait, asyncio.Task) else asyncio.ensure_future(wait)) for wait in waits]
    await asyncio.wait([task for _, task in tasks], return_when=asyncio.FIRST_COMPLETED)
    for wait, task in tasks:
        if task is not wait:
            task.cancel()
