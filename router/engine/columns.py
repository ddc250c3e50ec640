"""Columns of reports: what facts of a slot are shown as, and the text that finished days are kept as.

That text is a JSON array without strings, the histogram last. So it becomes a line of CSV without being parsed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from router.engine import facts
from router.engine.expected_wait import holds_too_seldom
from router.engine.facts import BOUNDS, COUNTS, SPREADS, TIMES, Facts

_HISTOGRAM: Final = "waitHistogram"
_PARTS: Final = (50, 90, 95)
_OF_WORKER: Final = (
    "offered", "accepted", "declined", "expired", "revoked", "completed", "closed", "unassigned", "cancelled",
)  # fmt: skip


def queue_row(found: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a queue's row: numbers, None, true or false, and the histogram behind them."""
    row: dict[str, Any] = {name: found.get(name, 0) for name in COUNTS}
    for name in SPREADS:
        spread = found.get(name)
        row[f"{name}Count"] = spread["count"] if spread else 0
        row[f"{name}Sum"] = spread["sum"] if spread else 0
        row[f"{name}Max"] = spread["max"] if spread else 0
        for part in _PARTS:
            row[f"{name}P{part}"] = facts.percentile(spread, part / 100)
    row["longestLine"] = found.get("longestLine", 0)
    row |= facts.service_levels(found)
    told, held = found.get("waitsTold", 0), found.get("waitsHeld", 0)
    row |= {"waitsTold": told, "waitsHeld": held, "waitsHeldPercent": facts.percent_of(held, told)}
    row["waitsCaution"] = holds_too_seldom(told, held)
    row[_HISTOGRAM] = [
        {"upTo": BOUNDS[int(bucket)] if int(bucket) < len(BOUNDS) else None, "count": count}
        for bucket, count in sorted((found.get("wait") or {"h": {}})["h"].items(), key=lambda item: int(item[0]))
    ]
    return row


def worker_row(found: Facts) -> dict[str, Any]:
    """The columns of a worker's row."""
    row: dict[str, Any] = {name: found.get(name, 0) for name in _OF_WORKER}
    seconds = found.get("seconds", {})
    row |= {f"{name}Seconds": round(seconds.get(name, 0.0), 3) for name in TIMES}
    row["dispositions"] = dict(sorted(found.get("dispositions", {}).items()))
    return row


QUEUE_COLUMNS: Final = tuple(queue_row({}))
#: Changes with what the texts mean: those of another layout are made anew.
LAYOUT: Final = f"{zlib.crc32(json.dumps([QUEUE_COLUMNS, BOUNDS]).encode()):08x}"


def text_of(found: Mapping[str, Any]) -> str:
    """The columns of a queue's row as text."""
    return json.dumps(list(queue_row(found).values()), separators=(",", ":"))


def row_of(values: list[Any]) -> dict[str, Any]:
    """The columns again, of a text that has been parsed."""
    return dict(zip(QUEUE_COLUMNS, values, strict=True))


def csv_of(text: str) -> str:
    """A text as cells of CSV."""
    numbers, _, histogram = text[1:-1].partition(",[")
    return f'{numbers.replace("null", "")},"[{histogram.replace(_QUOTE, _QUOTE * 2)}"'


_QUOTE: Final = '"'
