"""A history file: one JSON object a line (docs/whatif.md has the form). What cannot be read is named, never guessed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from jobrouter.failure import CommandError
from router.models.jobs import RouterJobInput
from router.models.policies import DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.types import parse_time
from router.models.workers import RouterWorkerInput

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


class BadLine(CommandError):
    """A line of a file that cannot be read, and why."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.line = line


@dataclass(frozen=True)
class Entry:
    at: datetime
    what: str
    fields: Mapping[str, Any]
    resource: Any = None


@dataclass(frozen=True)
class Setting:
    """A queue or policy as of the day's begin, and as it became."""

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


@dataclass
class Day:
    """What a file holds."""

    begins: datetime
    ends: datetime
    settings: dict[tuple[str, str], Setting] = field(default_factory=dict)
    workers: dict[str, WorkerTrace] = field(default_factory=dict)
    jobs: list[JobTrace] = field(default_factory=list)


def read(path: Path) -> Day:
    """Raises BadLine."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    return parse(text.splitlines(), str(path))


def parse(lines: Iterable[str], file: str) -> Day:
    """Raises BadLine."""
    day: Day | None = None
    seen: set[tuple[str, str]] = set()
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError("it is no object")
            kind = found.get("kind")
            if kind not in _KINDS:
                raise ValueError(f"kind is {kind!r}")
            if day is None:
                day = _header(found)
                continue
            if kind == "header":
                raise ValueError("a second header")
            named = (kind, _text(found, "id"))
            if named in seen:
                raise ValueError(f"{kind} '{named[1]}' stands in the file twice")
            seen.add(named)
            _add(day, found)
        except json.JSONDecodeError as error:
            raise BadLine(file, number, f"it is no JSON: {error.msg} at {error.colno}") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(one) for one in first["loc"])
            raise BadLine(file, number, f"resource.{place}: {first['msg']}") from error
        except ValueError as error:
            raise BadLine(file, number, str(error)) from error
    if day is None:
        raise BadLine(file, number + 1, "there is no header")
    _check_names(day, file)
    return day


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
    if not isinstance(resource, dict):
        raise ValueError("'resource' is no object")
    if kind in RESOURCES:
        model = RESOURCES[kind]
        changes = [(_time(one, "at"), model.model_validate(one.get("resource"))) for one in _objects(found, "changes")]
        day.settings[kind, id] = Setting(kind, id, model.model_validate(resource), tuple(changes))
    elif kind == "worker":
        entries = _entries(found, _WORKER_WHATS)
        day.workers[id] = WorkerTrace(id, RouterWorkerInput.model_validate(resource), tuple(entries))
    elif kind == "job":
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
                if ("distributionPolicy", queue.distribution_policy_id) not in day.settings:
                    raise CommandError(
                        f"{file}: distribution policy '{queue.distribution_policy_id}' of queue '{id}' is not in it"
                    )
    for job in day.jobs:
        queue_id = job.classified["queueId"] if job.classified else job.resource.queue_id
        if queue_id is not None and ("queue", queue_id) not in day.settings:
            raise CommandError(f"{file}: queue '{queue_id}' of job '{job.id}' is not in it")
