"""Offers that are reserved and not yet attached, as far as this process makes them."""

from __future__ import annotations

from collections.abc import Collection


class PendingOffers:
    """Which offers of each job this process is about to attach. Meanwhile other workers pass the job over, and do
    not come again: afterwards it has to look for them, if it takes more offers."""

    def __init__(self) -> None:
        self._pending: dict[str, set[str]] = {}
        self._passed_over: set[str] = set()

    def take(self, job_id: str, offer_id: str) -> None:
        self._pending.setdefault(job_id, set()).add(offer_id)

    def leave(self, job_id: str, offer_id: str) -> None:
        pending = self._pending[job_id]
        pending.remove(offer_id)
        if not pending:
            del self._pending[job_id]

    def passes_over(self, job_id: str, wanted: int, has: Collection[str] = ()) -> bool:
        """Whether a worker that looks for a job is to leave this one: all the offers that it wants are on their way.
        `has` are those that its row shows already: the answer to that write may still be under way."""
        if not 0 < wanted <= len(self._pending.get(job_id, set()).difference(has)):
            return False
        self._passed_over.add(job_id)
        return True

    def was_passed_over(self, job_id: str) -> bool:
        """Whether that has happened since this was asked last."""
        if job_id not in self._passed_over:
            return False
        self._passed_over.discard(job_id)
        return True
