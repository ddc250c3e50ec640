"""Selectors: conditions on the labels of workers and queues."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from router.models.types import Flag, LabelValue, Model, Name, Seconds, Time

#: Selectors of one list.
MAX_SELECTORS: Final = 100
#: That a policy attaches to one job, or chooses a queue by: each is held against many workers or queues.
MAX_ATTACHED: Final = 2 * MAX_SELECTORS


class LabelOperator(StrEnum):
    EQUAL = "equal"
    NOT_EQUAL = "notEqual"
    LESS_THAN = "lessThan"
    LESS_THAN_OR_EQUAL = "lessThanOrEqual"
    GREATER_THAN = "greaterThan"
    GREATER_THAN_OR_EQUAL = "greaterThanOrEqual"


class SelectorStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"


class _Condition(Model):
    """A condition on labels. Python holds True == 1; on the wire they are two values, so two conditions."""

    if TYPE_CHECKING:
        value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Condition) or isinstance(self.value, bool) is not isinstance(other.value, bool):
            return False
        return super().__eq__(other)


class RouterQueueSelector(_Condition):
    """A condition on a queue's labels."""

    key: Name
    label_operator: LabelOperator
    value: LabelValue | None = None


class PolicyWorkerSelector(_Condition):
    """A worker selector as a policy holds it: a duration that has not started, so it never expires."""

    key: Name
    label_operator: LabelOperator
    value: LabelValue | None = None
    expires_after_seconds: Seconds | None = None
    expedite: Flag = False
    status: SelectorStatus = Field(default=SelectorStatus.ACTIVE, json_schema_extra={"readOnly": True})


class RouterWorkerSelector(PolicyWorkerSelector):
    """A worker selector of a job. `expires_at` and `status` are the router's own (read-only)."""

    expires_at: Time | None = Field(default=None, json_schema_extra={"readOnly": True})

    @property
    def active(self) -> bool:
        return self.status is SelectorStatus.ACTIVE
