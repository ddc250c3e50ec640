"""What `export history` asks the router for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from jobrouter.history import fetched
from router.migrate.client import Client
from router.models.types import format_time, parse_time


class Answers:
    """Stands for a router whose clock is a day ahead, where one job was received."""

    def __init__(self) -> None:
        self.at = format_time(datetime.now(UTC) + timedelta(days=1))

    async def read(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        entry = {
            "at": self.at,
            "owner": "job/j",
            "eventType": "Microsoft.Communication.RouterJobReceived",
            "eventId": "e",
            "actor": {"kind": "router", "name": ""},
            "jobId": "j",
            "what": {},
        }
        return {"value": [entry] if path == "/routing/history" else []}

    async def list(self, kind: object) -> AsyncIterator[dict[str, Any]]:
        nothing: tuple[dict[str, Any], ...] = ()
        for one in nothing:
            yield one


async def test_without_an_end_it_goes_up_to_the_last_that_happened_whatever_the_clock_here() -> None:
    router = Answers()
    header, *rest = await fetched(cast(Client, router), "2026-01-01T00:00:00Z")
    assert [one["id"] for one in rest if one["kind"] == "job"] == ["j"]
    assert parse_time(header["to"]) > parse_time(router.at)
    header, *rest = await fetched(cast(Client, router), "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert rest == []
