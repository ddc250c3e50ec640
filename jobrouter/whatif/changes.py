"""A change: another policy, queue, exception rule or team for the same day (docs/whatif.md has the form)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from jobrouter.failure import CommandError
from jobrouter.spelling import unknown
from router.models.types import parse_time
from router.models.workers import RouterWorkerInput
from router.replay import shadows as shadow_policies
from router.replay.history import RESOURCES, Day, Entry, JobTrace, Setting, WorkerTrace

_SETTINGS: Final = {
    "queues": "queue",
    "distributionPolicies": "distributionPolicy",
    "exceptionPolicies": "exceptionPolicy",
}
_KNOWN: Final = frozenset({*_SETTINGS, "workers", "jobs", "name"})
_OF_TEAM: Final = frozenset({"add", "remove", "change", "shifts"})
_OF_ADDED: Final = frozenset({"id", "resource", "from", "to", "shifts", "count"})
_OF_SHIFT: Final = frozenset({"from", "to"})
_TIME_OF_DAY: Final = len("10:00")
_A_DAY: Final = timedelta(days=1)
_OF_SELECTOR: Final = frozenset({"key", "expiresAfterSeconds"})


def load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{path}: it is no object")
    return found


def shadows(day: Day) -> list[dict[str, Any]]:
    """A change for each queue that names a candidate policy at the day's end. Raises ReplayError for one that is no
    policy's id or that the file does not have."""
    return [
        {
            "name": one.name,
            "queues": {one.queue_id: {"distributionPolicyId": one.stands_in}},
            "distributionPolicies": {
                one.stands_in: one.candidate(day).model_dump(mode="json", by_alias=True, exclude_none=True)
            },
        }
        for one in shadow_policies.shadows(day)
    ]


