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

from local.parts import Parts
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

    def app_processes(self) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in self.router.app_pids()]

    def app_memory(self) -> float:
        """In MB, of all processes of the app."""
        return float(sum(process.memory_info().rss for process in self.app_processes())) / 1e6

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.wire.patch(path, body)
        assert answer.status in (200, 201), (answer.status, answer.content[:500])
        result: dict[str, Any] = answer.body
        return result


def running_parts(router: LocalRouter) -> Parts:
    return Parts(**json.loads((router.data_dir / "parts.json").read_text()))


@asynccontextmanager
async def stage(*, workers: int = 1, environment: dict[str, str] | None = None) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        router = LocalRouter(Path(folder), workers=workers, environment=environment)
        try:
            parts = running_parts(router)
            async with (
                RawWire(router.port, router.key) as wire,
                TableServiceClient.from_connection_string(parts.tables_connection_string) as tables,
                EventGridPublisherClient(
                    f"{parts.topic_endpoint}/api/events", AzureKeyCredential(parts.topic_key)
                ) as topic,
            ):
                yield Stage(router, parts, wire, tables, topic)
        finally:
            router.end()
