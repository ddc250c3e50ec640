"""Which events the histories of jobs and workers imply, held against those that a subscriber has."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from router.models.types import parse_time

Event = dict[str, Any]
#: An event's name and the ids that make it this one: so many of it there must be.
Key = tuple[str, ...]

_ENDS = ("Accepted", "Declined", "Expired", "Revoked")
#: The ids beside the job's that tell two events of one job apart.
_TELLING = ("assignmentId", "offerId", "dispositionCode")


@dataclass
class JobHistory:
    """What is known of a job at the end: its final state as the API gives it, and what clients have done to it."""

    id: str
    final: dict[str, Any] | None
    declined: list[str] = field(default_factory=list)
    unassigned: list[str] = field(default_factory=list)
    deleted: bool = False


@dataclass
class WorkerHistory:
    id: str
    registered: int = 1
    deregistered: int = 0


def complaints(jobs: Sequence[JobHistory], workers: Sequence[WorkerHistory], events: Sequence[Event]) -> list[str]:
    """What is missing, too much or wrong; empty when the subscriber has all that the histories imply."""
    found: list[str] = list(_different_duplicates(events))
    once = {event["id"]: event for event in events}
    had = Counter(_key(event) for event in once.values())
    expected: Counter[Key] = Counter()
    for history in jobs:
        expected.update(_of_job(history))
    for worker in workers:
        expected[("RouterWorkerRegistered", worker.id)] += worker.registered
        expected[("RouterWorkerDeregistered", worker.id)] += worker.deregistered
    for key in expected.keys() | had.keys():
        if key[0] in ("RouterWorkerOfferIssued", "RouterWorkerOfferRevoked", "RouterWorkerOfferExpired"):
            continue  # no client sees these; they are held against each other below
        if expected[key] != had[key]:
            found.append(f"{had[key]} instead of {expected[key]}: {' '.join(key)}")
    found.extend(_offers(once.values()))
    found.extend(_out_of_order(once.values()))
    return sorted(found)


def _of_job(history: JobHistory) -> Iterator[Key]:
    job = history.final or {}
    yield ("RouterJobReceived", history.id)
    first = 1 if job.get("enqueuedAt") else 0  # a job may be cancelled before it is queued
    for _ in range(first + len(history.unassigned)):
        yield ("RouterJobQueued", history.id)
    for offer in history.declined:
        yield ("RouterWorkerOfferDeclined", history.id, offer)
    for assignment in history.unassigned:
        yield ("RouterWorkerOfferAccepted", history.id, assignment)
        yield ("RouterJobUnassigned", history.id, assignment)
    for assignment, held in job.get("assignments", {}).items():
        yield ("RouterWorkerOfferAccepted", history.id, assignment)
        if held.get("completedAt"):
            yield ("RouterJobCompleted", history.id, assignment)
        if held.get("closedAt"):
            yield ("RouterJobClosed", history.id, assignment, job["dispositionCode"])
    if job.get("status") == "cancelled":
        yield ("RouterJobCancelled", history.id, job["dispositionCode"])
    if history.deleted:
        yield ("RouterJobDeleted", history.id)


def _name(event: Event) -> str:
    return str(event["eventType"]).removeprefix("Microsoft.Communication.")


def _key(event: Event) -> Key:
    name, data = _name(event), event["data"]
    if name in ("RouterWorkerRegistered", "RouterWorkerDeregistered", "RouterWorkerUpdated", "RouterWorkerDeleted"):
        return (name, data["workerId"])
    telling = ("assignmentId",) if name == "RouterWorkerOfferAccepted" else _TELLING
    return (name, data["jobId"], *(data[part] for part in telling if part in data))


def _offers(events: Iterable[Event]) -> Iterator[str]:
    """Every offer was issued once and has ended once."""
    issued: Counter[str] = Counter()
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        name = _name(event).removeprefix("RouterWorkerOffer")
        if name == "Issued":
            issued[event["data"]["offerId"]] += 1
        elif name in _ENDS:
            ends[event["data"]["offerId"]].append(name)
    for offer in issued.keys() | ends.keys():
        if issued[offer] != 1:
            yield f"offer {offer} was issued {issued[offer]} times and ended as {ends[offer]}"
        elif len(ends[offer]) != 1:
            yield f"offer {offer} ended as {ends[offer] or 'nothing'}"


def _out_of_order(events: Iterable[Event]) -> Iterator[str]:
    """Event times tell the order of truth: received first; an assignment's accept, completion and close in turn."""
    stages = {
        "RouterJobReceived": 0,
        "RouterJobQueued": 1,
        "RouterWorkerOfferIssued": 2,
        "RouterWorkerOfferAccepted": 3,
        "RouterJobCompleted": 4,
        "RouterJobClosed": 5,
        "RouterJobDeleted": 6,
    }
    of_jobs: defaultdict[str, list[tuple[Any, int]]] = defaultdict(list)
    again = set()
    for event in events:
        job = event["data"].get("jobId")
        if _name(event) == "RouterJobUnassigned":
            again.add(job)
        if _name(event) in stages:
            of_jobs[job].append((parse_time(event["eventTime"]), stages[_name(event)]))
    for job, told in of_jobs.items():
        in_time = [stage for _, stage in sorted(told)]
        if job not in again and in_time != sorted(in_time):
            yield f"the events of {job} have times out of order: {in_time}"


def _different_duplicates(events: Iterable[Event]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for event in events:
        text = json.dumps(event, sort_keys=True)
        if seen.setdefault(event["id"], text) != text:
            yield f"event {event['id']} came twice with different contents"
