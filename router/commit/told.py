"""What waits jobs were told "less than": kept by the process that told, until the job is assigned through it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

_MOST: Final = 5_000


class ToldWaits:
    """Remembers of each job what it was told first. Another process may assign the job: which one it is has nothing to
    do with how long it waited, so those that are judged here stand for all."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[str, datetime]] = OrderedDict()

    def tell(self, job_id: str, queue_id: str, until: datetime) -> None:
        """The job was told that it is assigned before `until`."""
        known = self._told.get(job_id)
        if known is None or known[0] != queue_id:
            self._told[job_id] = (queue_id, until)
            if len(self._told) > _MOST:
                self._told.popitem(last=False)

    def holds(self, job_id: str, queue_id: str | None, now: datetime) -> bool | None:
        """Whether what the job was told holds if it is assigned now; None if it was told nothing of this queue."""
        queue, until = self._told.get(job_id, ("", now))
        return None if queue != queue_id else now <= until

    def assigned(self, job_id: str, queue_id: str, now: datetime) -> bool | None:
        """The same of a job that has been assigned now; it is forgotten."""
        held = self.holds(job_id, queue_id, now)
        self._told.pop(job_id, None)
        return held
