"""What a rule's result must be, by the place where the rule is used. Results come from JSON and from Power Fx."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, TypeVar

from pydantic import ValidationError

from router.models.enums import by_folded, folded
from router.models.selectors import MAX_SELECTORS, LabelOperator, PolicyWorkerSelector, RouterQueueSelector
from router.models.types import INT32_MAX, INT32_MIN
from router.rules.failure import RuleResultError

_Selector = TypeVar("_Selector", RouterQueueSelector, PolicyWorkerSelector)
_OPERATORS = by_folded(LabelOperator)
#: What an object that is meant as one selector may have, in lower case.
_SELECTOR_NAMES = frozenset({"key", "labeloperator", "operator", "value", "expiresafterseconds", "expedite", "status"})
_NUMBER = re.compile(r"\s*[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?\s*", re.ASCII)


def as_priority(value: object) -> int:
    """An int32. A whole number of any numeric type will do (`1.0`, a decimal), and a text that holds one, as functions
    answer it; a boolean will not."""
    value = _number(value)
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
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _unfit("a condition must be true or false", value)


def as_score(value: object) -> float:
    """A finite number, or a text that holds one."""
    value = _number(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            score = float(value)
        except (OverflowError, ValueError):
            score = float("nan")
        if isfinite(score):
            return score
    raise _unfit("a score must be a finite number", value)


def as_scores(value: object, workers: Sequence[Mapping[str, Any]]) -> list[float]:
    """One score for each of the workers (labels, `Id` among them), in their order. It may be an object of worker id to
    score too, as Microsoft's sample of batch scoring answers."""
    value, count = _structure(value), len(workers)
    if isinstance(value, Mapping):
        ids = [str(worker.get("Id")) for worker in workers]
        missing = [id for id in ids if id not in value]
        if missing:
            raise RuleResultError("InvalidRuleResult", f"Scoring yielded no score for worker '{missing[0]}'.")
        return [as_score(value[id]) for id in ids]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _unfit("batch scoring must yield a list of scores", value)
    if len(value) != count:
        raise RuleResultError(
            "InvalidRuleResult", f"Batch scoring must yield one score for each of {count} workers, not {len(value)}."
        )
    return [as_score(score) for score in value]


def as_queue_selectors(value: object) -> list[RouterQueueSelector]:
    """A list of queue selectors; a single one counts as a list of one. A text names the queue itself, and labels, as
    `directMap` yields them, mean a queue with the same ones."""
    return _selectors(value, RouterQueueSelector)


def as_worker_selectors(value: object) -> list[PolicyWorkerSelector]:
    """A list of worker selectors, their durations not started; a single one counts as a list of one. Labels mean a
    worker with the same ones."""
    return _selectors(value, PolicyWorkerSelector)


def _selectors(value: object, model: type[_Selector]) -> list[_Selector]:
    value = _structure(value)
    if isinstance(value, Mapping):
        given = {name.lower() for name in value if isinstance(name, str)}
        is_selector = bool(given) and (given <= _SELECTOR_NAMES or {"key", "labeloperator"} <= given)
        value = [value] if is_selector else [_same(name, item) for name, item in value.items()]
    elif isinstance(value, str) and value and model is RouterQueueSelector:
        value = [_same("Id", value)]
    entries = value
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
    # The how-to of scoring says `operator`.
    operator = fields.get("labelOperator", next((item for key, item in entry.items() if _is(key, "operator")), None))
    if isinstance(operator, str):
        fields["labelOperator"] = _OPERATORS.get(folded(operator), operator)
    try:
        return model.model_validate({name: _plain(item) for name, item in fields.items() if item is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RuleResultError("InvalidRuleResult", f"Selector {number}, {field}: {first['msg']}.") from None


def _number(value: object) -> object:
    """The number that a text holds; anything else as it is."""
    return Decimal(value.strip()) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _structure(value: object) -> object:
    """The list or object that a text holds as JSON: some functions answer so. Anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _same(key: object, value: object) -> dict[str, object]:
    return {"key": key, "labelOperator": "equal", "value": value}


def _is(key: object, name: str) -> bool:
    return isinstance(key, str) and key.lower() == name


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