def only(found: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raises CommandError for a name that stands nowhere: it would change nothing, without a word."""
    names = sorted(set(found) - known)
    if names:
        raise CommandError(f"{where} has no '{names[0]}': {', '.join(sorted(known))}")


def checked(written: Any, document: Any, model: type[BaseModel], where: str) -> Any:
    """The resource that the document is. Raises CommandError for what of `written` no such resource has."""
    resource = model.model_validate(document)
    if (name := unknown(written, document, model)) is not None:
        raise CommandError(f"{where} has '{name}', which the router does not know")
    return resource


def changed(day: Day, change: Mapping[str, Any]) -> Day:
    """The day with the change; the one given stays as it is. Raises CommandError for what it does not have."""
    only(change, _KNOWN, "a change")
    found = Day(day.begins, day.ends, dict(day.settings), dict(day.workers), list(day.jobs))
    try:
        for name, kind in _SETTINGS.items():
            for id, patch in change.get(name, {}).items():
                _change_setting(found, kind, id, patch)
        _check_policies(found, change.get("queues", {}))
        _change_team(found, change.get("workers", {}))
        only(change.get("jobs", {}), frozenset({"selectors"}), "'jobs' of a change")
        for rule in change.get("jobs", {}).get("selectors", []):
            only(rule, _OF_SELECTOR, "a selector of a change")
            found.jobs = [_relaxed(job, rule["key"], float(rule["expiresAfterSeconds"])) for job in found.jobs]
    except ValidationError as error:
        place = ".".join(str(one) for one in error.errors()[0]["loc"])
        raise CommandError(f"change: {place}: {error.errors()[0]['msg']}") from error
    except KeyError as error:
        raise CommandError(f"change: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise CommandError(f"change: it cannot be read ({error})") from error
    return found


def hours_added(day: Day, change: Mapping[str, Any]) -> float | None:
    """The hours of workers who are added; None where others work less or at other times."""
    team = change.get("workers", {})
    if team.get("remove") or team.get("shifts"):
        return None
    added = [worker for id, worker in changed(day, change).workers.items() if id not in day.workers]
    seconds = 0.0
    for entry in (entry for worker in added for entry in worker.entries):
        until_end = (day.ends - min(max(entry.at, day.begins), day.ends)).total_seconds()
        seconds += until_end if entry.what == "available" else -until_end
    return seconds / 3600


def not_asked_for(day: Day, change: Mapping[str, Any]) -> list[str]:
    """Labels that the change has expire and that no job of the day asks for."""
    return sorted({str(one["key"]) for one in change.get("jobs", {}).get("selectors", [])} - asked_for(day))


def asked_for(day: Day) -> set[str]:
    """The labels that jobs ask for."""
    keys = {one.key for job in day.jobs for one in job.resource.requested_worker_selectors}
    return keys | {
        one["key"] for job in day.jobs for one in (job.classified or {}).get("attachedWorkerSelectors") or []
    }


def _check_policies(day: Day, queues: Mapping[str, Any]) -> None:
    for id in queues:
        setting = day.settings["queue", id]
        for queue in (setting.resource, *(later for _, later in setting.changes)):
            if queue is None:
                continue
            named = [("distributionPolicy", queue.distribution_policy_id)]
            named += [("exceptionPolicy", queue.exception_policy_id)] if queue.exception_policy_id else []
            for kind, policy_id in named:
                if (kind, policy_id) not in day.settings:
                    raise CommandError(f"queue '{id}' names {kind} '{policy_id}', which is not there")


def _merged(document: Any, patch: Any) -> Any:
    """A merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _patched(resource: Any, patch: Mapping[str, Any], where: str) -> Any:
    document = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return checked(patch, _merged(document, patch), type(resource), where)


def _change_setting(day: Day, kind: str, id: str, patch: Mapping[str, Any]) -> None:
    known, where = day.settings.get((kind, id)), f"change: {kind} '{id}'"
    if known is None:
        day.settings[kind, id] = Setting(kind, id, checked(patch, patch, RESOURCES[kind], where))
        return

    def patched(resource: Any) -> Any:
        return None if resource is None else _patched(resource, patch, where)

    later = tuple((moment, patched(resource)) for moment, resource in known.changes)
    day.settings[kind, id] = Setting(kind, id, patched(known.resource), later)


def _change_team(day: Day, change: Mapping[str, Any]) -> None:
    only(change, _OF_TEAM, "'workers' of a change")
    for id in change.get("remove", []):
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        del day.workers[id]
    for id, patch in change.get("change", {}).items():
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        known, where = day.workers[id], f"change: worker '{id}'"
        entries = tuple(
            replace(one, resource=_patched(one.resource, patch, where)) if one.resource is not None else one
            for one in known.entries
        )
        day.workers[id] = WorkerTrace(id, _patched(known.resource, patch, where), entries)
    for id, shifts in change.get("shifts", {}).items():
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        day.workers[id] = _on_shift(day, id, day.workers[id].resource, shifts)
    for one in change.get("add", []):
        only(one, _OF_ADDED, "a worker that is added")
        if one["id"] in day.workers:
            raise CommandError(f"change: worker '{one['id']}' is there already")
        resource = checked(one["resource"], one["resource"], RouterWorkerInput, f"change: worker '{one['id']}'")
        shifts = one.get("shifts") or [{"from": one.get("from"), "to": one.get("to")}]
        day.workers[one["id"]] = _on_shift(day, one["id"], resource, shifts)


def _on_shift(day: Day, id: str, resource: RouterWorkerInput, shifts: Any) -> WorkerTrace:
    entries: list[Entry] = []
    for shift in shifts:
        only(shift, _OF_SHIFT, f"a shift of worker '{id}'")
        begins, ends = _moment(day, shift.get("from"), day.begins), _moment(day, shift.get("to"), day.ends)
        if ends <= begins and len(str(shift.get("to"))) == _TIME_OF_DAY and ends + _A_DAY <= day.ends:
            ends += _A_DAY
        if ends <= begins:
            raise CommandError(f"change: a shift of worker '{id}' ends before it begins")
        entries += [Entry(begins, "available", {}), Entry(ends, "unavailable", {})]
    entries.sort(key=lambda one: one.at)
    return WorkerTrace(id, resource.model_copy(update={"available_for_offers": False}), tuple(entries))


def _moment(day: Day, given: Any, otherwise: datetime) -> datetime:
    """A time, or one of the day such as 10:00: UTC, whatever offset the day's begin is written with."""
    if given is None:
        return otherwise
    text = str(given)
    if len(text) == _TIME_OF_DAY and text[2] == ":":
        try:
            moment = datetime.combine(day.begins.astimezone(UTC).date(), time.fromisoformat(text), UTC)
        except ValueError as error:
            raise CommandError(f"change: '{text}' is no time") from error
        return moment if moment >= day.begins else moment + _A_DAY
    try:
        return parse_time(text)
    except ValueError as error:
        raise CommandError(f"change: '{text}' is no time") from error


def _relaxed(job: JobTrace, key: str, seconds: float) -> JobTrace:
    """Its selectors of this label expire."""
    selectors = [
        one.model_copy(update={"expires_after_seconds": seconds}) if one.key == key else one
        for one in job.resource.requested_worker_selectors
    ]
    classified = job.classified
    if classified and classified.get("attachedWorkerSelectors"):
        attached = [
            {**one, "expiresAfterSeconds": seconds} if one.get("key") == key else one
            for one in classified["attachedWorkerSelectors"]
        ]
        classified = {**classified, "attachedWorkerSelectors": attached}
    resource = job.resource.model_copy(update={"requested_worker_selectors": selectors})
    return replace(job, resource=resource, classified=classified)
