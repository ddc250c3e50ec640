"""The queues' lines: who waits where, in the order of service."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from router.engine.service_order import Place, standing
from router.models.jobs import JobRecord, JobStatus


class Lines:
    def __init__(self) -> None:
        self._lines: dict[str, list[Place]] = defaultdict(list)
        self._stands: dict[str, tuple[str, Place]] = {}

    def put(self, record: JobRecord) -> None:
        """Where the job stands now, if it waits."""
        stands = self._stands.pop(record.id, None)
        where = standing(record)
        now = (where.queue_id, where.place) if where is not None and record.status is JobStatus.QUEUED else None
        if now == stands and now is not None:
            self._stands[record.id] = now
            return
        if stands is not None:
            line = self._lines[stands[0]]
            del line[bisect_left(line, stands[1])]
        if now is not None:
            insort(self._lines[now[0]], now[1])
            self._stands[record.id] = now

    def ahead_of(self, job_id: str) -> int:
        queue_id, place = self._stands[job_id]
        return bisect_left(self._lines[queue_id], place)

    def waiting_of(self, job_ids: Iterable[str]) -> list[str]:
        """Of these, who waits, in the order of service."""
        return [place.job_id for place in sorted(self._stands[one][1] for one in job_ids if one in self._stands)]

    def in_order(self, queue_ids: Sequence[str]) -> Iterator[Place]:
        """Who waits in any of these, as the lines are now."""
        lines = [list(self._lines[one]) for one in queue_ids if self._lines.get(one)]
        if len(lines) == 1:
            return iter(lines[0])
        return iter(list(heapq.merge(*lines)))
