"""`drain` and `purge`: what an operator does to workers and jobs."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from jobrouter import output
from jobrouter.connect import connect
from jobrouter.failure import DONE, NOT_SO, CommandError, NotSo
from router.clock import SystemClock
from router.migrate.client import Client
from router.migrate.failure import Refused
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, QUEUE, WORKER, Document, Kind

T = TypeVar("T")

_AT_A_TIME: Final = 16
_LOOK_SECONDS: Final = 1.0
_FOREVER: Final = 10.0 * 365 * 86400
#: Jobs in these can be deleted (docs/behaviour.md, "Job life").
ENDED: Final = ("closed", "cancelled", "classificationFailed", "scheduleFailed")
_ROUNDS: Final = 5
#: What names others before what is named.
_BACKWARDS: Final = (WORKER, CLASSIFICATION, QUEUE, EXCEPTION, DISTRIBUTION)


async def drain(options: argparse.Namespace) -> int:
    """No more offers for these workers; with `--wait` until they have no job."""
    if not options.workers and not options.queue:
        raise CommandError("Which workers? Name them, or their queue: --queue QUEUE.")
    async with connect(options.trust) as client:
        ids = list(dict.fromkeys(options.workers))
        if options.queue:
            ids += [
                id for id in await _ids(client, WORKER, {"state": "all", "queueId": options.queue}) if id not in ids
            ]
        if not ids:
            raise NotSo(f"No worker is in queue {output.clean(options.queue)}.")
        unknown: list[str] = []

        async def one(id: str) -> Document | None:
            try:
                # Read first: a PATCH would make a worker of a mistyped id.
                worker = await client.get(WORKER, id)
                return await client.upsert(WORKER, id, {"availableForOffers": False}, etag=worker.get("etag"))
            except Refused as refusal:
                if refusal.status == 412:
                    return await one(id)
                if refusal.status != 404:
                    raise
                unknown.append(id)
                return None

        workers = [found for found in await each(ids, one) if found is not None]
        while options.wait and any(_holds(worker) for worker in workers):
            await asyncio.sleep(_LOOK_SECONDS)
            workers = await each([str(worker["id"]) for worker in workers], lambda one: client.get(WORKER, one))
    if options.json:
        output.say_json({"drained": workers, "unknown": unknown})
    elif workers:
        rows = [(one["id"], one.get("state"), len(one.get("assignedJobs") or [])) for one in workers]
        output.say(output.table(("WORKER", "STATE", "JOBS"), rows))
    for id in unknown:
        output.tell(f"error: There is no worker {output.clean(id)}.")
    return NOT_SO if unknown else DONE


async def purge(options: argparse.Namespace) -> int:
    """Deletes jobs that have ended; with `--all` everything."""
    async with connect(options.trust) as client:
        jobs = await _to_purge(client, options)
        others = {kind: await _ids(client, kind, _every(kind)) for kind in _BACKWARDS} if options.all else {}
        counts = {JOB.plural: len(jobs), **{kind.plural: len(ids) for kind, ids in others.items()}}
        told = _told(counts)
        if not any(counts.values()):
            _tell_purged(options, counts)
            return DONE
        confirm(f"Delete {told} at {client.endpoint.url}?", options.yes)
        failed: list[str] = []

        async def delete(kind: Kind, id: str, job: Document | None = None) -> None:
            try:
                if job is not None and options.all:
                    await _end(client, job)
                await client.delete(kind, id)
            except Refused as refusal:
                failed.append(f"{kind.name} {output.clean(id)}: {refusal}")

        if options.all:  # or a job that waits meets a worker that is about to go

            async def pause(id: str) -> None:
                await client.upsert(WORKER, id, {"availableForOffers": False})

            await each(others[WORKER], pause)
        await each(jobs, lambda job: delete(JOB, str(job["id"]), job))
        for kind, ids in others.items():
            await each(ids, partial(delete, kind))
    _tell_purged(options, counts, len(failed))
    for line in failed:
        output.tell(f"error: {line}")
    return NOT_SO if failed else DONE


def confirm(question: str, yes: bool) -> None:
    """Raises NotSo unless the answer is yes; where nobody can be asked `--yes` is the only one."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can be asked here: --yes says so.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise NotSo("Nothing was done.")


async def each(items: Iterable[Any], work: Callable[[Any], Awaitable[T]]) -> list[T]:
    """The results in the order of the items, a few at a time; the first error ends all."""
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(item: Any) -> T:
        async with slots:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def span(text: str) -> timedelta:
    """`90s`, `15m`, `6h`, `7d`. Raises ValueError."""
    sizes = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    seconds = float(text[:-1]) * sizes[text[-1:]] if text[-1:] in sizes else -1.0
    if not 0 <= seconds <= _FOREVER:
        raise ValueError(text)
    return timedelta(seconds=seconds)


async def _to_purge(client: Client, options: argparse.Namespace) -> list[Document]:
    before = SystemClock().now() - options.older_than if options.older_than else None
    queue = {"queueId": options.queue} if options.queue else {}
    statuses = ("all",) if options.all else ENDED
    found: dict[str, Document] = {}
    for status in statuses:
        async for job in client.list(replace(JOB, lists=({"status": status, **queue},))):
            if before is None or _last_heard_of(job) < before:
                found[str(job["id"])] = job
    return list(found.values())


def _last_heard_of(job: Document) -> datetime:
    """The latest time that the job shows. One without any has never been in a queue: it is taken as old."""
    times = [job.get("enqueuedAt"), job.get("scheduledAt")]
    for one in (job.get("assignments") or {}).values():
        times += [one.get("assignedAt"), one.get("completedAt"), one.get("closedAt")]
    moments = [datetime.fromisoformat(time) for time in times if time]
    return max(moments, default=datetime.fromisoformat("1970-01-01T00:00:00+00:00"))


async def _end(client: Client, job: Document) -> None:
    """Brings a job to where it can be deleted, whatever happens to it meanwhile."""
    id = str(job["id"])
    for _ in range(_ROUNDS):
        if job.get("status") in ENDED:
            return
        try:
            if job.get("status") == "completed":
                for one in (job.get("assignments") or {}).values():
                    if not one.get("closedAt"):
                        await client.act(JOB, id, f"/assignments/{one['assignmentId']}:close")
            else:
                await client.act(JOB, id, ":cancel")
        except Refused as refusal:
            if refusal.status not in (404, 409, 412):
                raise
        job = await client.get(JOB, id)


async def _ids(client: Client, kind: Kind, query: dict[str, str]) -> list[str]:
    return list({str(item["id"]): None async for item in client.list(replace(kind, lists=(query,)))})


def _every(kind: Kind) -> dict[str, str]:
    return {"state": "all"} if kind is WORKER else {}


def _holds(worker: Document) -> bool:
    return bool(worker.get("assignedJobs") or worker.get("offers"))


def _told(counts: dict[str, int]) -> str:
    """`2 jobs, 1 exception policy`."""

    def one(plural: str) -> str:
        return f"{plural.removesuffix('ies')}y" if plural.endswith("ies") else plural.removesuffix("s")

    told = (f"{count} {name if count > 1 else one(name)}" for name, count in counts.items() if count)
    return ", ".join(told) or "nothing"


def _tell_purged(options: argparse.Namespace, counts: dict[str, int], failed: int = 0) -> None:
    if options.json:
        output.say_json({"deleted": counts, "failed": failed})
        return
    told = _told(counts)
    output.say(f"Deleted {told}{f', but for {failed}' if failed else ''}.")
