"""Policies and queues as clients use them: upsert, get, list, delete
(docs/behaviour.md, "Operations" and "Deleting what is in use")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeGuard, TypeVar

from router.commit.parts import Parts
from router.errors import BadRequest, Busy, Conflict, ErrorDetail, NotFound
from router.models.jobs import ENDED
from router.models.policies import exception_actions
from router.models.types import check_id, same_on_wire
from router.offload import by_size, by_weight
from router.storage.members import Owner
from router.storage.port import RowChanged
from router.storage.record_pages import Position
from router.storage.resources import Resource
from router.upkeep import changes
from router.upkeep import settings as settings_upkeep
from router.wire.invalid import InvalidDocument

_TRIES: Final = 8
#: What each kind names, and which kind that is.
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "Queue": {"distributionPolicyId": "DistributionPolicy", "exceptionPolicyId": "ExceptionPolicy"},
    "ClassificationPolicy": {"fallbackQueueId": "Queue"},
    "DistributionPolicy": {},
}
_IN_ACTIONS: Final[Mapping[str, str]] = {"classificationPolicyId": "ClassificationPolicy", "queueId": "Queue"}
Document = dict[str, Any]
T = TypeVar("T")
#: Makes the document that is to be stored, from the stored one. Raises BadRequest; as InvalidDocument, what it names is
#: looked up all the same.
Build = Callable[[Document | None], Document]
#: Raises ConditionNotMet when the caller's conditions do not hold for this ETag and time.
Check = Callable[[str | None, datetime | None], None]

#: What is wrong with the references in these fields of a document, which may hold anything.
Missing = Callable[[Mapping[str, Any]], Awaitable[list[ErrorDetail]]]


async def checked(build: Callable[[], Awaitable[T]], fields: Callable[[T], Mapping[str, Any]], missing: Missing) -> T:
    """What a client wants, once everything that it names is there. Raises one BadRequest for all that is wrong."""
    try:
        wanted = await build()
    except InvalidDocument as refused:
        raise refused.with_missing(await missing(refused.document)) from None
    if details := await missing(fields(wanted)):
        raise BadRequest(" ".join(detail.message for detail in details), details=details)
    return wanted


async def upsert(parts: Parts, kind: str, id: str, build: Build, check: Check) -> tuple[Resource, bool]:
    """The resource afterwards, and whether it is new. What changes nothing is not written."""
    for _ in range(_TRIES):
        current = await parts.resources.load(kind, id)
        check(current.etag if current else None, current.modified if current else None)
        document = await checked(
            partial(by_weight, build, dict(current.document) if current else None),
            lambda document: document,
            partial(_missing, parts, kind, current),
        )
        if current is not None and await by_weight(same_on_wire, document, dict(current.document)):
            return current, False
        now = parts.clock.now()
        version, created = (current.version, current.created) if current else ("", now)
        before = current.document if current else None
        change = await by_weight(changes.entry_of, parts, kind, id, before, document, now)
        resource = Resource(kind, id, document, parts.ids.etag(), now, version, created, change=change)
        await settings_upkeep.arm(parts, kind, id, before, document)
        if change is not None:
            # Whoever made the change before may have died, and this one takes its place in the row.
            await asyncio.gather(changes.arm(parts, kind, id), changes.tell(parts, current.change if current else None))
        try:
            saved = await parts.resources.save(resource)
        except RowChanged:
            continue
        parts.background.start(changes.tell(parts, change), f"tell the change of {kind}/{id}")
        return saved, current is None
    raise Busy


async def get(parts: Parts, kind: str, id: str) -> Resource:
    found = await parts.resources.load(kind, id)
    if found is None:
        raise NotFound(kind, id)
    return found


async def page(parts: Parts, kind: str, size: int, after: Position | None) -> tuple[list[Resource], Position | None]:
    return await parts.resources.page(kind, size, after)


async def delete(parts: Parts, kind: str, id: str) -> None:
    """Refused while in use (docs/behaviour.md, "Deleting what is in use"); fine when it is not there."""
    for _ in range(_TRIES):
        current = await parts.resources.load(kind, id)
        if current is None:
            return
        await _refuse_in_use(parts, kind, id)
        now = parts.clock.now()
        change = await by_size(current.size, changes.entry_of, parts, kind, id, current.document, None, now)
        if change is not None:
            await asyncio.gather(
                changes.arm(parts, kind, id),
                changes.tell(parts, current.change),
                changes.announce_deletion(parts, change),
            )
        try:
            await parts.resources.delete(kind, id, current.version)
        except RowChanged:
            await changes.end_deletion(parts, change, done=False)
            continue
        parts.background.start(changes.end_deletion(parts, change, done=True), f"tell the deletion of {kind}/{id}")
        return
    raise Busy


async def _refuse_in_use(parts: Parts, kind: str, id: str) -> None:
    match kind:
        case "DistributionPolicy":
            await _refuse_if_named(parts, id, kind, "DistributionPolicyId", "QueueExistsWithDistributionPolicy")
        case "ExceptionPolicy":
            await _refuse_if_named(parts, id, kind, "ExceptionPolicyId", "QueueExistsWithExceptionPolicy")
        case "ClassificationPolicy":
            job_id = await _active_member(parts, ("c", id))
            if job_id is not None:
                raise _in_use(kind, id, "ActiveJobWithClassificationPolicyExist", f"job '{job_id}' is active with it")
        case _:
            await _refuse_queue(parts, id)


async def _refuse_if_named(parts: Parts, id: str, kind: str, column: str, code: str) -> None:
    queue_id = await parts.resources.refers("Queue", column, id)
    if queue_id is not None:
        raise _in_use(kind, id, code, f"queue '{queue_id}' names it")


async def _refuse_queue(parts: Parts, id: str) -> None:
    reasons: list[ErrorDetail] = []
    job_id = await _active_member(parts, ("q", id))
    if job_id is not None:
        reasons.append(ErrorDetail("ActiveJobInQueueExist", f"job '{job_id}' is active in it", "Queue"))
    policy_id = await parts.resources.refers("ClassificationPolicy", "FallbackQueueId", id)
    if policy_id is not None:
        message = f"classification policy '{policy_id}' names it as fallback queue"
        reasons.append(ErrorDetail("ClassificationPolicyWithFallbackQueueExist", message, "Queue"))
    worker_id = await parts.worker_rows.naming_queue(id)
    if worker_id is not None:
        message = f"worker '{worker_id}' is assigned to it"
        reasons.append(ErrorDetail("AssignedWorkerToQueueExist", message, "Queue"))
    if reasons:
        text = " and ".join(reason.message for reason in reasons)
        raise Conflict(f"Queue '{id}' cannot be deleted: {text}.", details=reasons, target="Queue")


async def _active_member(parts: Parts, owner: Owner) -> str | None:
    """A job that is active and names the owner. Hints of jobs that have ended are removed on the way; one without a
    job may be of a job that is just being created."""
    async for job_id in parts.members.of(owner):
        row = await parts.jobs.store.load(job_id)
        job = row.record.job if row.record else None
        named = job and (job.queue_id if owner[0] == "q" else job.classification_policy_id)
        if job is not None and job.status not in ENDED and named == owner[1]:
            return job_id
        if job is not None and job.status in ENDED:
            await parts.members.remove(owner, job_id)
    return None


def _in_use(kind: str, id: str, code: str, reason: str) -> BadRequest:
    message = f"{kind} '{id}' cannot be deleted: {reason}."
    return BadRequest(message, target=kind, details=[ErrorDetail(code, message, kind)])


async def _missing(parts: Parts, kind: str, current: Resource | None, document: Mapping[str, Any]) -> list[ErrorDetail]:
    """What a queue or policy names must exist; what it names already is not looked at again."""
    before = current.document if current is not None else {}
    if kind == "ExceptionPolicy":
        return await _missing_in_actions(parts, before, document)
    return await missing_references(parts, _NAMES[kind], before, document)


async def _missing_in_actions(
    parts: Parts, before: Mapping[str, Any], document: Mapping[str, Any]
) -> list[ErrorDetail]:
    known = {(field, action.get(field)) for _, action in exception_actions(before) for field in _IN_ACTIONS}
    found: dict[tuple[str, str], bool] = {}
    problems: list[ErrorDetail] = []
    for path, action in exception_actions(document):
        for field, kind in _IN_ACTIONS.items():
            id = action.get(field)
            if not is_id(id) or (field, id) in known:
                continue
            if (kind, id) not in found:
                found[kind, id] = await parts.resources.cached(kind, id) is not None
            if not found[kind, id]:
                problems.append(not_found(kind, id, f"{path}.{field}"))
    return problems


async def missing_references(
    parts: Parts, kinds: Mapping[str, str], before: Mapping[str, Any], named: Mapping[str, Any]
) -> list[ErrorDetail]:
    """What is wrong with the references in these fields, each to something of a kind, that are not as `before`."""
    found = [
        await missing_reference(parts, kind, named.get(field), field)
        for field, kind in kinds.items()
        if named.get(field) != before.get(field)
    ]
    return [detail for detail in found if detail is not None]


async def missing_reference(parts: Parts, kind: str, named: Any, field: str) -> ErrorDetail | None:
    """What is wrong with a reference to something of this kind. One that is no id is invalid anyway."""
    if not is_id(named) or await parts.resources.cached(kind, named) is not None:
        return None
    return not_found(kind, named, field)


def not_found(kind: str, id: str, field: str) -> ErrorDetail:
    return ErrorDetail(f"{kind}NotFound", f"'{field}' names {kind} '{id}', which was not found.", field)


def is_id(named: Any) -> TypeGuard[str]:
    if not isinstance(named, str):
        return False
    try:
        check_id(named)
    except ValueError:
        return False
    return True
