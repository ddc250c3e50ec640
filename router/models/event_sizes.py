"""How large an event may be on the wire, and what is left of one that is larger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

#: What Event Grid takes in one request, and so in one event: 1 MB, less the brackets.
MAX_EVENT_BYTES: Final = 1_000_000 - 2
#: What stands around the data of an event: ids, subject and trace, each letter escaped.
_AROUND: Final = 20_000
#: A cut event names in this field of its data what has been taken out.
CUT_MARKER: Final = "truncated"
#: A text that has to be cut keeps this many characters.
CUT_TEXT: Final = 256
#: Bytes of ASCII that a letter takes at most.
_OF_A_LETTER: Final = 12


def to_json(value: Any) -> str:
    """As it is sent: ASCII only, so that characters are bytes."""
    return json.dumps(value, separators=(",", ":"))


def bounded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of an event as it is to be kept and sent: most often as it is."""
    limit = MAX_EVENT_BYTES - _AROUND
    if data_weight(data) * _OF_A_LETTER <= limit or len(to_json(data)) <= limit:
        return data
    return cut_data(data, limit)


def cut_data(data: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The data without what makes it too large, the largest first: labels and tags, then lists and long texts.
    Its ids always stay, so that it still wakes whom it concerns; `truncated` names what is missing."""
    cut = dict(data)
    sizes = {name: _bytes(name, value) for name, value in cut.items()}
    missing: list[str] = []
    for shorten in (_without_labels, _emptied):
        for name in sorted(data, key=lambda name: -sizes[name]):
            if sum(sizes.values()) + 1 <= limit:
                return cut
            shorter = shorten(name, cut[name])
            if shorter != cut[name]:
                cut[name] = shorter
                sizes[name] = _bytes(name, shorter)
                missing.append(name)
                cut[CUT_MARKER] = sorted(set(missing))
                sizes[CUT_MARKER] = _bytes(CUT_MARKER, cut[CUT_MARKER])
    return cut


def _bytes(name: str, value: Any) -> int:
    """Of a field of an object, with the comma behind it."""
    return len(to_json({name: value})) - 1


def data_weight(value: Any) -> int:
    """Letters, and something for all else."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return 2 + sum(len(name) + 4 + data_weight(inner) for name, inner in value.items())
    if isinstance(value, list):
        return 2 + sum(1 + data_weight(inner) for inner in value)
    return 24


def _without_labels(name: str, value: Any) -> Any:
    if name.lower().endswith(("labels", "tags")):
        return {}
    if name == "queueDetails":
        return {**value, "labels": {}}
    if name == "queueAssignments":
        return [{**queue, "labels": {}} for queue in value]
    return value


def _emptied(name: str, value: Any) -> Any:
    if isinstance(value, list) and name != CUT_MARKER:
        return []
    return value[:CUT_TEXT] if isinstance(value, str) else value
