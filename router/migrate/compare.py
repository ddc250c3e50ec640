"""Whether two documents say the same: defaults filled in, times as moments, numbers by value but never as booleans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.models.types import parse_time

_TIMES: Final = frozenset({"addedAt", "scheduleAt"})
_SECRETS: Final = frozenset({"functionKey", "appKey", "clientSecret"})
#: What a service may leave out because it goes without saying.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "bypassSelectors": False,
    "minConcurrentOffers": 1,
    "expedite": False,
    "language": "powerFx",
    "batchSize": 20,
    "isBatchScoringEnabled": False,
    "descendingOrder": True,
    "scoringParameters": ["jobLabels", "workerSelectors"],
    "priority": 1,
}
#: Objects of which nothing may be left when their secrets are not shown.
_HOLDERS: Final = frozenset({"credential", "clientCredential"})
_MISSING: Final = object()


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """The paths at which the two differ; secrets are not looked at, since neither side shows them."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        if wanted.get("kind") == "static" and "value" in wanted:
            return [] if _same(wanted, found) else [path or "."]
        differ: list[str] = []
        for name in sorted({*wanted, *found}):
            if name not in _SECRETS:
                one, other = _value(wanted, name), _value(found, name)
                differ += differences(one, other, f"{path}.{name}" if path else name)
        return differ
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            one
            for number, pair in enumerate(zip(wanted, found, strict=True))
            for one in differences(*pair, f"{path}[{number}]")
        ]
    if path.rpartition(".")[2] in _TIMES and isinstance(wanted, str) and isinstance(found, str):
        return [] if parse_time(wanted) == parse_time(found) else [path]
    return [] if _same(wanted, found) else [path or "."]


def _value(document: Mapping[str, Any], name: str) -> Any:
    value = document.get(name, _MISSING)
    if value is not _MISSING:
        return value
    if name == "maxConcurrentOffers" and "kind" in document:  # a mode's; a worker's has no default
        return 1
    return {} if name in _HOLDERS else _DEFAULTS.get(name, _MISSING)


def _same(one: Any, other: Any) -> bool:
    if one is _MISSING or other is _MISSING or one is None or other is None:
        return _nothing(one) and _nothing(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _nothing(value: Any) -> bool:
    return value is _MISSING or value is None or value == [] or value == {}
