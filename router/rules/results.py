"""What a rule's result must be, by the place where the rule is used. Results come from JSON and from Power Fx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, TypeVar

from pydantic import ValidationError

from router.models.selectors import MAX_SELECTORS, LabelOperator, PolicyWorkerSelector, RouterQueueSelector
from router.models.types import INT32_MAX, INT32_MIN
from router.rules.failure import RuleResultError

_Selector = TypeVar("_Selector", RouterQueueSelector, PolicyWorkerSelector)
_OPERATORS = {operator.value.lower(): operator for operator in LabelOperator}


def as_priority(value: object) -> int:
    """An int32. A whole number of any numeric type will do (`1.0`, a decimal); a boolean or a text will not."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            raise _unfit("a priority must be a whole number", value)
        if INT32_MIN <= value <= INT32_MAX:  # first: making an integer of a huge decimal takes seconds
            if value != int(value):
                raise _unfit("a priority must be a whole number", value)
            return int(value)
        raise _unfit(f"a priority must be between {INT32_MIN} and {INT32_MAX}", value)
    raise _unfit("a priority must be a whole number", value)


def as_condition(value: object) -> bool:
    """A boolean. Blank is false, as in Power Fx: `job.Vip` holds for no job that lacks the label."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise _unfit("a condition must be true or false", value)


def as_score(value: object) -> float:
    """A finite number."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            score = float(value)
        except (OverflowError, ValueError):
            score = float("nan")
        if isfinite(score):
            return score
    raise _unfit("a score must be a finite number", value)


def as_scores(value: object, count: int) -> list[float]:
    """One score for each of `count` workers, in their order."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _unfit("batch scoring must yield a list of scores", value)
    if len(value) != count:
        raise RuleResultError(
            "InvalidRuleResult", f"Batch scoring must yield one score for each of {count} workers, not {len(value)}."
        )
    return [as_score(score) for score in value]


def as_queue_selectors(value: object) -> list[RouterQueueSelector]:
    """A list of queue selectors; a single one counts as a list of one."""
    return _selectors(value, RouterQueueSelector)


def as_worker_selectors(value: object) -> list[PolicyWorkerSelector]:
    """A list of worker selectors, their durations not started; a single one counts as a list of one."""
    return _selectors(value, PolicyWorkerSelector)


def _selectors(value: object, model: type[_Selector]) -> list[_Selector]:
    entries = [value] if isinstance(value, Mapping) else value
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise _unfit("the rule must yield a list of selectors", value)
    if len(entries) > MAX_SELECTORS:
        raise RuleResultError(
            "InvalidRuleResult", f"The rule yielded {len(entries)} selectors; at most {MAX_SELECTORS} are accepted."
        )
    return [_selector(entry, number, model) for number, entry in enumerate(entries)]


def _selector(entry: object, number: int, model: type[_Selector]) -> _Selector:
    if not isinstance(entry, Mapping):
        raise _unfit(f"selector {number} must be an object with key, labelOperator and value", entry)
    names = {
        (field.alias or name).lower(): field.alias or name
        for name, field in model.model_fields.items()
        if name != "status"  # read-only: a selector starts active
    }
    fields = {names[key.lower()]: item for key, item in entry.items() if isinstance(key, str) and key.lower() in names}
    operator = fields.get("labelOperator")
    if isinstance(operator, str):
        fields["labelOperator"] = _OPERATORS.get(operator.lower(), operator)
    try:
        return model.model_validate({name: _plain(item) for name, item in fields.items() if item is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RuleResultError("InvalidRuleResult", f"Selector {number}, {field}: {first['msg']}.") from None


def _plain(value: Any) -> Any:
    """Decimals of Power Fx as the numbers of JSON: integers of 64 bits, or floats."""
    if isinstance(value, Decimal):
        whole = value.is_finite() and value.adjusted() < 18 and value == value.to_integral_value()
        return int(value) if whole else float(value)
    return value


def _unfit(requirement: str, value: object) -> RuleResultError:
    return RuleResultError("InvalidRuleResult", f"{requirement[0].upper()}{requirement[1:]}, not {_shown(value)}.")


def _shown(value: object) -> str:
    """Texts are not quoted: an endpoint may answer with the very key that it was called with."""
    match value:
        case None:
            return "blank"
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value)
        case int() | Decimal():
            return f"{Decimal(value):.20g}"
        case str():
            return f"a text of {len(value)} characters"
        case Mapping():
            return "an object"
        case Sequence():
            return f"a list of {len(value)}"
    return type(value).__name__
