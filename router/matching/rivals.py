"""Jobs of other queues that want the same workers more urgently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.engine.candidates import Candidate
from router.engine.plan import Rival
from router.engine.service_order import Place, Standing, standing
from router.matching.fit import could_take
from router.matching.rows import LEFT_BEHIND, job
from router.matching.scene import FURTHER, MOST_LOOKED_AT
from router.storage.backlog import Waiting, row_key

_RIVALS: Final = 20


async def rivals(parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place) -> list[Rival]:
    """Jobs of the workers' other queues that stand before `last` and that one of them can take."""
    others = sorted({other for one in workers for other in one.queues if other != queue_id})
    found = await asyncio.gather(*(_rivals_in(parts, other, workers, last) for other in others))
    return [rival for some in found for rival in some]


async def _rivals_in(parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place) -> list[Rival]:
    policy = await policies.distribution_policy(parts, queue_id)
    if policy is None:
        return []
    bypass, now = policy.mode.bypass_selectors, parts.clock.now()
    mine = [one for one in workers if queue_id in one.queues]
    wanted: list[Waiting] = []
    after: str | None = None
    looked_at, size = 0, _RIVALS
    while looked_at < MOST_LOOKED_AT and len(wanted) < len(mine):
        line = await parts.backlog.line(queue_id, size, before=row_key(Standing(queue_id, last)), after=after)
        wanted += [
            waiting
            for waiting in line.jobs
            if waiting.place < last and any(could_take(waiting, one, bypass, now) for one in mine)
        ]
        if not line.more or not line.jobs:
            break
        looked_at, after, size = looked_at + len(line.jobs), line.jobs[-1].row, FURTHER
    rows = await asyncio.gather(*(job(parts, waiting, from_memory=False) for waiting in wanted))
    found: list[Rival] = []
    for waiting, row in zip(wanted, rows, strict=True):
        where = standing(row.record)
        if row.record is not None and where is not None and row_key(where) == waiting.row:
            found.append(Rival(row.record, policy))
        elif waiting.written is None or now - waiting.written > LEFT_BEHIND:
            await parts.backlog.remove_row(queue_id, waiting.row)
    return found
