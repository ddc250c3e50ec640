"""What a routed job sends as telemetry, in bytes, record by record, as Application Insights would get it (JSON before
compression, which is what ingestion is counted by).

python -m bench.telemetry_bytes [JOBS] [--pause SECONDS]

One job after the other: submitted, offered, accepted, completed, closed. What the idle router sends meanwhile is
measured before and taken off."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.telemetry_sink import Sink, sink
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

_WORKER = "ada"


@dataclass
class Sent:
    """Records and their bytes, by kind and name."""

    records: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.bytes.values())


def weigh(envelopes: Iterable[Mapping[str, Any]]) -> Sent:
    """What records weigh as they are ingested."""
    sent = Sent()
    for envelope in envelopes:
        base = envelope["data"]["baseData"]
        names = [one["name"] for one in base.get("metrics", ())] or [base.get("name") or base.get("type") or ""]
        kind = f"{envelope['data']['baseType'].removesuffix('Data')} {names[0].split(' ')[0]}"
        if base.get("target") and base.get("type") != "InProc":
            kind = f"call of {base['type']}"
        sent.records[kind] += 1
        sent.bytes[kind] += len(json.dumps(envelope, separators=(",", ":")).encode())
    return sent


async def route_jobs(router: LocalRouter, jobs: int, pause: float) -> None:
    """Each job from submission to closed, by one worker who is asked for its offer once it can be there."""
    async with RawWire(router.port, router.key) as wire:
        for number in range(jobs):
            job = f"/routing/jobs/weighed-{number}"
            (await wire.patch(job, {"channelId": "chat", "queueId": "weighed"})).expect(201)
            offer = await _offer(wire)
            taken = (await wire.post(f"/routing/workers/{_WORKER}/offers/{offer}:accept")).expect(200)
            assignment = f"{job}/assignments/{taken['assignmentId']}"
            (await wire.post(f"{assignment}:complete")).expect(200)
            (await wire.post(f"{assignment}:close")).expect(200)
            await asyncio.sleep(pause)


async def _offer(wire: RawWire) -> str:
    for _ in range(400):
        await asyncio.sleep(0.15)  # few requests beside the job's own
        offers = (await wire.get(f"/routing/workers/{_WORKER}")).expect(200)["offers"]
        if offers:
            return str(offers[0]["offerId"])
    raise TimeoutError("no offer")


async def make_settings(router: LocalRouter) -> None:
    async with RawWire(router.port, router.key) as wire:
        mode = {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": 60}
        (await wire.patch("/routing/distributionPolicies/weighed", mode)).expect(201)
        (await wire.patch("/routing/queues/weighed", {"distributionPolicyId": "weighed"})).expect(201)
        worker = {
            "capacity": 1,
            "queues": ["weighed"],
            "availableForOffers": True,
            "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
        }
        (await wire.patch(f"/routing/workers/{_WORKER}", worker)).expect(201)


def measure(folder: Path, jobs: int, pause: float, received: Sink, idle_seconds: float = 12.0) -> tuple[Sent, Sent]:
    """What the router sends for these jobs, all that it sends at its end included, and what it sends idle."""
    environment = {"APPLICATIONINSIGHTS_CONNECTION_STRING": received.connection_string}
    router = LocalRouter(folder, environment=environment)
    try:
        asyncio.run(make_settings(router))
        time.sleep(idle_seconds)
        before = len(received.envelopes)
        time.sleep(idle_seconds)
        idle = weigh(received.envelopes[before:])
        before = len(received.envelopes)
        asyncio.run(route_jobs(router, jobs, pause))
    finally:
        router.end()
    return weigh(received.envelopes[before:]), idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="?", default=20)
    parser.add_argument("--pause", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sink() as received:
        sent, idle = measure(Path(folder), options.jobs, options.pause, received)
    print(f"{options.jobs} jobs, {options.pause:g} s apart; idle for 12 s: {idle.total:,} bytes")
    print(f"{'record':52} {'a job':>8} {'bytes a job':>12}")
    for kind, size in sent.bytes.most_common():
        print(f"{kind:52} {sent.records[kind] / options.jobs:8.2f} {size / options.jobs:12,.0f}")
    print(f"{'together':52} {sum(sent.records.values()) / options.jobs:8.2f} {sent.total / options.jobs:12,.0f}")


if __name__ == "__main__":
    main()
