"""The end of a worker that is being deleted."""

from __future__ import annotations

from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import workers
from router.errors import Busy
from router.matching import revoke


async def finish_deletion(parts: Parts, worker_id: str) -> None:
    """Revokes what is left and removes the row; done again by reconciliation after a crash."""
    for _ in range(10):
        row = await parts.workers.store.load(worker_id)
        if row.record is None:
            return
        if row.record.worker.offers:
            await revoke.revoke_unqualified(parts, row.record)
        queues = await worker_commits.queue_briefs(parts, row.record.worker.queues)
        _, after = await worker_commits.change(
            parts,
            worker_id,
            lambda record, queues=queues: workers.delete(record, queues) or workers.start_deletion(record),  # type: ignore[misc]
        )
        if after.record is None:
            return
    raise Busy
