"""What people read: tables and documents in plain text. Scripts read JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any


def say(text: str = "") -> None:
    print(text, flush=True)


def tell(text: str) -> None:
    """What is not the command's answer: progress, remarks."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: Any, *, line: bool = False) -> None:
    say(json.dumps(value, ensure_ascii=False, indent=None if line else 2))


def clean(value: Any) -> str:
    """A value in one line. Ids and labels are clients' texts: what would move the cursor is written as an escape."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as their longest text; the last one is not filled up."""
    lines = [list(titles), *([clean(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def some(count: int, what: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def document(value: Any, indent: str = "") -> str:
    """A JSON document as an indented outline."""
    lines: list[str] = []
    items = value.items() if isinstance(value, Mapping) else ((f"[{n}]", one) for n, one in enumerate(value))
    for name, one in items:
        if isinstance(one, Mapping | list) and one:
            lines += [f"{indent}{clean(name)}:", document(one, indent + "  ")]
        else:
            shown = "none" if isinstance(one, Mapping | list) else clean(one)
            lines.append(f"{indent}{clean(name)}: {shown}")
    return "\n".join(lines)


def length_of(span: timedelta) -> str:
    """`42s`, `3m 5s`, `2h 10m`, `4d 3h`."""
    seconds = max(int(span.total_seconds()), 0)
    for name, size, less, smaller in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size}{name} {seconds % size // smaller}{less}"
    return f"{seconds}s"


def since(moment: str | None, now: datetime) -> str | None:
    return length_of(now - datetime.fromisoformat(moment)) if moment else None
