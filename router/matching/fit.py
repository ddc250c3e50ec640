"""Whether a worker can take a waiting job, as far as the index tells of both."""

from __future__ import annotations

from datetime import datetime

from router.engine.candidates import Candidate
from router.engine.matching import no_room, still_declined
from router.engine.selectors import first_failing
from router.storage.backlog import Waiting


def needs_of(waiting: Waiting) -> str:
    return waiting.needs or f"{waiting.channel_id}\n{[one.model_dump_json() for one in waiting.selectors]}"


def meets(waiting: Waiting, worker: Candidate, bypass: bool) -> bool:
    return waiting.channel_id in worker.channels and (bypass or first_failing(waiting.selectors, worker.labels) is None)


def could_take(waiting: Waiting, worker: Candidate, bypass: bool, now: datetime) -> bool:
    if not meets(waiting, worker, bypass) or no_room(worker, waiting.channel_id) is not None:
        return False
    decline = (waiting.declined or {}).get(worker.worker_id)
    return decline is None or not still_declined(decline, worker.registered_at, now)


def slots(worker: Candidate) -> int:
    """How many more jobs the worker could take."""
    cheapest = min((one.cost for one in worker.channels.values()), default=worker.capacity)
    slots = (worker.capacity - worker.used) // max(cheapest, 1)
    if worker.most_offers is not None:
        slots = min(slots, worker.most_offers - worker.offers)
    return max(slots, 0)
