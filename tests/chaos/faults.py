"""The faults, one by one: each begins, lasts, and is over when its block is left; what it must show is told in words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from local.options import ROOT
from tests.local_router import LocalRouter

#: After this the supervisor must have replaced what hangs.
_REPLACED_SECONDS = 30.0


@dataclass
class Scene:
    """A run of two workers and the timer's process, and what has gone wrong beside the counts."""

    router: LocalRouter
    chance: random.Random
    seconds: float
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: object, what: str) -> None:
        if not holds:
            self.problems.append(what)

    async def comes(self, condition: Callable[[], bool], what: str, seconds: float = _REPLACED_SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 (another process makes it true)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.problems.append(f"not within {seconds:.0f} s: {what}")

    def pid(self, name: str) -> int:
        try:
            return self.router.pid(name)
        except (OSError, ValueError):
            return 0

    def worker(self) -> str:
        return self.chance.choice(["app", "app.1"])

    async def health(self) -> tuple[int, dict[str, Any], float]:
        """Status, body and seconds; status 0 when nothing came."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            timeout = aiohttp.ClientTimeout(total=10)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.router.port}/health") as answer,
            ):
                return answer.status, json.loads(await answer.read()), loop.time() - began
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, {}, loop.time() - began


@contextlib.contextmanager
def _stopped(pid: int) -> Any:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def topic_silent(scene: Scene) -> AsyncIterator[None]:
    with _stopped(scene.pid("eventgrid")):
        await asyncio.sleep(scene.seconds)
        if scene.seconds > 12:  # a request to the topic is given up after ten
            status, body, _ = await scene.health()
            silent = [one["part"] for one in body.get("notAnswering", [])]
            scene.expect(status == 200 and silent in (["topic"], []), f"/health says {status} {body}")
        yield


@asynccontextmanager
async def topic_away(scene: Scene) -> AsyncIterator[None]:
    """Killed again and again, so that it is away for a while."""
    await _killed(scene, "eventgrid")
    yield


@asynccontextmanager
async def storage_silent(scene: Scene) -> AsyncIterator[None]:
    with _stopped(scene.pid("azurite")):
        ends = time.monotonic() + scene.seconds
        while True:  # a process that has just begun says that it is starting, until a call to storage was given up
            status, body, seconds = await scene.health()
            scene.expect(status == 503, f"/health says {status} {body}")
            scene.expect(seconds < 5, f"/health took {seconds:.1f} s")
            if "Storage" in body.get("message", "") or time.monotonic() > ends + 5:
                break
            await asyncio.sleep(0.2)
        scene.expect("Storage" in body.get("message", ""), f"/health says {status} {body}")
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
        yield


@asynccontextmanager
async def storage_restarts(scene: Scene) -> AsyncIterator[None]:
    """Ended so that it saves: what a kill -9 of the emulator loses is told in the documents."""
    former = scene.pid("azurite")
    os.kill(former, signal.SIGINT)
    await scene.comes(lambda: scene.pid("azurite") not in (0, former), "azurite is started again")
    yield


@asynccontextmanager
async def worker_dies(scene: Scene) -> AsyncIterator[None]:
    await _killed(scene, scene.worker())
    yield


@asynccontextmanager
async def app_dies(scene: Scene) -> AsyncIterator[None]:
    names = ["app", "app.1", "app.timer"]
    former = {name: scene.pid(name) for name in names}
    for pid in former.values():
        if pid:
            os.kill(pid, signal.SIGKILL)
    await scene.comes(
        lambda: all(scene.pid(name) not in (0, former[name]) for name in names), "all processes are started again"
    )
    yield


@asynccontextmanager
async def timer_dies(scene: Scene) -> AsyncIterator[None]:
    await _killed(scene, "app.timer")
    yield


@asynccontextmanager
async def worker_hangs(scene: Scene) -> AsyncIterator[None]:
    await _hung(scene, scene.worker())
    yield


@asynccontextmanager
async def timer_hangs(scene: Scene) -> AsyncIterator[None]:
    await _hung(scene, "app.timer")
    yield


@asynccontextmanager
async def worker_pauses(scene: Scene) -> AsyncIterator[None]:
    """Too short to be replaced: it goes on where it was."""
    name = scene.worker()
    pid = scene.pid(name)
    with _stopped(pid):
        await asyncio.sleep(min(scene.seconds, 5))
    scene.expect(scene.pid(name) == pid, f"{name} was replaced though it paused for 5 s only")
    yield


@asynccontextmanager
async def clock_ahead(scene: Scene) -> AsyncIterator[None]:
    """One more timer, whose clock is an hour ahead."""
    environment = dict(
        pair.split("=", 1)
        for pair in open(f"/proc/{scene.pid('app')}/environ").read().split("\0")  # noqa: SIM115, ASYNC230
        if "=" in pair
    )
    command = [sys.executable, "-m", "tests.chaos.wrong_clock", "--app-dir", str(ROOT), "--timers-only"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: ASYNC220

        def told() -> int:
            output.seek(0)
            return output.read().count("minutes ahead of storage's")

        try:
            await scene.comes(lambda: told() > 0, "the wrong clock is told", 60)
            await asyncio.sleep(scene.seconds)  # it stays, and must not act on it
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)
        scene.expect(told() == 1, f"the wrong clock was told {told()} times")
    yield


@asynccontextmanager
async def disk_full(scene: Scene) -> AsyncIterator[None]:
    """Azurite's process may write no file larger than a few kilobytes: as on a disk without room, its new file is
    half written. (Its limit is lifted again: the disk has room.)"""
    pid = scene.pid("azurite")
    said = scene.router.output()
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        await scene.comes(
            lambda: scene.router.output().count("is full: nothing is saved") > said.count("is full: nothing is saved"),
            "the console says that the disk is full",
        )
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await scene.comes(
        lambda: scene.router.output().count("has room again") > said.count("has room again"),
        "the console says that there is room again",
    )
    yield


async def _killed(scene: Scene, name: str) -> None:
    former = scene.pid(name)
    os.kill(former, signal.SIGKILL)
    await scene.comes(lambda: scene.pid(name) not in (0, former), f"{name} is started again")


async def _hung(scene: Scene, name: str) -> None:
    former = scene.pid(name)
    with _stopped(former):
        await scene.comes(lambda: scene.pid(name) not in (0, former), f"{name} is replaced")
    scene.expect("has not answered for 10 s and was ended" in scene.router.output(), "the supervisor says so")


FAULTS = {
    "topic-silent": topic_silent,
    "topic-dies": topic_away,
    "storage-silent": storage_silent,
    "storage-restarts": storage_restarts,
    "worker-dies": worker_dies,
    "timer-dies": timer_dies,
    "app-dies": app_dies,
    "worker-pauses": worker_pauses,
    "worker-hangs": worker_hangs,
    "timer-hangs": timer_hangs,
    "clock-ahead": clock_ahead,
    "disk-full": disk_full,
}
