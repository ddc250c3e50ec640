"""Distribution, classification and exception policies, as clients write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from router.models.rules import (
    QueueSelectorAttachment,
    RouterRule,
    ScoringRuleOptions,
    WorkerSelectorAttachment,
)
from router.models.selectors import MAX_SELECTORS, PolicyWorkerSelector
from router.models.types import Flag, Id, Labels, Model, Name, PositiveInt32, Priority, Seconds, Text

MAX_ATTACHMENTS = 100


class _Mode(Model):
    min_concurrent_offers: PositiveInt32 = 1
    max_concurrent_offers: PositiveInt32 = Field(default=1, validate_default=True)
    bypass_selectors: Flag = False

    @field_validator("max_concurrent_offers")
    @classmethod
    def _ordered(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("min_concurrent_offers", 1)
        if value < least:
            raise ValueError(f"must be at least minConcurrentOffers ({least})")
        return value


class BestWorkerMode(_Mode):
    kind: Literal["bestWorker"]
    scoring_rule: RouterRule | None = None
    scoring_rule_options: ScoringRuleOptions = ScoringRuleOptions()


class LongestIdleMode(_Mode):
    kind: Literal["longestIdle"]


class RoundRobinMode(_Mode):
    kind: Literal["roundRobin"]


DistributionMode = Annotated[BestWorkerMode | LongestIdleMode | RoundRobinMode, Field(discriminator="kind")]


class DistributionPolicy(Model):
    """How a queue's jobs are offered to workers."""

    KIND: ClassVar = "DistributionPolicy"

    name: Name | None = None
    offer_expires_after_seconds: Seconds = 60.0
    mode: DistributionMode


class ClassificationPolicy(Model):
    """How a job gets its queue, priority and worker selectors."""

    KIND: ClassVar = "ClassificationPolicy"

    name: Name | None = None
    fallback_queue_id: Id | None = None
    queue_selector_attachments: Annotated[list[QueueSelectorAttachment], Field(max_length=MAX_ATTACHMENTS)] = []
    prioritization_rule: RouterRule | None = None
    worker_selector_attachments: Annotated[list[WorkerSelectorAttachment], Field(max_length=MAX_ATTACHMENTS)] = []


class CancelExceptionAction(Model):
    kind: Literal["cancel"]
    id: Name | None = Field(default=None, json_schema_extra={"readOnly": True})
    note: Text | None = None
    disposition_code: Name | None = None


class ManualReclassifyExceptionAction(Model):
    kind: Literal["manualReclassify"]
    id: Name | None = Field(default=None, json_schema_extra={"readOnly": True})
    queue_id: Id | None = None
    priority: Priority | None = None
    worker_selectors: Annotated[list[PolicyWorkerSelector], Field(max_length=MAX_SELECTORS)] = []


class ReclassifyExceptionAction(Model):
    kind: Literal["reclassify"]
    id: Name | None = Field(default=None, json_schema_extra={"readOnly": True})
    classification_policy_id: Id | None = None
    labels_to_upsert: Labels = {}


ExceptionAction = Annotated[
    CancelExceptionAction | ManualReclassifyExceptionAction | ReclassifyExceptionAction,
    Field(discriminator="kind"),
]


class QueueLengthExceptionTrigger(Model):
    kind: Literal["queueLength"]
    threshold: PositiveInt32


class WaitTimeExceptionTrigger(Model):
    kind: Literal["waitTime"]
    threshold_seconds: Seconds


ExceptionTrigger = Annotated[QueueLengthExceptionTrigger | WaitTimeExceptionTrigger, Field(discriminator="kind")]


class ExceptionRule(Model):
    id: Id
    trigger: ExceptionTrigger
    actions: Annotated[list[ExceptionAction], Field(max_length=MAX_ATTACHMENTS)]


def check_rules(rules: list[ExceptionRule]) -> list[ExceptionRule]:
    if len({rule.id for rule in rules}) != len(rules):
        raise ValueError("must have distinct ids")
    return rules


class ExceptionPolicy(Model):
    """What happens to jobs that wait too long or come to too long a queue."""

    KIND: ClassVar = "ExceptionPolicy"

    name: Name | None = None
    exception_rules: Annotated[list[ExceptionRule], Field(max_length=MAX_ATTACHMENTS), AfterValidator(check_rules)] = []


def exception_actions(policy: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The actions of an exception policy, which need not be valid, with their places."""
    rules = policy.get("exceptionRules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        actions = rule.get("actions") if isinstance(rule, dict) else None
        for place, action in enumerate(actions if isinstance(actions, list) else ()):
            if isinstance(action, dict):
                yield f"exceptionRules[{number}].actions[{place}]", action
