"""A history file: one JSON object a line (docs/whatif.md has the form). What cannot be read is named, never guessed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from router.models.jobs import RouterJobInput
from router.models.policies import DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.types import parse_time
from router.models.workers import RouterWorkerInput
from router.replay.errors import BadLine, ReplayError

RESOURCES: Final[dict[str, type[BaseModel]]] = {
    "queue": RouterQueue,
    "distributionPolicy": DistributionPolicy,
    "exceptionPolicy": ExceptionPolicy,
}
_KINDS: Final = frozenset({"header", "classificationPolicy", "worker", "job", *RESOURCES})
_JOB_WHATS: Final = frozenset(
    {"queued", "offered", "declined", "expired", "revoked", "accepted", "unassigned", "completed", "closed"}
    | {"cancelled", "moved", "reprioritised", "failed", "updated"}
)
_WORKER_WHATS: Final = frozenset({"registered", "deregistered", "available", "unavailable", "updated"})


#: A worker without these, or a job without these, cannot be played.
_WORKER_NEEDS: Final[tuple[str, ...]] = ("capacity", "queues", "channels")
_JOB_NEEDS: Final[tuple[str, ...]] = (
    "createdAt",
    "priority",
    "queueId",
    "requestedWorkerSelectors",
    "attachedWorkerSelectors",
)


@dataclass(frozen=True)
class Entry:
    at: datetime
    what: str
    fields: Mapping[str, Any]
    resource: Any = None


@dataclass(frozen=True)
class Setting:
    """A queue or policy as of the day's begin, and as it became; None where it was not there."""

    kind: str
    id: str
    resource: Any
    changes: tuple[tuple[datetime, Any], ...] = ()


@dataclass(frozen=True)
class WorkerTrace:
    id: str
    resource: RouterWorkerInput
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class JobTrace:
    id: str
    created_at: datetime
    resource: RouterJobInput
    entries: tuple[Entry, ...] = ()
    classified: Mapping[str, Any] | None = None

    def first(self, *whats: str) -> Entry | None:
        return next((one for one in self.entries if one.what in whats), None)


@dataclass(frozen=True)
class Held:
    """What a worker had in hand of a job that cannot be played."""

    job_id: str
    worker_id: str
    channel_id: str
    begins: datetime
    ends: datetime | None


@dataclass
class Day:
    """What a file holds."""

    begins: datetime
    ends: datetime
    settings: dict[tuple[str, str], Setting] = field(default_factory=dict)
    workers: dict[str, WorkerTrace] = field(default_factory=dict)
    jobs: list[JobTrace] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    #: Workers and jobs of which too little is known, with what is not.
    left_out: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    #: Workers of which something was not known at the begin: it is taken as it became.
    taken_as_became: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def parse(lines: Iterable[str], file: str) -> Day:
    """Raises ReplayError."""
    reader, number = Reader(file), 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadLine(file, number, f"it is no JSON: {error.msg} at {error.colno}") from error
            reader.add(found, number)
    return reader.day(number + 1)


