"""Whether labels satisfy a selector, and when a selector expires (docs/behaviour.md, "Selectors")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from router.models.jobs import RouterJob
from router.models.selectors import (
    LabelOperator,
    PolicyWorkerSelector,
    RouterQueueSelector,
    RouterWorkerSelector,
    SelectorStatus,
)
from router.models.types import LabelScalar


def holds(selector: PolicyWorkerSelector | RouterQueueSelector, labels: Mapping[str, Any]) -> bool:
    """Like types only: numbers numerically, strings ordinally, booleans by equality. A missing label, or one of
    another type, satisfies only notEqual."""
    label = labels.get(selector.key)
    operator = selector.label_operator
    if label is None or selector.value is None or _kind(label) != _kind(selector.value):
        return operator is LabelOperator.NOT_EQUAL
    value = selector.value
    match operator:
        case LabelOperator.EQUAL:
            return bool(label == value)
        case LabelOperator.NOT_EQUAL:
            return bool(label != value)
    if isinstance(label, bool):
        return False
    match operator:
        case LabelOperator.LESS_THAN:
            return bool(label < value)
        case LabelOperator.LESS_THAN_OR_EQUAL:
            return bool(label <= value)
        case LabelOperator.GREATER_THAN:
            return bool(label > value)
        case _:
            return bool(label >= value)


def first_failing(selectors: Iterable[RouterWorkerSelector], labels: Mapping[str, Any]) -> RouterWorkerSelector | None:
    """The first active selector that the labels do not satisfy."""
    return next((one for one in selectors if one.active and not holds(one, labels)), None)


def all_selectors(job: RouterJob) -> Sequence[RouterWorkerSelector]:
    return (*job.requested_worker_selectors, *job.attached_worker_selectors)


def of_policy(selector: PolicyWorkerSelector) -> RouterWorkerSelector:
    """A policy's selector as a job gets it; its time starts when the job is queued."""
    return RouterWorkerSelector(
        key=selector.key,
        label_operator=selector.label_operator,
        value=selector.value,
        expires_after_seconds=selector.expires_after_seconds,
        expedite=selector.expedite,
    )


def start(selectors: Sequence[RouterWorkerSelector], enqueued_at: datetime) -> list[RouterWorkerSelector]:
    """Selectors with a duration get the moment at which they expire, counted from `enqueued_at`."""
    return [
        one
        if one.expires_after_seconds is None
        else one.model_copy(update={"expires_at": enqueued_at + timedelta(seconds=one.expires_after_seconds)})
        for one in selectors
    ]


def expire(
    selectors: Sequence[RouterWorkerSelector], now: datetime
) -> tuple[list[RouterWorkerSelector], list[RouterWorkerSelector]]:
    """The selectors as they stand at `now`, and those of them that have expired just now."""
    stand: list[RouterWorkerSelector] = []
    expired: list[RouterWorkerSelector] = []
    for one in selectors:
        if one.active and one.expires_at is not None and one.expires_at <= now:
            one = one.model_copy(update={"status": SelectorStatus.EXPIRED})
            expired.append(one)
        stand.append(one)
    return stand, expired


def next_expiry(job: RouterJob) -> datetime | None:
    """When the next active selector of the job expires."""
    return min((one.expires_at for one in all_selectors(job) if one.active and one.expires_at), default=None)


def describe(selector: PolicyWorkerSelector | RouterQueueSelector) -> str:
    """As people write it: `skill >= 7`."""
    value = selector.value
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"{selector.key} {_SIGNS[selector.label_operator]} {value}"


_SIGNS = {
    LabelOperator.EQUAL: "=",
    LabelOperator.NOT_EQUAL: "<>",
    LabelOperator.LESS_THAN: "<",
    LabelOperator.LESS_THAN_OR_EQUAL: "<=",
    LabelOperator.GREATER_THAN: ">",
    LabelOperator.GREATER_THAN_OR_EQUAL: ">=",
}


def _kind(value: LabelScalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"
