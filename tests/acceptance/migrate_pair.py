"""Two routers, and the command that moves from one to the other: run, killed, watched."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from azure.communication.jobrouter.aio import JobRouterAdministrationClient, JobRouterClient
from azure.core.credentials import AzureKeyCredential

from local.options import ROOT
from tests.local_router import LocalRouter

FULL = os.environ.get("ROUTER_MIGRATE_FULL") == "1"
SECRET = "a-function-key-that-nobody-may-see"
PLACE = "ClassificationPolicy/classify-0/prioritizationRule/credential/functionKey"


@dataclass(frozen=True)
class Volume:
    distribution: int
    exception: int
    classification: int
    queues: int
    workers: int
    jobs: int


VOLUME = Volume(8, 4, 8, 50, 1000, 5000) if FULL else Volume(2, 1, 2, 10, 60, 150)


@dataclass(frozen=True)
class Pair:
    source: LocalRouter
    target: LocalRouter
    state: Path
    secrets: Path

    def command(self, *options: str) -> list[str]:
        ends = [
            "--from",
            connection_string(self.source),
            "--to",
            connection_string(self.target),
            "--state",
            str(self.state),
        ]
        return [sys.executable, "-m", "router.migrate", *ends, "--secrets", str(self.secrets), *options]

    def migrate(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options), cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )


def connection_string(router: LocalRouter) -> str:
    return f"endpoint={router.endpoint}/;accesskey={router.key}"


def client_of(router: LocalRouter) -> JobRouterClient:
    return JobRouterClient(router.endpoint, AzureKeyCredential(router.key))


def administration_of(router: LocalRouter) -> JobRouterAdministrationClient:
    return JobRouterAdministrationClient(router.endpoint, AzureKeyCredential(router.key))


async def kill_when(pair: Pair, condition: Callable[[], Awaitable[bool]]) -> None:
    """Starts the move and kills it (-9) as soon as the condition holds."""
    process = await asyncio.create_subprocess_exec(
        *pair.command(), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while not await condition():
            assert process.returncode is None, "the move ended before it was to be killed"
            await asyncio.sleep(2 if FULL else 0.02)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def at_least(router: LocalRouter, count: int) -> bool:
    async with client_of(router) as client:
        found = 0
        async for _ in client.list_jobs(results_per_page=1000):
            found += 1
        return found >= count


async def moved_so_far(state: Path, count: int) -> bool:
    return moved_jobs(state) >= count


def moved_jobs(state: Path) -> int:
    return state.read_text().count('"job"') if state.exists() else 0
