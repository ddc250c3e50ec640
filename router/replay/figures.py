"""What a replayed day comes to, by queue, channel, skill and hour, and how sure that is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.engine.selectors import first_failing
from router.models.types import with_id_label
from router.replay.history import Day
from router.replay.played import Outcome, Played

#: Two-sided 95 % of Student's t by degrees of freedom.
_T95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)

#: Dimension and value: ("all", ""), ("queue", "support"), ("hour", "10").
Cell = tuple[str, str]
Figures = dict[Cell, dict[str, float]]


@dataclass(frozen=True)
class Estimate:
    """A mean over replications, and half of its 95 % interval; infinite for one alone."""

    mean: float
    half: float


def figures(played: Played, threshold: float) -> Figures:
    """Shares and occupancy in percent, waits in seconds. Jobs that were neither served nor left do not count."""
    cells: dict[Cell, list[Outcome]] = defaultdict(list)
    for one in played.outcomes.values():
        if one.waited is None:
            continue
        places = (("queue", one.queue_id), ("channel", one.channel_id), ("skill", one.skill))
        for cell in _cells(places, int(one.came // 3600)):
            cells[cell].append(one)
    found = {cell: _of(outcomes, threshold) for cell, outcomes in cells.items()}
    _occupancy(found, played)
    return found


def _of(outcomes: Sequence[Outcome], threshold: float) -> dict[str, float]:
    waits = sorted(one.waited or 0.0 for one in outcomes)
    served = [one for one in outcomes if one.worker_id is not None]
    within = sum((one.waited or 0.0) <= threshold for one in served)
    left = sum(one.abandoned for one in outcomes)
    return {
        "jobs": float(len(outcomes)),
        "serviceLevel": 100 * within / len(outcomes),
        "meanWait": sum(waits) / len(waits),
        "p50": _quantile(waits, 0.5),
        "p80": _quantile(waits, 0.8),
        "p95": _quantile(waits, 0.95),
        "abandonment": 100 * left / len(outcomes),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] if ordered else 0.0


def _cells(places: Iterable[Cell], hour: int) -> Iterator[Cell]:
    """All, the hour, and each of the places as a whole and in the hour."""
    yield ("all", "")
    yield ("hour", f"{hour:02}")
    for name, value in places:
        yield (name, value)
        yield (f"{name} and hour", f"{value}, {hour:02}")


def _occupancy(found: Figures, played: Played) -> None:
    """Of a queue that of the workers who serve it, of a channel of those who have it, of a skill of those who have what
    its jobs ask for."""
    sums: dict[Cell, list[float]] = defaultdict(lambda: [0.0, 0.0])
    places: dict[tuple[str, int], list[Cell]] = {}
    for team, worker in played.teams.items():
        labels = with_id_label(worker.labels, team[0])
        places[team] = [
            *(("queue", queue_id) for queue_id in worker.queues),
            *(("channel", one.channel_id) for one in worker.channels),
            *(("skill", skill) for skill, asked in played.asked.items() if first_failing(asked, labels) is None),
        ]
    for (team, hour), there in played.there.items():
        used = played.used[team, hour]
        for cell in _cells(places[team], hour):
            sums[cell][0] += used
            sums[cell][1] += there
    for cell, (used, there) in sums.items():
        if cell in found and there:
            found[cell]["occupancy"] = 100 * used / there


def estimates(runs: Sequence[Figures]) -> dict[Cell, dict[str, Estimate]]:
    """Of each figure that every run has."""
    found: dict[Cell, dict[str, Estimate]] = {}
    for cell in runs[0]:
        values = [run[cell] for run in runs if cell in run]
        if len(values) == len(runs):
            names = [name for name in values[0] if all(name in one for one in values)]
            found[cell] = {name: _estimate([one[name] for one in values]) for name in names}
    return found


def differences(before: Sequence[Figures], after: Sequence[Figures]) -> dict[Cell, dict[str, Estimate]]:
    """Of paired runs."""
    pairs: list[Figures] = []
    for one, other in zip(before, after, strict=True):
        pairs.append(
            {
                cell: {name: other[cell][name] - one[cell][name] for name in one[cell] if name in other[cell]}
                for cell in one
                if cell in other
            }
        )
    return estimates(pairs)


def _estimate(values: Sequence[float]) -> Estimate:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, math.inf)
    spread = math.sqrt(sum((one - mean) ** 2 for one in values) / (len(values) - 1))
    degrees = len(values) - 1
    t = _T95[degrees - 1] if degrees <= len(_T95) else 2.0
    return Estimate(mean, t * spread / math.sqrt(len(values)))


@dataclass(frozen=True)
class Doubt:
    """Why a replay is not believed: what is off, by how much, and where most."""

    figure: str
    real: float
    replayed: float
    where: str

    def __str__(self) -> str:
        unit = "s" if self.figure == "mean wait" else "%"
        return (
            f"{self.figure}: {self.real:.1f} {unit} in reality, {self.replayed:.1f} {unit} in the replay; most in"
            f" {self.where}"
        )


def reality(day: Day) -> Played:
    """The day as its entries tell it."""
    played = Played()
    for job in day.jobs:
        queued, end = job.first("queued"), job.first("accepted", "cancelled")
        if queued is None:
            continue
        stays = [one for one in job.entries if one.what in ("queued", "moved") and (end is None or one.at <= end.at)]
        queues = [str(one.fields["queueId"]) for one in stays if one.fields.get("queueId")]
        queue_id = (queues or [str((job.classified or {}).get("queueId") or job.resource.queue_id or "")])[-1]
        came = (queued.at - day.begins).total_seconds()
        one = Outcome(job.id, queue_id, job.resource.channel_id, "-", came)
        if end is not None:
            one.waited = (end.at - queued.at).total_seconds()
            one.abandoned = end.what == "cancelled"
            one.worker_id = str(end.fields.get("workerId")) if end.what == "accepted" else None
        played.outcomes[job.id] = one
    return played


def doubts(day: Day, replayed: Played, threshold: float) -> list[Doubt]:
    """Empty where the replay may be believed: its mean wait is off by no more than 5 % or 2 s, and its service level
    by no more than 2 points."""
    real = reality(day)
    if not any(one.waited is not None for one in real.outcomes.values()):
        return [Doubt("jobs that were assigned or left", 0, 0, "the whole file")]
    replayed = _until_its_end(day, replayed)
    lived, was = figures(real, threshold), figures(replayed, threshold)
    everything: Cell = ("all", "")
    if everything not in was:
        return [Doubt("mean wait", lived[everything]["meanWait"], math.nan, "the whole day: nothing was assigned")]
    found: list[Doubt] = []
    wait, replayed_wait = lived[everything]["meanWait"], was[everything]["meanWait"]
    off = abs(replayed_wait - wait)
    if off > 2.0 and off > 0.05 * wait:
        found.append(Doubt("mean wait", wait, replayed_wait, _where(real, replayed, lambda one: one.waited or 0.0)))
    level, replayed_level = lived[everything]["serviceLevel"], was[everything]["serviceLevel"]
    if abs(level - replayed_level) > 2.0:

        def within(one: Outcome) -> float:
            return float(one.worker_id is not None and (one.waited or 0.0) <= threshold)

        found.append(Doubt("service level", level, replayed_level, _where(real, replayed, within)))
    return found


def _until_its_end(day: Day, replayed: Played) -> Played:
    """As the entries of the day could have told it: who was served or left after its end, waited then."""
    last = (day.ends - day.begins).total_seconds()
    outcomes = {
        id: replace(one, waited=None) if one.waited is not None and one.came + one.waited >= last else one
        for id, one in replayed.outcomes.items()
    }
    return replace(replayed, outcomes=outcomes)


def _where(real: Played, replayed: Played, value: Callable[[Outcome], float]) -> str:
    """The queues and hours that are off most."""

    def sums(outcomes: Iterable[Outcome]) -> Mapping[tuple[str, int], float]:
        total: dict[tuple[str, int], float] = defaultdict(float)
        for one in outcomes:
            if one.waited is not None:
                total[one.queue_id, int(one.came // 3600)] += value(one)
        return total

    before, after = sums(real.outcomes.values()), sums(replayed.outcomes.values())
    off = {cell: abs(before.get(cell, 0.0) - after.get(cell, 0.0)) for cell in {*before, *after}}
    most = sorted(off, key=lambda cell: -off[cell])[:3]
    return ", ".join(f"queue '{queue_id}' from hour {hour} to {hour + 1}" for queue_id, hour in most)
