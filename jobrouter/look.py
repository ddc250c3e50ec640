"""`ls`, `show` and `explain`: reading, and nothing else."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from jobrouter import kinds, output
from jobrouter.connect import connect
from jobrouter.failure import DONE
from router.clock import SystemClock
from router.migrate.client import Client
from router.migrate.kinds import JOB, QUEUE, WORKER, Document, Kind

_AT_A_TIME: Final = 8
_CLEAR: Final = "\x1b[H\x1b[2J"


async def ls(options: argparse.Namespace) -> int:
    kind = kinds.MANY[options.kind]
    async with connect(options.trust) as client:
        while True:
            items = await _items(client, kind, options)
            if options.json:
                output.say_json(items, line=options.watch is not None)
            else:
                start = _CLEAR if options.watch is not None and sys.stdout.isatty() else ""
                output.say(start + _table(kind, items))
            if options.watch is None:
                return DONE
            await asyncio.sleep(options.watch)


async def show(options: argparse.Namespace) -> int:
    kind = kinds.ONE[options.kind]
    async with connect(options.trust) as client:
        found = await client.get(kind, options.id)
        if kind is QUEUE:
            found = {**found, "statistics": await client.get(kind, options.id, "/statistics")}
    _tell(found, options.json)
    return DONE


async def explain(options: argparse.Namespace) -> int:
    async with connect(options.trust) as client:
        found = await client.get(JOB, options.id, "/explain")
        page = found
        while (link := page.get("nextLink")) and len(found["workers"]) < options.limit:
            page = await client.follow(str(link))
            found["workers"] += page["workers"]
    more = bool(found.pop("nextLink", None)) and bool(page.get("nextLink"))
    found["workers"] = found["workers"][: options.limit]
    if options.json:
        output.say_json(found)
        return DONE
    output.say(f"{output.clean(found['jobId'])} is {found['status']}. {output.clean(found['summary'])}")
    if found["next"]:
        output.say("\nWhat happens next by itself:")
        output.say(output.table(("AT", "WHAT"), [(one["at"], one["message"]) for one in found["next"]]))
    if found["workers"]:
        rows = [(one["workerId"], one["qualifies"], one.get("message")) for one in found["workers"]]
        output.say("\nThe workers of its queue:")
        output.say(output.table(("WORKER", "QUALIFIES", "WHY NOT"), rows))
    if more:
        output.say(f"(the first {options.limit}; --limit shows more)")
    return DONE


async def _items(client: Client, kind: Kind, options: argparse.Namespace) -> list[Document]:
    query = {
        name: value
        for name, value in (
            ("status", options.status if kind is JOB else None),
            ("state", options.state if kind is WORKER else None),
            ("queueId", options.queue if kind in (JOB, WORKER) else None),
            ("channelId", options.channel if kind in (JOB, WORKER) else None),
        )
        if value is not None
    }
    found: dict[str, Document] = {}
    async for item in client.list(replace(kind, lists=(query,))):
        found[str(item["id"])] = item
        if len(found) >= options.limit:
            break
    items = list(found.values())
    return await _with_statistics(client, items) if kind is QUEUE else items


async def _with_statistics(client: Client, queues: Sequence[Document]) -> list[Document]:
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(queue: Document) -> Document:
        async with slots:
            return {**queue, "statistics": await client.get(QUEUE, str(queue["id"]), "/statistics")}

    return list(await asyncio.gather(*(one(queue) for queue in queues)))


def _table(kind: Kind, items: Sequence[Document]) -> str:
    now = SystemClock().now()
    rows: list[Sequence[Any]]
    if kind is JOB:
        rows = [
            (
                one["id"],
                one.get("status"),
                one.get("channelId"),
                one.get("queueId"),
                one.get("priority"),
                output.since(one.get("enqueuedAt"), now),
                _assigned_to(one),
            )
            for one in items
        ]
        return output.table(("JOB", "STATUS", "CHANNEL", "QUEUE", "PRIORITY", "QUEUED FOR", "WORKER"), rows)
    if kind is WORKER:
        rows = [
            (
                one["id"],
                one.get("state"),
                one.get("availableForOffers"),
                round(100 * float(one.get("loadRatio") or 0)),
                len(one.get("offers") or []),
                len(one.get("assignedJobs") or []),
                ", ".join(one.get("queues") or []),
            )
            for one in items
        ]
        return output.table(("WORKER", "STATE", "AVAILABLE", "LOAD %", "OFFERS", "JOBS", "QUEUES"), rows)
    if kind is QUEUE:
        rows = [
            (
                one["id"],
                one["statistics"].get("length"),
                _minutes(one["statistics"].get("longestJobWaitTimeMinutes")),
                one.get("distributionPolicyId"),
                one.get("name"),
            )
            for one in items
        ]
        return output.table(("QUEUE", "WAITING", "LONGEST", "DISTRIBUTION POLICY", "NAME"), rows)
    rows = [(one["id"], (one.get("mode") or {}).get("kind"), one.get("name")) for one in items]
    return output.table(("POLICY", "MODE", "NAME"), rows)


def _assigned_to(job: Mapping[str, Any]) -> str | None:
    open_ones = [one for one in (job.get("assignments") or {}).values() if not one.get("closedAt")]
    return str(open_ones[0]["workerId"]) if open_ones else None


def _minutes(value: Any) -> str | None:
    return output.length_of(timedelta(minutes=float(value))) if value is not None else None


def _tell(found: Document, as_json: bool) -> None:
    if as_json:
        output.say_json(found)
    else:
        output.say(output.document(found))
