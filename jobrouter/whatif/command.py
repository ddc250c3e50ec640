"""`jobrouter whatif`: reads, plays, refuses or compares, and prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jobrouter.failure import DONE, CommandError, NotSo
from jobrouter.whatif import changes, report, search
from jobrouter.whatif.sources import Generated, Replayed, Source, play, read
from router.replay.comparison import Comparison
from router.replay.figures import Figures, doubts, figures
from router.replay.history import Day, told
from router.replay.lateness import refusal
from router.replay.shadows import LABEL

_SEARCH_REPLICATIONS = 3


async def run(options: argparse.Namespace) -> int:
    if not options.change and not options.search and not options.shadow:
        raise CommandError("give --change, --shadow or --search")
    if options.replications < 1:
        raise CommandError("--replications is at least 1")
    source: Source
    if options.history is not None:
        day = read(options.history)
        for line in told(day):
            print(f"note: {line}", file=sys.stderr)
        if not day.jobs:
            raise NotSo(f"{options.history} tells of no job in its span, so there is nothing to play again.")
        if not any(one.first("accepted", "cancelled") for one in day.jobs):
            raise NotSo(f"{options.history} tells of no job that was assigned or left, so there is nothing to compare.")
        source = Replayed(day)
        off = doubts(day, play(source, 0), options.threshold)
        if off:
            lines = "\n".join(f"  {one}" for one in refusal(day, off))
            raise NotSo(f"The replay is not the day that was, so nothing is predicted:\n{lines}")
    else:
        source = Generated.load(options.generate)
        day, _ = source.day(0)
    if options.search:
        return _search(source, day, options)
    tried = [{"name": path.stem} | changes.load(path) for path in options.change]
    for change in tried:
        changes.changed(day, change)  # what cannot be read is told before anything is played
        for key in changes.not_asked_for(day, change):
            print(f"note: no job asks for '{key}'", file=sys.stderr)
    if options.shadow:
        shadows = changes.shadows(day)
        if not shadows and not tried:
            raise CommandError(f"no queue names a candidate policy (label {LABEL})")
        tried += shadows
    before = _runs(source, options.replications, options.threshold)
    compared: list[Comparison] = []
    for change in tried:
        after = _runs(source, options.replications, options.threshold, change)
        compared.append(Comparison(change["name"], options.threshold, before, after))
    hours = [changes.hours_added(day, change) for change in tried]
    costs = [None if one is None else one * options.cost_per_hour for one in hours]
    _print(compared, report.together(compared, costs), options)
    return DONE


def _runs(
    source: Source, replications: int, threshold: float, change: Mapping[str, Any] | None = None
) -> list[Figures]:
    """Replication 0 of a history is the day itself: alone it tells exactly what was, beside drawn ones it is one."""
    return [figures(play(source, number, change), threshold) for number in range(replications)]


def _search(source: Source, day: Day, options: argparse.Namespace) -> int:
    tried = search.team(day) if options.search == "team" else search.policy(day)
    replications = min(options.replications, _SEARCH_REPLICATIONS)
    before = _runs(source, replications, options.threshold)
    found: list[tuple[Comparison, float, float]] = []
    for change, hours in tried:
        after = _runs(source, replications, options.threshold, change)
        compared = Comparison(change["name"], options.threshold, before, after)
        level = sum(one["all", ""]["serviceLevel"] for one in after) / len(after)
        found.append((compared, hours * options.cost_per_hour, level))
    # Who reaches the target comes first, the cheapest of them before all; the others by what they reach.
    found.sort(key=lambda one: (0, one[1], -one[2]) if one[2] >= options.target else (1, -one[2], one[1]))
    best = [one[0] for one in found[:5]]
    _write_page(best, options)
    if options.json:
        rows = [
            {"name": one.name, "cost": cost, "serviceLevel": round(level, 2), "sentence": one.sentence()}
            for one, cost, level in found
        ]
        print(json.dumps({"target": options.target, "tried": rows}, indent=2))
    else:
        for one, cost, level in found:
            mark = "*" if level >= options.target else " "
            print(f"{mark} {level:5.1f} %  cost {cost:8.2f}  {one.sentence()}")
        print(f"* reaches the service level of {options.target:g} %.")
    return DONE


def _print(compared: Sequence[Comparison], summary: str, options: argparse.Namespace) -> None:
    _write_page(compared, options, summary)
    if options.json:
        found = {"comparisons": [report.document(one) for one in compared]}
        print(json.dumps(found | ({"sentence": summary} if summary else {}), indent=2))
    else:
        for one in compared:
            print("\n".join(report.table(one)))
            print(one.sentence())
        if summary:
            print(summary)


def _write_page(compared: Sequence[Comparison], options: argparse.Namespace, summary: str = "") -> None:
    if options.html is not None:
        try:
            options.html.write_text(report.page(compared, summary), "utf-8")
        except OSError as error:
            raise CommandError(f"{options.html} cannot be written: {error.strerror or error}.") from error
