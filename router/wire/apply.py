"""What a PATCH makes of a resource: names, merge, validation, canonical form. Nothing is stored here.

Secrets of a policy's rules may be new and in the clear, or masks that a client sent back: before it is stored a
policy goes through `router.rules.secrets.seal_secrets`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from router.engine.jobs import past_schedule
from router.errors import ErrorDetail
from router.models.jobs import SETTLED, JobRecord, RouterJobInput, ScheduleAndSuspendMode
from router.models.operations import GA
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy, exception_actions
from router.models.queues import RouterQueue
from router.models.selectors import RouterWorkerSelector
from router.models.types import PRIORITIES, parse_time
from router.models.workers import RouterWorkerInput, WorkerRecord
from router.rules.check import rule_problems
from router.wire.documents import canonical, job_document, json_bytes, worker_document
from router.wire.merge import merge_patch
from router.wire.names import canonicalise
from router.wire.validate import shown, validate

Document = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


def distribution_policy_document(
    current: Document | None, patch: Document, *, http_on_loopback: bool = False
) -> Document:
    return _with_rules(DistributionPolicy, current, patch, http_on_loopback)


def classification_policy_document(
    current: Document | None, patch: Document, *, http_on_loopback: bool = False
) -> Document:
    return _with_rules(ClassificationPolicy, current, patch, http_on_loopback)


def exception_policy_document(current: Document | None, patch: Document, new_id: Callable[[], str]) -> Document:
    """The policy after the patch. Every write gives each action a new id, but a patch that changes nothing is no
    write: then the answer equals `current`."""
    merged = merge_patch(current or {}, canonicalise(patch, ExceptionPolicy), ExceptionPolicy)
    document = canonical(validate(ExceptionPolicy, merged, also=_action_priorities(merged)))
    # As JSON: in Python `True == 1`.
    if current is not None and json_bytes(_without_action_ids(document)) == json_bytes(_without_action_ids(current)):
        return current
    for rule in document["exceptionRules"]:
        # `kind` first, then `id`: the order of the model.
        rule["actions"] = [
            {"kind": action["kind"], "id": new_id(), **{k: v for k, v in _without_id(action).items() if k != "kind"}}
            for action in rule["actions"]
        ]
    return document


def queue_document(current: Document | None, patch: Document) -> Document:
    return _document(RouterQueue, current, patch, own_label=True)


def job_input(record: JobRecord | None, patch: Document, now: datetime) -> RouterJobInput:
    """What the client wants of the job after the patch. Worker selectors that are sent back as they are keep
    their status and expiry."""
    current = job_document(record) if record is not None else None
    named = canonicalise(patch, RouterJobInput)
    merged = merge_patch(current or {}, named, RouterJobInput)
    # One that a rule has given may be sent back as it was read.
    sent = named.get("priority")
    priority = [] if record is not None and sent == record.job.priority else _priority(sent, "priority")
    wanted = validate(
        RouterJobInput, merged, also=[*_no_destination(merged), *_past_schedule(record, merged, now), *priority]
    )
    if record is None or not named.get("requestedWorkerSelectors"):
        return wanted
    selectors = _carry_over(record.job.requested_worker_selectors, wanted.requested_worker_selectors)
    return wanted.model_copy(update={"requested_worker_selectors": selectors})


def worker_input(record: WorkerRecord | None, patch: Document, api_version: str) -> RouterWorkerInput:
    """What the client wants of the worker after the patch."""
    named = _without_own_label(canonicalise(patch, RouterWorkerInput))
    if api_version == GA:
        named.pop("maxConcurrentOffers", None)
    return validate(RouterWorkerInput, merge_patch(worker_document(record) if record else {}, named, RouterWorkerInput))


def _with_rules(model: type[M], current: Document | None, patch: Document, http_on_loopback: bool) -> Document:
    merged = merge_patch(current or {}, canonicalise(patch, model), model)
    return canonical(validate(model, merged, also=rule_problems(merged, http_on_loopback=http_on_loopback)))


def _document(model: type[M], current: Document | None, patch: Document, *, own_label: bool = False) -> Document:
    named = canonicalise(patch, model)
    if own_label:
        named = _without_own_label(named)
    return canonical(validate(model, merge_patch(current or {}, named, model)))


def _without_own_label(patch: Document) -> Document:
    """The patch without the label `Id`, which is the router's."""
    labels = patch.get("labels")
    if isinstance(labels, dict) and "Id" in labels:
        return {**patch, "labels": {key: value for key, value in labels.items() if key != "Id"}}
    return patch


def _without_id(action: Document) -> Document:
    return {key: value for key, value in action.items() if key != "id"}


def _without_action_ids(document: Document) -> Document:
    rules = [
        {**rule, "actions": [_without_id(action) for action in rule["actions"]]} for rule in document["exceptionRules"]
    ]
    return {**document, "exceptionRules": rules}


def _no_destination(job: Document) -> list[ErrorDetail]:
    if job.get("queueId") is not None or job.get("classificationPolicyId") is not None:
        return []
    return [ErrorDetail("MissingField", "'queueId' or 'classificationPolicyId' is required.", "queueId")]


def _priority(given: Any, target: str) -> list[ErrorDetail]:
    """What is wrong with a whole number as a client's priority; validation tells the rest."""
    least, most = PRIORITIES
    if not isinstance(given, int) or isinstance(given, bool) or least <= given <= most:
        return []
    return [ErrorDetail("InvalidValue", f"'{target}' must be from {least} to {most}, not {shown(given)}.", target)]


def _action_priorities(policy: Document) -> list[ErrorDetail]:
    return [
        problem
        for path, action in exception_actions(policy)
        for problem in _priority(action.get("priority"), f"{path}.priority")
    ]


def _past_schedule(record: JobRecord | None, job: Document, now: datetime) -> list[ErrorDetail]:
    """A job is not scheduled anew for what is past; that the time of one which is scheduled has passed is no fault.
    What an assigned job is refused is the engine's to say (409)."""
    mode = job.get("matchingMode")
    if not isinstance(mode, dict) or mode.get("kind") != "scheduleAndSuspend":
        return []
    try:
        at = parse_time(mode.get("scheduleAt"))
    except ValueError:
        return []  # validation tells that
    if record is not None:
        before = record.job.matching_mode
        if record.status in SETTLED or (isinstance(before, ScheduleAndSuspendMode) and before.schedule_at == at):
            return []
    problem = past_schedule(at, now)
    return [problem] if problem is not None else []


def _carry_over(old: list[RouterWorkerSelector], new: list[RouterWorkerSelector]) -> list[RouterWorkerSelector]:
    left = list(old)
    carried: list[RouterWorkerSelector] = []
    for selector in new:
        same = next((one for one in left if _condition(one) == _condition(selector)), None)
        if same is not None:
            left.remove(same)
        carried.append(same or selector)
    return carried


def _condition(selector: RouterWorkerSelector) -> tuple[object, ...]:
    value = selector.value
    # `True == 1` in Python, not on the wire.
    return (
        selector.key,
        selector.label_operator,
        isinstance(value, bool),
        value,
        selector.expires_after_seconds,
        selector.expedite,
    )
