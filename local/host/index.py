"""The functions of an app as the Functions host sees them, with the checks that it makes itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

HTTP_TRIGGER: Final = "httpTrigger"
EVENT_GRID_TRIGGER: Final = "eventGridTrigger"
TIMER_TRIGGER: Final = "timerTrigger"
_TRIGGERS: Final = frozenset({HTTP_TRIGGER, EVENT_GRID_TRIGGER, TIMER_TRIGGER})
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,127}")


class IndexingError(Exception):
    """The app cannot be loaded: the platform would refuse it, or this host does not support what it uses."""


@dataclass(frozen=True, slots=True)
class HostedFunction:
    """A function with its trigger's settings, as function.json would hold them."""

    name: str
    #: What the worker knows it by.
    id: str
    trigger: str
    parameter: str
    settings: dict[str, Any]


def hosted_function(name: str, id: str, raw_bindings: Sequence[str]) -> HostedFunction:
    """A function that a worker has found, with its bindings as JSON. Raises IndexingError."""
    if not _NAME.fullmatch(name):
        raise IndexingError(f"function {name!r}: the name must match {_NAME.pattern}")
    bindings = [json.loads(text) for text in raw_bindings]
    triggers = [binding for binding in bindings if str(binding["type"]).lower().endswith("trigger")]
    kind = triggers[0]["type"] if len(triggers) == 1 else None
    if kind not in _TRIGGERS:
        raise IndexingError(f"function {name}: this host does not serve a trigger of type {kind!r}")
    for binding in bindings:
        if binding is not triggers[0] and not (binding["type"] == "http" and binding["direction"] == "OUT"):
            raise IndexingError(f"function {name}: this host does not serve the binding {binding['type']!r}")
    return HostedFunction(name, id, kind, triggers[0]["name"], triggers[0])
