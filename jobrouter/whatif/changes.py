"""A change: another policy, queue, exception rule or team for the same day (docs/whatif.md has the form)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from jobrouter.failure import CommandError
from jobrouter.whatif.history import RESOURCES, Day, Entry, JobTrace, Setting, WorkerTrace
from router.models.types import parse_time
from router.models.workers import RouterWorkerInput

_SETTINGS: Final = {
    "queues": "queue",
    "distributionPolicies": "distributionPolicy",
    "exceptionPolicies": "exceptionPolicy",
}
#: The label of a queue that names a candidate for its distribution policy. The router itself does not read it.
SHADOW: Final = "shadowPolicyId"
_KNOWN: Final = frozenset({*_SETTINGS, "workers", "jobs", "name"})


def load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{path}: it is no object")
    return found


def shadows(day: Day) -> list[dict[str, Any]]:
    """A change for each queue that names a candidate policy at the day's end. Raises CommandError for one that is no
    policy's id or that the file does not have."""
    found: list[dict[str, Any]] = []
    for (kind, id), setting in day.settings.items():
        queue = setting.changes[-1][1] if setting.changes else setting.resource
        candidate = queue.labels.get(SHADOW) if kind == "queue" and queue is not None else None
        if candidate is None:
            continue
        policy = day.settings.get(("distributionPolicy", str(candidate)))
        if policy is None:
            raise CommandError(f"queue '{id}': its {SHADOW} '{candidate}' is no distribution policy of the file")
        now = policy.changes[-1][1] if policy.changes else policy.resource
        if now is None:
            raise CommandError(f"queue '{id}': its {SHADOW} '{candidate}' has been deleted")
        # It may have come later than the jobs: the candidate is the policy as it is at the end.
        whole = now.model_dump(mode="json", by_alias=True, exclude_none=True)
        name = f"shadow:{candidate}"
        found.append(
            {
                "name": f"queue '{id}' with policy '{candidate}' instead of '{queue.distribution_policy_id}'",
                "queues": {id: {"distributionPolicyId": name}},
                "distributionPolicies": {name: whole},
            }
        )
    return found


def changed(day: Day, change: Mapping[str, Any]) -> Day:
    """The day with the change; the one given stays as it is. Raises CommandError for what it does not have."""
    unknown = sorted(set(change) - _KNOWN)
    if unknown:
        raise CommandError(f"a change has no '{unknown[0]}': {', '.join(sorted(_KNOWN))}")
    found = Day(day.begins, day.ends, dict(day.settings), dict(day.workers), list(day.jobs))
    try:
        for name, kind in _SETTINGS.items():
            for id, patch in change.get(name, {}).items():
                _change_setting(found, kind, id, patch)
        _change_team(found, change.get("workers", {}))
        for rule in change.get("jobs", {}).get("selectors", []):
            found.jobs = [_relaxed(job, rule["key"], float(rule["expiresAfterSeconds"])) for job in found.jobs]
    except ValidationError as error:
        raise CommandError(f"change: {error.errors()[0]['msg']} ({error.errors()[0]['loc']})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"change: it cannot be read ({error!r})") from error
    return found


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


def _patched(resource: Any, patch: Mapping[str, Any]) -> Any:
    document = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return type(resource).model_validate(_merged(document, patch))


def _change_setting(day: Day, kind: str, id: str, patch: Mapping[str, Any]) -> None:
    known = day.settings.get((kind, id))
    if known is None:
        day.settings[kind, id] = Setting(kind, id, RESOURCES[kind].model_validate(patch))
        return

    def patched(resource: Any) -> Any:
        return None if resource is None else _patched(resource, patch)

    later = tuple((moment, patched(resource)) for moment, resource in known.changes)
    day.settings[kind, id] = Setting(kind, id, patched(known.resource), later)


def _change_team(day: Day, change: Mapping[str, Any]) -> None:
    for id in change.get("remove", []):
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        del day.workers[id]
    for id, patch in change.get("change", {}).items():
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        known = day.workers[id]
        entries = tuple(
            replace(one, resource=_patched(one.resource, patch)) if one.resource is not None else one
            for one in known.entries
        )
        day.workers[id] = WorkerTrace(id, _patched(known.resource, patch), entries)
    for id, shifts in change.get("shifts", {}).items():
        if id not in day.workers:
            raise CommandError(f"change: worker '{id}' is not in the file")
        day.workers[id] = _on_shift(day, id, day.workers[id].resource, shifts)
    for one in change.get("add", []):
        if one["id"] in day.workers:
            raise CommandError(f"change: worker '{one['id']}' is there already")
        resource = RouterWorkerInput.model_validate(one["resource"])
        shifts = one.get("shifts") or [{"from": one.get("from"), "to": one.get("to")}]
        day.workers[one["id"]] = _on_shift(day, one["id"], resource, shifts)


def _on_shift(day: Day, id: str, resource: RouterWorkerInput, shifts: Any) -> WorkerTrace:
    entries: list[Entry] = []
    for shift in shifts:
        begins = _moment(day, shift.get("from"), day.begins)
        entries.append(Entry(begins, "available", {}))
        entries.append(Entry(_moment(day, shift.get("to"), day.ends), "unavailable", {}))
    entries.sort(key=lambda one: one.at)
    return WorkerTrace(id, resource.model_copy(update={"available_for_offers": False}), tuple(entries))


def _moment(day: Day, given: Any, otherwise: datetime) -> datetime:
    """A time, or one of the day such as 10:00."""
    if given is None:
        return otherwise
    text = str(given)
    if len(text) == 5 and text[2] == ":":
        try:
            moment = datetime.combine(day.begins.date(), time.fromisoformat(text), day.begins.tzinfo)
        except ValueError as error:
            raise CommandError(f"change: '{text}' is no time") from error
        return moment if moment >= day.begins else moment + timedelta(days=1)
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
