"""Workers in the live picture (docs/behaviour.md, "Live")."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from router.engine.live_piece import Piece, digest_of, kept, shown_time

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerPiece(Piece):
    document: Document


class Shown(NamedTuple):
    """A worker as it is shown, and what it counts for in which queues."""

    id: str
    piece: WorkerPiece
    queues: Sequence[str]
    offered: Sequence[str]
    assigned: Sequence[str]
    #: The jobs that it has.
    jobs: frozenset[str]
    takes_more: bool
    holds: bool
    #: Whether it has offers that are not shown yet.
    hides: bool


def shown(
    text: str, young: str, attached: Container[str], former: Mapping[str, WorkerPiece], until: datetime
) -> Shown | None:
    """A worker of its stored JSON, without offers that were made after `young` and are not known to be `attached`; none
    if it is being deleted."""
    # Values are hardly ever the same: to remember them costs more than it spares.
    record = from_json(text, cache_strings="keys")
    worker, routing = record["worker"], record["routing"]
    if routing.get("deleting"):
        return None
    offers = [one for one in worker.get("offers", ()) if one["offeredAt"] <= young or one["offerId"] in attached]
    assigned = worker.get("assignedJobs", ())
    can_take = takes_more(worker, routing)
    document = _document(worker, routing, offers, assigned, can_take)
    content = to_json(document)
    of_offers, of_jobs = routing.get("offerQueues", {}), routing.get("assignmentQueues", {})
    return Shown(
        worker["id"],
        kept(WorkerPiece(content, digest_of(content), until, document), former.get(worker["id"])),
        document["queues"],
        [of_offers[one["offerId"]] for one in offers if one["offerId"] in of_offers],
        [of_jobs[one["jobId"]] for one in assigned if one["jobId"] in of_jobs],
        frozenset([one["jobId"] for one in assigned]),
        can_take,
        bool(offers or assigned),
        len(offers) < len(worker.get("offers", ())),
    )


def _document(
    worker: Document, routing: Document, offers: Sequence[Document], assigned: Sequence[Document], can_take: bool
) -> Document:
    since = routing.get("stateSince")
    if since is None and worker["state"] == "active":
        since = routing.get("registeredAt")
    return {
        "id": worker["id"],
        "state": worker["state"],
        "stateSince": since and shown_time(since),
        "availableForOffers": bool(worker.get("availableForOffers")),
        "takesMore": can_take,
        "queues": worker.get("queues", []),
        "channels": worker.get("channels", []),
        "capacity": worker["capacity"],
        "loadRatio": worker.get("loadRatio", 0.0),
        "labels": worker.get("labels", {}),
        "tags": worker.get("tags", {}),
        "offers": [
            {
                "offerId": offer["offerId"],
                "jobId": offer["jobId"],
                "offeredAt": shown_time(offer["offeredAt"]),
                "expiresAt": shown_time(offer["expiresAt"]),
            }
            for offer in offers
        ],
        "assignments": [
            {"assignmentId": one["assignmentId"], "jobId": one["jobId"], "assignedAt": shown_time(one["assignedAt"])}
            for one in assigned
        ],
    }


def takes_more(worker: Document, routing: Document) -> bool:
    """Whether the worker could take a job of any of its channels now, as engine/capacity.py decides it of records."""
    offers = worker.get("offers", ())
    if not worker.get("availableForOffers") or worker["state"] != "active":
        return False
    most_offers = worker.get("maxConcurrentOffers")
    if most_offers is not None and len(offers) >= most_offers:
        return False
    left = worker["capacity"]
    for one in offers:
        left -= one["capacityCost"]
    for one in worker.get("assignedJobs", ()):
        left -= one["capacityCost"]
    jobs = list(routing.get("jobChannels", {}).values())
    for channel in worker.get("channels", ()):
        most = channel.get("maxNumberOfJobs")
        if channel["capacityCostPerJob"] <= left and (most is None or jobs.count(channel["channelId"]) < most):
            return True
    return False
