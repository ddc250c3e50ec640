"""The workers of a day: each as it is now, who can take something, and how much of them is in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from router.engine.candidates import Candidate, available
from router.engine.capacity import in_use
from router.models.workers import WorkerRecord
from router.replay.played import Played


class Team:
    def __init__(self, played: Played, until: float) -> None:
        """Its use is counted until that second: who is there later is not known."""
        self._played, self._until = played, until
        self._workers: dict[str, WorkerRecord] = {}
        #: As matching sees them; none for those who can take nothing.
        self._candidates: dict[str, Candidate | None] = {}
        self._free: dict[str, dict[str, Candidate]] = defaultdict(dict)
        #: The queues in which it stands there.
        self._free_in: dict[str, frozenset[str]] = {}
        #: Since when its use is not counted yet, and the capacity in use.
        self._since: dict[str, tuple[float, int]] = {}
        #: Which of its forms it has now (Played.teams).
        self._form: dict[str, int] = {}

    def get(self, worker_id: str) -> WorkerRecord | None:
        return self._workers.get(worker_id)

    def __getitem__(self, worker_id: str) -> WorkerRecord:
        return self._workers[worker_id]

    def free_for(self, queue_id: str) -> list[Candidate]:
        """Who can take something, of those who serve the queue."""
        free = self._free.get(queue_id)
        return list(free.values()) if free else []

    def still_free(self, worker_ids: Sequence[str]) -> list[Candidate]:
        """Of these, who can take something, as they are now."""
        return [one for worker_id in worker_ids if (one := self._candidates.get(worker_id)) is not None]

    def put(self, record: WorkerRecord, second: float) -> None:
        worker_id = record.worker.id
        self.count_use(worker_id, second)
        self._workers[worker_id] = record
        number = self._form.get(worker_id, 0)
        known, worker = self._played.teams.get((worker_id, number)), record.worker
        if known is None or (
            known is not worker
            and (known.queues, known.channels, known.labels) != (worker.queues, worker.channels, worker.labels)
        ):
            number += known is not None
            self._played.teams[worker_id, number] = worker
        self._form[worker_id] = number
        candidate = self._candidates[worker_id] = available(record)
        stays = frozenset(candidate.queues) if candidate is not None else frozenset()
        for queue_id in self._free_in.get(worker_id, frozenset()) - stays:
            del self._free[queue_id][worker_id]
        self._free_in[worker_id] = stays
        if candidate is not None:
            for queue_id in candidate.queues:
                self._free[queue_id][worker_id] = candidate
        self._since[worker_id] = (second, in_use(record.worker))

    def count_use(self, worker_id: str, second: float) -> None:
        """Of the time since the last change, by hour."""
        if worker_id not in self._since:
            return
        begin, used = self._since[worker_id]
        form = (worker_id, self._form[worker_id])
        worker = self._workers[worker_id].worker
        there = worker.capacity if worker.available_for_offers else used
        second = min(second, self._until)
        while there and begin < second:
            hour = int(begin // 3600)
            end = min((hour + 1) * 3600.0, second)
            self._played.used[form, hour] += used * (end - begin)
            self._played.there[form, hour] += there * (end - begin)
            begin = end

    def count_all(self, second: float) -> None:
        for worker_id in list(self._since):
            self.count_use(worker_id, second)
