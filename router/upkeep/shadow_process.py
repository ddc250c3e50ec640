"""A process of its own that plays a day again with the policies that queues name as candidates.

It has neither settings nor storage: what it plays it reads from its input, and what it finds it prints. So it can write
nothing, and what it costs is the processor that nobody else wants, and memory until it ends. Input: a line each,

    ["asked", {"from": .., "to": .., "thresholds": {queue: seconds}, "otherwise": seconds}]
    ["setting", kind, id, JSON]  ["worker", JSON]  ["change", key, JSON]  ["entry", owner, key, JSON]"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from pydantic_core import from_json

from router.engine.history import shown
from router.models.history import Entry
from router.models.types import format_time
from router.replay.errors import ReplayError
from router.replay.exported import lines
from router.replay.history import Reader
from router.replay.verdicts import verdicts

#: What else runs on the machine goes first.
_NICE: Final = 19


def main() -> None:
    with suppress(AttributeError, OSError):  # Windows has it not
        os.nice(_NICE)
    gc.disable()  # nothing here is a circle, there is much of it, and the process ends soon
    sys.stdout.write(json.dumps(found(sys.stdin)))


def found(told: Iterable[str]) -> list[dict[str, Any]]:
    """What comes out for a day, of which these lines tell."""
    asked: dict[str, Any] = {}
    settings: dict[str, list[dict[str, Any]]] = {}
    workers: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    entries: list[tuple[str, dict[str, Any]]] = []
    for line in told:
        what, *rest = from_json(line)
        if what == "asked":
            (asked,) = rest
        elif what == "setting":
            kind, id, text = rest
            settings.setdefault(kind, []).append({**from_json(text), "id": id})
        elif what == "worker":
            workers.append(from_json(rest[0]))
        elif what == "change":
            key, text = rest
            changes.append({"at": format_time(Entry(key, text).at), **from_json(text)})
        else:
            owner, key, text = rest
            entries.append((key, {"owner": owner, **shown(Entry(key, text), from_json(text))}))
    entries.sort(key=lambda one: one[0])
    try:
        reader, number = Reader("the history"), 0
        for number, one in enumerate(
            lines(asked["from"], asked["to"], [entry for _, entry in entries], changes, settings, workers), 1
        ):
            reader.add(one, number)
        day = reader.day(number)
    except ReplayError as error:
        return [{"notPredicted": str(error)}]
    return verdicts(day, asked["thresholds"], asked["otherwise"])


if __name__ == "__main__":
    main()
