"""Offers that are reserved and not yet attached, as far as this process makes them."""

from __future__ import annotations


class PendingOffers:
    """How many offers of each job this process is about to attach. Meanwhile other workers pass the job over, and do
    not come again: afterwards it has to look for them, if it takes more offers."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._passed_over: set[str] = set()

    def take(self, job_id: str) -> None:
        self._counts[job_id] = self._counts.get(job_id, 0) + 1

    def leave(self, job_id: str) -> None:
        self._counts[job_id] -= 1
        if not self._counts[job_id]:
            del self._counts[job_id]

    def passes_over(self, job_id: str, wanted: int) -> bool:
        """Whether a worker that looks for a job is to leave this one: all the offers that it wants are on their way."""
        if not 0 < wanted <= self._counts.get(job_id, 0):
            return False
        self._passed_over.add(job_id)
        return True

    def was_passed_over(self, job_id: str) -> bool:
        """Whether that has happened since this was asked last."""
        if job_id not in self._passed_over:
            return False
        self._passed_over.discard(job_id)
        return True
