"""Whether two documents say the same: defaults filled in, times as moments, numbers by value but never as booleans.
What is the client's own (labels, tags, the value of a static rule) is compared as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.migrate.own import OWN_MAPS, is_own
from router.models.types import parse_time, same_on_wire

_TIMES: Final = frozenset({"addedAt", "scheduleAt"})
#: Objects that hold secrets. Nothing may be left of them when their secrets are not shown.
_HOLDERS: Final = frozenset({"credential", "clientCredential"})
#: Objects that are as good as empty ones when they are left out.
_EMPTY: Final = frozenset({*_HOLDERS, "scoringRuleOptions"})
_SECRETS: Final = frozenset({"functionKey", "appKey", "clientSecret"})
#: What a service may leave out because it goes without saying.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "offerExpiresAfterSeconds": 60,
    "bypassSelectors": False,
    "minConcurrentOffers": 1,
    "expedite": False,
    "language": "powerFx",
    "batchSize": 20,
    "isBatchScoringEnabled": False,
    "descendingOrder": True,
    "scoringParameters": ["jobLabels", "workerSelectors"],
}
_MISSING: Final = object()


def differences(wanted: Any, found: Any, path: str = "", *, own: bool = False) -> list[str]:
    """The paths at which the two differ; secrets of rules are not looked at, since neither side shows them. `own`: the
    two are the client's own."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        names = sorted({*wanted, *found})
        return [one for name in names for one in _field(wanted, found, name, f"{path}.{name}" if path else name, own)]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [one for number, pair in pairs for one in differences(*pair, f"{path}[{number}]", own=own)]
    same = same_on_wire(wanted, found)
    return [] if same or (not own and _nothing(wanted) and _nothing(found)) else [path or "."]


def _field(wanted: Mapping[str, Any], found: Mapping[str, Any], name: str, path: str, own: bool) -> list[str]:
    if own:
        return differences(wanted.get(name, _MISSING), found.get(name, _MISSING), path, own=True)
    if is_own(wanted, name) or is_own(found, name):
        return differences(_own_value(wanted, name), _own_value(found, name), path, own=True)
    one, other = _value(wanted, name), _value(found, name)
    if name in _HOLDERS:
        one, other = _without_secrets(one), _without_secrets(other)
    if name in _TIMES and isinstance(one, str) and isinstance(other, str):
        one, other = _moment(one), _moment(other)
    return differences(one, other, path)


def _own_value(document: Mapping[str, Any], name: str) -> Any:
    """No labels are as good as empty ones; a static rule without a value has null."""
    value = document.get(name)
    return {} if value is None and name in OWN_MAPS else value


def _value(document: Mapping[str, Any], name: str) -> Any:
    value = document.get(name, _MISSING)
    if value is not _MISSING:
        return value
    if name == "maxConcurrentOffers" and "kind" in document:  # a mode's; a worker's has no default
        return 1
    if name == "priority" and "kind" not in document:  # a job's; an action that has none leaves it as it is
        return 1
    return {} if name in _EMPTY else _DEFAULTS.get(name, _MISSING)


def _without_secrets(holder: Any) -> Any:
    if not isinstance(holder, Mapping):
        return holder
    return {name: value for name, value in holder.items() if name not in _SECRETS}


def _moment(text: str) -> Any:
    try:
        return parse_time(text)
    except ValueError:
        return text


def _nothing(value: Any) -> bool:
    return value is _MISSING or value is None or value == [] or value == {}
