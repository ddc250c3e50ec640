"""Exception rules of a queue: when they fire, and what their actions do (docs/behaviour.md, "Exceptions")."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from router.engine import announce, endings, jobs
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve, job_units, revoke_all, with_routers_note
from router.engine.selectors import describe, of_policy
from router.errors import RouterError
from router.models.events import EventDraft
from router.models.jobs import (
    CancelJobOptions,
    JobRecord,
    JobStatus,
    QueueAndMatchMode,
    TriggeredException,
)
from router.models.policies import (
    CancelExceptionAction,
    ExceptionAction,
    ExceptionPolicy,
    ExceptionRule,
    ManualReclassifyExceptionAction,
    QueueLengthExceptionTrigger,
    ReclassifyExceptionAction,
    WaitTimeExceptionTrigger,
)
from router.models.selectors import MAX_SELECTORS, RouterWorkerSelector
from router.models.sizes import LARGEST_ROUTED, LARGEST_TRIGGERED, id_units, json_units
from router.models.types import MAX_LABELS

#: In so many stays in a queue may rules fire for one job within this time. More means that policies send it in a
#: circle.
MOST_STAYS: Final = 20
STAYS_WITHIN: Final = timedelta(minutes=1)
#: What a selector that a job starts gains: when it expires.
_OF_A_SELECTOR: Final = 60


def length_threshold(policy: ExceptionPolicy) -> int | None:
    """The largest number of jobs ahead that a rule of the policy asks about."""
    return max(
        (
            rule.trigger.threshold
            for rule in policy.exception_rules
            if isinstance(rule.trigger, QueueLengthExceptionTrigger)
        ),
        default=None,
    )


def length_rules(policy: ExceptionPolicy, ahead: int) -> list[ExceptionRule]:
    """The queueLength rules that fire for a job with so many jobs ahead."""
    return [
        rule
        for rule in policy.exception_rules
        if isinstance(rule.trigger, QueueLengthExceptionTrigger) and ahead >= rule.trigger.threshold
    ]


def wait_deadlines(policy: ExceptionPolicy, enqueued_at: datetime) -> list[tuple[str, datetime]]:
    """Rule id and moment of each waitTime rule, for a job that waits since `enqueued_at`."""
    return [
        (rule.id, enqueued_at + timedelta(seconds=rule.trigger.threshold_seconds))
        for rule in policy.exception_rules
        if isinstance(rule.trigger, WaitTimeExceptionTrigger)
    ]


def wait_rules_due(policy: ExceptionPolicy, record: JobRecord, now: datetime) -> list[ExceptionRule]:
    """The waitTime rules that have come due for the job and have not fired in this stay."""
    enqueued_at = record.job.enqueued_at
    if record.status is not JobStatus.QUEUED or enqueued_at is None:
        return []
    due = {id for id, at in wait_deadlines(policy, enqueued_at) if at <= now}
    return [rule for rule in policy.exception_rules if rule.id in due and not has_fired(record, rule.id)]


def has_fired(record: JobRecord, rule_id: str) -> bool:
    """Whether the rule has fired in this stay."""
    return _mark(rule_id) in record.routing.fired_rules


def _mark(rule_id: str) -> str:
    """A rule as a job remembers it: by its id, or by a hash of a long one."""
    if id_units(rule_id) <= 64:
        return rule_id
    return f"#{hashlib.blake2b(rule_id.encode(), digest_size=16).hexdigest()}"


def trigger(record: JobRecord, policy_id: str, rules: Sequence[ExceptionRule], now: datetime) -> JobChange:
    """The rules fire, at most once per stay; their actions are run when the events arrive. A job that is sent in a
    circle stays where it is, with a note that says so."""
    if record.status is not JobStatus.QUEUED:
        return Change(record)
    new = [rule for rule in rules if not has_fired(record, rule.id)]
    if not new:
        return Change(record)
    routing = record.routing
    since, stays = routing.fired_stays_since, routing.fired_stays
    if not routing.fired_rules:  # the first of this stay
        if since is None or now - since > STAYS_WITHIN:
            since, stays = now, 0
        stays += 1
    fired = [*routing.fired_rules, *(_mark(rule.id) for rule in new)]
    record = evolve(record, routing={"fired_rules": fired, "fired_stays": stays, "fired_stays_since": since})
    if stays > MOST_STAYS:
        named = ", ".join(f"'{rule.id}'" for rule in new)
        text = (
            f"Exception rule {named} of policy '{policy_id}' was not run:"
            f" rules have fired in {MOST_STAYS} stays in a queue within a minute."
        )
        return Change(with_routers_note(record, text, now))
    triggered = list(routing.triggered)
    room = LARGEST_TRIGGERED - sum(json_units(one.model_dump(mode="json")) for one in triggered)
    left: list[str] = []
    for rule in new:
        one = TriggeredException(rule_id=rule.id, policy_id=policy_id, at=now)
        room -= json_units(one.model_dump(mode="json"))
        if room < 0:
            left.append(f"'{rule.id}'")
        else:
            triggered.append(one)
    record = evolve(record, routing={"triggered": triggered})
    if left:
        text = f"Exception rules {', '.join(left)} of policy '{policy_id}' were not run: too many wait to be run."
        record = with_routers_note(record, text, now)
    return Change(record, tuple(announce.exception_triggered(record.job, rule.id) for rule in new))


def names(action: ExceptionAction) -> tuple[str, str] | None:
    """Kind and id of what the action sends a job to."""
    match action:
        case ManualReclassifyExceptionAction(queue_id=str(id)):
            return "Queue", id
        case ReclassifyExceptionAction(classification_policy_id=str(id)):
            return "ClassificationPolicy", id
    return None


def run(
    record: JobRecord,
    rule_id: str,
    actions: Sequence[ExceptionAction],
    now: datetime,
    gone: Collection[tuple[str, str]] = (),
) -> JobChange:
    """The actions of one triggered rule, in order; each sees what the one before left, a classification included:
    while the job is being classified nothing is run. A job that no longer waits (assigned, suspended, ended) in the
    meantime is left alone. An action that names something `gone` is left out, with a note."""
    rule = next((one for one in record.routing.triggered if one.rule_id == rule_id), None)
    if rule is None or record.status is JobStatus.PENDING_CLASSIFICATION:
        return Change(record)
    record = evolve(record, routing={"triggered": [one for one in record.routing.triggered if one is not rule]})
    events: list[EventDraft] = []
    for number, action in enumerate(actions[rule.next_action :], start=rule.next_action):
        if record.status is JobStatus.PENDING_CLASSIFICATION:
            rest = rule.model_copy(update={"next_action": number})
            record = evolve(record, routing={"triggered": [rest, *record.routing.triggered]})
            break
        if record.status is not JobStatus.QUEUED or not isinstance(record.job.matching_mode, QueueAndMatchMode):
            break
        if (named := names(action)) is not None and named in gone:
            text = f"An action of exception rule '{rule_id}' was not run: {named[0]} '{named[1]}' is not there."
            record = with_routers_note(record, text, now)
            continue
        try:
            change = _act(record, action, now)
        except RouterError as error:
            # It would fail as often as it was tried.
            text = f"Exception rule '{rule.rule_id}' of policy '{rule.policy_id}' could not be run: {error.message}"
            record = with_routers_note(record, text, now)
            break
        assert change.record is not None
        record = change.record
        events.extend(change.events)
    return Change(record, tuple(events))


def _act(record: JobRecord, action: ExceptionAction, now: datetime) -> JobChange:
    match action:
        case CancelExceptionAction():
            options = CancelJobOptions(disposition_code=action.disposition_code)
            return endings.cancel(record, options, now, of_rule=action.note)
        case ReclassifyExceptionAction():
            return _reclassify(record, action, now)
        case ManualReclassifyExceptionAction():
            return _manual(record, action, now)


def _reclassify(record: JobRecord, action: ReclassifyExceptionAction, now: datetime) -> JobChange:
    policy_id = action.classification_policy_id or record.job.classification_policy_id
    labels = dict(record.job.labels)
    too_many: list[str] = []
    room = LARGEST_ROUTED - job_units(record)
    for name, value in action.labels_to_upsert.items():
        more = json_units({name: value}) - (json_units({name: labels[name]}) if name in labels else 0)
        if (name in labels or len(labels) < MAX_LABELS) and more <= max(room, 0):
            labels[name] = value
            room -= more
        else:
            too_many.append(name)
    record = evolve(record, job={"labels": labels, "classification_policy_id": policy_id})
    if too_many:
        most = str(MAX_LABELS) if len(labels) >= MAX_LABELS else f"{LARGEST_ROUTED} characters"
        text = f"An exception rule's labels were left out, since a job has at most {most}: {', '.join(too_many)}."
        record = with_routers_note(record, text, now)
    # Without a policy there is nothing to classify with: the labels alone have changed.
    return jobs.reclassify(record) if policy_id else Change(record)


def _manual(record: JobRecord, action: ManualReclassifyExceptionAction, now: datetime) -> JobChange:
    record, events = revoke_all(record)
    moved = action.queue_id is not None and action.queue_id != record.job.queue_id
    record = _with_selectors(record, [of_policy(selector) for selector in action.worker_selectors], now)
    fields: dict[str, object] = {}
    if action.priority is not None:
        fields["priority"] = action.priority
    if moved:
        fields |= {"queue_id": action.queue_id, "enqueued_at": None}
    queued = jobs.enqueue(evolve(record, job=fields), now, new_stay=moved)
    return Change(queued.record, (*events, *queued.events))


def _with_selectors(record: JobRecord, added: Sequence[RouterWorkerSelector], now: datetime) -> JobRecord:
    """The job with those that it does not ask for already."""
    requested = list(record.job.requested_worker_selectors)
    asked = {_asks(one) for one in requested if one.active}
    new = [one for one in added if _asks(one) not in asked]
    taken: list[RouterWorkerSelector] = []
    room = LARGEST_ROUTED - job_units(record)
    for one in new[: max(MAX_SELECTORS - len(requested), 0)]:
        room -= json_units(one.model_dump(mode="json", by_alias=True, exclude_none=True)) + _OF_A_SELECTOR
        if room < 0:
            break
        taken.append(one)
    record = evolve(record, job={"requested_worker_selectors": [*requested, *taken]})
    if len(taken) < len(new):
        left_out = "; ".join(describe(one) for one in new[len(taken) :])
        most = str(MAX_SELECTORS) if len(requested) + len(taken) >= MAX_SELECTORS else f"{LARGEST_ROUTED} characters"
        text = f"An exception rule's selectors were left out, since a job has at most {most}: {left_out}."
        record = with_routers_note(record, text, now)
    return record


def _asks(one: RouterWorkerSelector) -> tuple[object, ...]:
    return (one.key, one.label_operator, type(one.value), one.value, one.expires_after_seconds, one.expedite)