class Reader:
    """Makes a day of what a file's lines hold, one after the other."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._day: Day | None = None
        self._seen: set[tuple[str, str]] = set()

    def add(self, found: Any, number: int) -> None:
        """What line `number` holds. Raises BadLine."""
        try:
            self._add(found)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(one) for one in first["loc"])
            raise BadLine(self._file, number, f"resource.{place}: {first['msg']}") from error
        except ValueError as error:
            raise BadLine(self._file, number, str(error)) from error

    def day(self, number: int) -> Day:
        """What was read until that line. Raises ReplayError."""
        if self._day is None:
            raise BadLine(self._file, number, "there is no header")
        _check_names(self._day, self._file)
        return self._day

    def _add(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        kind = found.get("kind")
        if kind not in _KINDS:
            raise ValueError(f"kind is {kind!r}")
        if self._day is None:
            self._day = _header(found)
            return
        if kind == "header":
            raise ValueError("a second header")
        named = (kind, _text(found, "id"))
        if named in self._seen:
            raise ValueError(f"{kind} '{named[1]}' stands in the file twice")
        self._seen.add(named)
        _add(self._day, found)


def _header(found: Mapping[str, Any]) -> Day:
    if found.get("kind") != "header":
        raise ValueError("the first line is no header")
    if found.get("version") != 1:
        raise ValueError(f"version is {found.get('version')!r}; 1 can be read")
    begins, ends = _time(found, "from"), _time(found, "to")
    if ends <= begins:
        raise ValueError("'to' is not after 'from'")
    return Day(begins, ends)


def _add(day: Day, found: Mapping[str, Any]) -> None:
    kind, id = str(found["kind"]), _text(found, "id")
    resource = found.get("resource")
    if "resource" in found and resource is None and kind in (*RESOURCES, "classificationPolicy"):
        pass  # it was not there yet
    elif not isinstance(resource, dict):
        raise ValueError("'resource' is no object")
    not_known = _names(found)
    if kind in RESOURCES:
        model = RESOURCES[kind]

        def setting(document: Any) -> Any:
            return None if document is None else model.model_validate(document)

        changes = [(_time(one, "at"), setting(one.get("resource"))) for one in _objects(found, "changes")]
        day.settings[kind, id] = Setting(kind, id, setting(resource), tuple(changes))
    elif kind == "worker":
        assert resource is not None
        lacks = tuple(one for one in _WORKER_NEEDS if one in not_known and one not in resource)
        if lacks:
            day.left_out.append((kind, id, lacks))
            return
        if not_known:
            day.taken_as_became.append((id, not_known))
        entries = _entries(found, _WORKER_WHATS)
        day.workers[id] = WorkerTrace(id, RouterWorkerInput.model_validate(resource), tuple(entries))
    elif kind == "job":
        assert resource is not None
        lacks = tuple(one for one in _JOB_NEEDS if one in not_known)
        if lacks:
            day.left_out.append((kind, id, lacks))
            day.held += _held(day, id, str(resource.get("channelId", "")), _entries(found, _JOB_WHATS))
            return
        classified = found.get("classified")
        if classified is not None:
            _text(classified, "queueId")
        entries = _entries(found, _JOB_WHATS)
        created = _time(resource, "createdAt")
        if entries and entries[0].at < created:
            raise ValueError(f"'{entries[0].what}' is before 'createdAt'")
        day.jobs.append(JobTrace(id, created, _job(resource), tuple(entries), classified))


def _job(resource: Mapping[str, Any]) -> RouterJobInput:
    mode = resource.get("matchingMode")
    without = {name: value for name, value in resource.items() if name != "matchingMode" or mode is not None}
    return RouterJobInput.model_validate(without)


def _entries(found: Mapping[str, Any], whats: frozenset[str]) -> list[Entry]:
    entries = []
    for one in _objects(found, "entries"):
        if one.get("what") not in whats:
            raise ValueError(f"'what' of an entry is {one.get('what')!r}")
        resource = one.get("resource")
        if resource is not None and found["kind"] == "worker":
            resource = RouterWorkerInput.model_validate(resource)
        entries.append(Entry(_time(one, "at"), one["what"], one, resource))
    if any(later.at < earlier.at for earlier, later in itertools.pairwise(entries)):
        raise ValueError("its entries are not in the order of time")
    return entries


def _held(day: Day, id: str, channel_id: str, entries: Iterable[Entry]) -> Iterator[Held]:
    """From its acceptance, or from the day's begin on, to its end."""
    begins: tuple[str, datetime] | None = None
    first = True
    for entry in entries:
        worker_id = entry.fields.get("workerId")
        if entry.what == "accepted" and isinstance(worker_id, str):
            begins = (worker_id, entry.at)
        elif entry.what in ("unassigned", "closed", "cancelled"):
            if begins is not None:
                yield Held(id, begins[0], channel_id, begins[1], entry.at)
            elif first and isinstance(worker_id, str):
                yield Held(id, worker_id, channel_id, day.begins, entry.at)
            begins = None
        elif entry.what == "completed" and first and begins is None and isinstance(worker_id, str):
            begins = (worker_id, day.begins)
        if entry.what != "updated":
            first = False
    if begins is not None:
        yield Held(id, begins[0], channel_id, begins[1], None)


def _names(found: Mapping[str, Any]) -> tuple[str, ...]:
    value = found.get("notKnown", [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("'notKnown' is no list of names")
    return tuple(value)


def told(day: Day) -> list[str]:
    """What is not known of the day, in plain sentences."""
    found: list[str] = []
    for kind in ("worker", "job"):
        some = [(id, lacks) for one, id, lacks in day.left_out if one == kind]
        if some:
            names = ", ".join(sorted({name for _, lacks in some for name in lacks}))
            found.append(f"{_number(some, kind)} left out, {names} not known: {_some([id for id, _ in some])}")
    if day.taken_as_became:
        names = ", ".join(sorted({name for _, lacks in day.taken_as_became for name in lacks}))
        ids = _some([id for id, _ in day.taken_as_became])
        found.append(f"{_number(day.taken_as_became, 'worker')} with {names} as they became in the day: {ids}")
    gone = {one.fields.get("workerId") for job in day.jobs for one in job.entries} - {None, *day.workers}
    if gone:
        found.append(f"offers went to workers that are not in the file: {_some(sorted(str(one) for one in gone))}")
    return found


def _number(some: Sequence[Any], kind: str) -> str:
    return f"{len(some)} {kind}{'s' if len(some) > 1 else ''}"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")


def _objects(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = found.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"'{name}' is no list of objects")
    return value


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"'{name}' is no text")
    return value


def _time(found: Mapping[str, Any], name: str) -> datetime:
    text = _text(found, name)
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(f"'{name}' is no time") from error


def _check_names(day: Day, file: str) -> None:
    """What is named stands in the file."""
    for (kind, id), setting in day.settings.items():
        if kind == "queue":
            for queue in (setting.resource, *(later for _, later in setting.changes)):
                if queue is not None and ("distributionPolicy", queue.distribution_policy_id) not in day.settings:
                    raise ReplayError(
                        f"{file}: distribution policy '{queue.distribution_policy_id}' of queue '{id}' is not in it"
                    )
    for job in day.jobs:
        queue_id = job.classified["queueId"] if job.classified else job.resource.queue_id
        if queue_id is not None and ("queue", queue_id) not in day.settings:
            raise ReplayError(f"{file}: queue '{queue_id}' of job '{job.id}' is not in it")
