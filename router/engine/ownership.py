"""What is a caller's own: the worker that it works as, and the jobs that this one holds (docs/security.md, "Rights").

Decided on the rows that an operation goes by: nothing is read for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.errors import Forbidden
from router.models.jobs import JobRecord
from router.models.workers import RouterWorker, RouterWorkerInput, WorkerRecord

#: The tag by which a worker belongs to a user of Microsoft Entra ID.
OWNER_TAG: Final = "entraObjectId"
#: Object ids are GUIDs: what is longer is none, and is not remembered.
_LONGEST: Final = 64
#: What its own worker's caller may change of it.
_OWN_FIELDS: Final = frozenset({"available_for_offers"})


def owner(worker: RouterWorker) -> str | None:
    """The object id of whom the worker belongs to by its tag."""
    return _owner(worker.tags)


def _owner(tags: Mapping[str, Any]) -> str | None:
    tag = tags.get(OWNER_TAG)
    return tag.lower() if isinstance(tag, str) and 0 < len(tag) <= _LONGEST else None


@dataclass(frozen=True, slots=True)
class Own:
    """A caller who comes to what is its own alone, by its object id (none: nothing is)."""

    object_id: str | None

    def is_worker(self, worker: RouterWorker) -> bool:
        return self.owns(worker.id, worker.tags)

    def owns(self, worker_id: str, tags: Mapping[str, Any]) -> bool:
        """Whether a worker of this id and these tags is the caller's."""
        return self._is(worker_id, _owner(tags))

    def check_worker(self, record: WorkerRecord | None) -> None:
        """Raises Forbidden; also for a worker that is not there, which nobody can be."""
        if record is None or not self.is_worker(record.worker):
            raise Forbidden("This worker is not the caller's own.")

    def check_change(self, record: WorkerRecord, wanted: RouterWorkerInput) -> None:
        """Of its own worker a caller sets whether it takes offers. Raises Forbidden."""
        fields = RouterWorkerInput.model_fields.keys() - _OWN_FIELDS
        if any(getattr(wanted, name) != getattr(record.worker, name) for name in fields):
            raise Forbidden("Of the own worker only availableForOffers may be changed.")

    def check_job(self, record: JobRecord) -> None:
        """The job is offered to the caller's worker, or was assigned to it. Raises Forbidden."""
        offered = (self._is(one.worker_id, one.owner) for one in record.routing.offers.values())
        if not any(offered) and not any(self._has(record, id) for id in record.job.assignments):
            raise Forbidden("This job is not offered or assigned to the caller's own worker.")

    def check_assignment(self, record: JobRecord, assignment_id: str) -> None:
        """Raises Forbidden; also for an assignment that the job does not have."""
        if not self._has(record, assignment_id):
            raise Forbidden("This assignment is not of the caller's own worker.")

    def _has(self, record: JobRecord, assignment_id: str) -> bool:
        held = record.job.assignments.get(assignment_id)
        return held is not None and self._is(held.worker_id, record.routing.assignment_owners.get(assignment_id))

    def _is(self, worker_id: str, owned_by: str | None) -> bool:
        mine = self.object_id
        return mine is not None and (worker_id == mine or owned_by == mine.lower())
