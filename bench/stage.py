"""What measurements run against: a whole local router, and its Azurite and topic bare, as the floor."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from azure.core.credentials import AzureKeyCredential
from azure.data.tables.aio import TableServiceClient
from azure.eventgrid.aio import EventGridPublisherClient

from local.options import read_topology
from local.parts import Parts
from local.topology import Topology
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire


@dataclass
class Stage:
    """A running router, a signed client of it, and what its storage and topic do without it."""

    router: LocalRouter
    parts: Parts
    wire: RawWire
    tables: TableServiceClient
    topic: EventGridPublisherClient

    def name(self, prefix: str) -> str:
        return f"{prefix}{time.time_ns()}"

    @property
    def topology(self) -> Topology:
        return self.router.topology

    def app_processes(self) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in self.router.app_pids()]

    def app_memory(self) -> float:
        """In MB, of the largest process of the app: on the platform each has the memory of an instance."""
        return float(max(process.memory_info().rss for process in self.app_processes())) / 1e6

    def processor_seconds(self) -> dict[str, float]:
        """That each process of the app has used since it began, by its name."""
        times = {
            process.name: psutil.Process(self.router.pid(process.name)).cpu_times()
            for process in self.topology.processes
        }
        return {name: one.user + one.system for name, one in times.items()}

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.wire.patch(path, body)
        assert answer.status in (200, 201), (answer.status, answer.content[:500])
        result: dict[str, Any] = answer.body
        return result


def running_parts(router: LocalRouter) -> Parts:
    return Parts(**json.loads((router.data_dir / "parts.json").read_text()))


def start_router(folder: str, topology: Topology | None, environment: dict[str, str] | None) -> LocalRouter:
    """In the topology that WORKERS and TIMER ask for, unless another is named."""
    topology = topology or read_topology()
    return LocalRouter(
        Path(folder), workers=topology.workers, timer_apart=topology.timer_apart, environment=environment
    )


@asynccontextmanager
async def stage(
    topology: Topology | None = None, *, environment: dict[str, str] | None = None, connections: int = 32
) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        router = start_router(folder, topology, environment)
        try:
            parts = running_parts(router)
            async with (
                RawWire(router.port, router.key, connections=connections) as wire,
                TableServiceClient.from_connection_string(parts.tables_connection_string) as tables,
                EventGridPublisherClient(
                    f"{parts.topic_endpoint}/api/events", AzureKeyCredential(parts.topic_key)
                ) as topic,
            ):
                yield Stage(router, parts, wire, tables, topic)
        finally:
            router.end()
