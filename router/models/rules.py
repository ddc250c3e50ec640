"""Rules and the places that hold them: the `kind` unions (docs/behaviour.md, "Models")."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from router.models.selectors import LabelOperator, PolicyWorkerSelector, RouterQueueSelector
from router.models.types import Flag, Model, Name, PositiveInt32, Seconds, Text

#: Fields that are write-only: kept encrypted, never in an answer, an event or a log.
SECRET_FIELDS = frozenset({"functionKey", "appKey", "clientSecret"})


class StaticRouterRule(Model):
    kind: Literal["static"]
    value: Any = None


class DirectMapRouterRule(Model):
    kind: Literal["directMap"]


class ExpressionRouterRule(Model):
    kind: Literal["expression"]
    language: Literal["powerFx"] = "powerFx"
    expression: Text


class FunctionRouterRuleCredential(Model):
    function_key: Text | None = None
    app_key: Text | None = None
    client_id: Text | None = None


class FunctionRouterRule(Model):
    kind: Literal["function"]
    function_uri: Text
    credential: FunctionRouterRuleCredential | None = None


class OAuth2WebhookClientCredential(Model):
    client_id: Text | None = None
    client_secret: Text | None = None


class WebhookRouterRule(Model):
    kind: Literal["webhook"]
    authorization_server_uri: Text | None = None
    client_credential: OAuth2WebhookClientCredential | None = None
    webhook_uri: Text | None = None


RouterRule = Annotated[
    StaticRouterRule | DirectMapRouterRule | ExpressionRouterRule | FunctionRouterRule | WebhookRouterRule,
    Field(discriminator="kind"),
]

Weight = Annotated[float, Field(strict=True, gt=0, le=1e9)]


class QueueWeightedAllocation(Model):
    weight: Weight
    queue_selectors: list[RouterQueueSelector]


class WorkerWeightedAllocation(Model):
    weight: Weight
    worker_selectors: list[PolicyWorkerSelector]


class ConditionalQueueSelectorAttachment(Model):
    kind: Literal["conditional"]
    condition: RouterRule
    queue_selectors: list[RouterQueueSelector]


class PassThroughQueueSelectorAttachment(Model):
    kind: Literal["passThrough"]
    key: Name
    label_operator: LabelOperator


class RuleEngineQueueSelectorAttachment(Model):
    kind: Literal["ruleEngine"]
    rule: RouterRule


class StaticQueueSelectorAttachment(Model):
    kind: Literal["static"]
    queue_selector: RouterQueueSelector


class WeightedAllocationQueueSelectorAttachment(Model):
    kind: Literal["weightedAllocation"]
    allocations: Annotated[list[QueueWeightedAllocation], Field(min_length=1)]


QueueSelectorAttachment = Annotated[
    ConditionalQueueSelectorAttachment
    | PassThroughQueueSelectorAttachment
    | RuleEngineQueueSelectorAttachment
    | StaticQueueSelectorAttachment
    | WeightedAllocationQueueSelectorAttachment,
    Field(discriminator="kind"),
]


class ConditionalWorkerSelectorAttachment(Model):
    kind: Literal["conditional"]
    condition: RouterRule
    worker_selectors: list[PolicyWorkerSelector]


class PassThroughWorkerSelectorAttachment(Model):
    kind: Literal["passThrough"]
    key: Name
    label_operator: LabelOperator
    expires_after_seconds: Seconds | None = None


class RuleEngineWorkerSelectorAttachment(Model):
    kind: Literal["ruleEngine"]
    rule: RouterRule


class StaticWorkerSelectorAttachment(Model):
    kind: Literal["static"]
    worker_selector: PolicyWorkerSelector


class WeightedAllocationWorkerSelectorAttachment(Model):
    kind: Literal["weightedAllocation"]
    allocations: Annotated[list[WorkerWeightedAllocation], Field(min_length=1)]


WorkerSelectorAttachment = Annotated[
    ConditionalWorkerSelectorAttachment
    | PassThroughWorkerSelectorAttachment
    | RuleEngineWorkerSelectorAttachment
    | StaticWorkerSelectorAttachment
    | WeightedAllocationWorkerSelectorAttachment,
    Field(discriminator="kind"),
]


#: Workers of one batch of scoring, where the policy does not say.
DEFAULT_BATCH_SIZE: Final = 20


# Defaults: docs/behaviour.md, "Defaults and validation".
class ScoringRuleOptions(Model):
    """How a best-worker policy calls its scoring rule."""

    #: Workers of one batch; counts as DEFAULT_BATCH_SIZE where it was not given, and is not answered then.
    batch_size: PositiveInt32 | None = None
    scoring_parameters: list[Literal["jobLabels", "workerSelectors"]] = ["jobLabels", "workerSelectors"]
    is_batch_scoring_enabled: Flag = False
    descending_order: Flag = True
