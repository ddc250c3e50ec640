"""A job's wait as a range, from the workers who could take it and the jobs that compete for them
(docs/waiting.md has the formula and its errors)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

#: When jobs of a class waited: from, to.
Span = tuple[datetime, datetime]
#: (0 for expedited, else 1; the priority's negative): sorts as jobs are served.
Rank = tuple[int, int]

#: With fewer assignments by workers who could take the job nothing is said.
LEAST_ASSIGNMENTS: Final = 5
#: So many jobs that were told a wait say how often it holds; below this share it is said to hold too seldom.
ENOUGH_TOLD: Final = 20
_HELD_AT_LEAST: Final = 70.0
#: Of a longer line, neighbours of a class are drained together.
_MOST_BLOCKS: Final = 400
#: Where more urgent jobs take more than this share of the workers, nothing is said.
_MOST_OVERTAKEN: Final = 0.95
#: A quantile is known as well as this.
_EXACT: Final = 1e-6
#: From here the tail of a normal distribution is told by its series.
_FAR: Final = 6.0
#: So little of a job is none.
_NOTHING: Final = 1e-9
#: Shares of values, each with how many deviations above its mean a normal distribution has as many below.
_HALF: Final = (0.5, 0.0)
_FOUR_OF_FIVE: Final = (0.8, 0.8416)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Recent assignments of a class's jobs that had waited, by rank, and the times, in order and apart, in which they
    waited for a worker."""

    assigned: Mapping[Rank, int]
    busy: Sequence[Span] = ()

    @property
    def total(self) -> int:
        return sum(self.assigned.values())


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Workers who can take jobs of the same classes: how many jobs that had waited they took."""

    serves: frozenset[str]
    taken: int


@dataclass(frozen=True, slots=True)
class InLine:
    """A waiting job: its class, since when it waits, and whether it has all its offers: then it waits for an answer,
    no longer for a worker."""

    needs: str
    since: datetime
    offered: bool = False


@dataclass(frozen=True, slots=True)
class Basis:
    """What a range rests on."""

    #: Assignments by workers who could take the job, and the seconds that these took while jobs waited for them.
    assignments: int
    seconds: float
    #: Jobs ahead that compete for the same workers.
    competing: int


@dataclass(frozen=True, slots=True)
class WaitRange:
    """Half of such jobs wait less than `p50` seconds, four of five less than `p80`; all of them `mean` on average."""

    mean: float
    p50: float
    p80: float
    basis: Basis

    @property
    def sentence(self) -> str:
        return less_than(self.p80)


@dataclass(frozen=True, slots=True)
class NoRange:
    """Nothing can be said, and why."""

    reason: str


@dataclass
class _Pool:
    serves: frozenset[str]
    taken: int
    #: With a share of those that have an offer now.
    found: float
    seconds: float
    rate: float = 0.0
    at: int = field(default=0)


def less_than(seconds: float) -> str:
    """For announcements."""
    minutes = minutes_of(seconds)
    return f"less than {minutes} minute{'' if minutes == 1 else 's'}"


def holds_too_seldom(told: int, held: int) -> bool:
    """Whether what jobs were told of their waits is to be taken with caution."""
    return told >= ENOUGH_TOLD and 100 * held < _HELD_AT_LEAST * told


def minutes_of(seconds: float) -> int:
    return max(math.ceil(seconds / 60), 1)


def expected_wait(
    own: InLine,
    rank: Rank,
    ahead: Sequence[InLine],
    classes: Mapping[str, ClassFigures],
    pools: Sequence[PoolFigures],
    since: datetime,
    now: datetime,
    answer: float = 0.0,
) -> WaitRange | NoRange:
    """The wait from now of a job that stands behind `ahead`. `since` is when the figures begin; `answer` the seconds
    that an offer waits for its acceptance, on average."""
    answering = [one.needs for one in ahead if one.offered]
    ahead = [one for one in ahead if not one.offered]
    waiting: dict[str, datetime] = {}
    for one in (*ahead, own):
        waiting[one.needs] = min(one.since, waiting.get(one.needs, now))
    team = [_Pool(one.serves, one.taken, float(one.taken), 0.0) for one in pools if one.taken]
    for needs in answering:  # their workers have been found, in the same time
        able = [one for one in team if needs in one.serves]
        together = sum(one.taken for one in able)
        for pool in able:
            pool.found += pool.taken / together
    for pool in team:
        pool.seconds = _length(_waited(pool.serves, classes, waiting, since, now))
        pool.rate = pool.found / max(pool.seconds, 1.0)
    serving = [one for one in team if own.needs in one.serves]
    taken = sum(one.taken for one in serving)
    if taken < LEAST_ASSIGNMENTS:
        few = "no" if not taken else f"only {taken}"
        return NoRange(f"Workers who could take the job have lately taken {few} jobs that had waited.")
    full = sum(one.rate for one in serving)
    _overtake(rank, team, classes, since)
    left = sum(one.rate for one in serving)
    if left < full * (1 - _MOST_OVERTAKEN):
        return NoRange("More urgent jobs come as fast as workers who could take the job are free.")
    shared = {needs for one in serving for needs in one.serves}
    competing = [one.needs for one in ahead if one.needs in shared]
    turn = _drained(_blocks([one.needs for one in ahead]), own.needs, team)
    # So many of the workers' next assignments pass until the job has its own; the more of their time goes to jobs that
    # come later and are more urgent, the wider it spreads.
    overtaken = 1 - left / full
    assignments = max(left * turn, 1.0)
    seconds = taken / full
    return WaitRange(
        turn + answer,
        turn * _of_turn(_HALF, assignments, overtaken, taken) + answer,
        turn * _of_turn(_FOUR_OF_FIVE, assignments, overtaken, taken) + answer,
        Basis(taken, seconds, len(competing)),
    )


def _waited(
    served: frozenset[str] | set[str],
    classes: Mapping[str, ClassFigures],
    waiting: Mapping[str, datetime],
    since: datetime,
    now: datetime,
) -> list[Span]:
    """When jobs of these classes waited, those that wait now included."""
    spans = [span for needs in served if needs in classes for span in classes[needs].busy]
    spans += [(max(start, since), now) for needs, start in waiting.items() if needs in served and start < now]
    return merged(spans)


def merged(spans: Sequence[Span]) -> list[Span]:
    """In order and apart."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _length(spans: Sequence[Span]) -> float:
    return sum((end - start).total_seconds() for start, end in spans)


def _overtake(rank: Rank, team: Sequence[_Pool], classes: Mapping[str, ClassFigures], since: datetime) -> None:
    """Takes from each pool's rate what goes to more urgent jobs that will come meanwhile."""
    lost = [0.0] * len(team)
    for needs, figures in classes.items():
        urgent = sum(count for one, count in figures.assigned.items() if one < rank)
        serving = [number for number, pool in enumerate(team) if needs in pool.serves]
        rate = sum(team[number].rate for number in serving)
        if not urgent or not rate:
            continue
        # When jobs of these classes waited, every worker who could take the urgent ones was busy.
        alike = {
            other
            for other in classes
            if all(other in team[number].serves for number in serving)
        }  # fmt: skip
        spans = _waited(alike, classes, {}, since, since)
        seconds, total = _length(spans), sum(classes[other].total for other in alike)
        # A time in which jobs wait begins with the coming of one: that one has not come within it.
        came = urgent * max(1 - len(spans) / max(total, 1), 0.0) / max(seconds, 1.0)
        for number in serving:
            lost[number] += came * team[number].rate / rate
    for pool, less in zip(team, lost, strict=True):
        pool.rate = max(pool.rate - less, pool.rate * 0.01)


def _blocks(line: Sequence[str]) -> list[tuple[str, float]]:
    """The line as amounts of work; neighbours of a class are one."""
    blocks: list[tuple[str, float]] = []
    step = max(len(line) // _MOST_BLOCKS, 1)
    for start in range(0, len(line), step):
        for needs in line[start : start + step] if step == 1 else sorted(line[start : start + step]):
            if blocks and blocks[-1][0] == needs:
                blocks[-1] = (needs, blocks[-1][1] + 1.0)
            else:
                blocks.append((needs, 1.0))
    return blocks


def _drained(blocks: Sequence[tuple[str, float]], own: str, team: Sequence[_Pool]) -> float:
    """Seconds until the line and the job itself are taken, if each pool works steadily at the first that it serves."""
    line = [*blocks, (own, 1.0)]
    amounts = [amount for _, amount in line]
    last, seconds = len(line) - 1, 0.0
    while True:
        rates: dict[int, float] = {}
        for pool in team:
            while pool.at <= last and (amounts[pool.at] <= 0.0 or line[pool.at][0] not in pool.serves):
                pool.at += 1
            if pool.at <= last:
                rates[pool.at] = rates.get(pool.at, 0.0) + pool.rate
        first = min(rates, key=lambda at: amounts[at] / rates[at])
        step = amounts[first] / rates[first]
        seconds += step
        for at, rate in rates.items():
            left = amounts[at] - rate * step
            amounts[at] = left if at != first and left > _NOTHING else 0.0
        if amounts[last] <= 0.0:
            return seconds


def _of_turn(share: tuple[float, float], assignments: float, overtaken: float, counted: int) -> float:
    """Below what multiple of the mean this share of the times lies until so many of the workers' assignments have left
    their line, if others overtake."""
    below, z = share
    shape = assignments * (1 - overtaken) / (1 + overtaken)
    steady = _quantile(z, shape, counted)
    # Who is overtaken is overtaken while that lasts too: the third moment is that of a busy period, which lies between
    # those of the two distributions.
    skewed = 4 * overtaken / (1 + overtaken) ** 2
    if skewed < _NOTHING:
        return steady
    return (1 - skewed) * steady + skewed * _inverse_gaussian(below, 1 / (1 / shape + 1 / counted))


def _quantile(z: float, shape: float, counted: int) -> float:
    """As a multiple of the mean: of a sum of `shape` exponential times, at a rate known by `counted` of them (an F
    distribution, by Paulson's approximation)."""
    a, b = 1 / (9 * shape), 1 / (9 * counted)
    p, q = 1 - a, 1 - b
    lead = q * q - z * z * b
    root = (p * q + z * math.sqrt(max(p * p * b + q * q * a - z * z * a * b, 0.0))) / lead
    return max(root, 0.0) ** 3


def _inverse_gaussian(share: float, shape: float) -> float:
    """Below what this share of an inverse Gaussian distribution lies, with mean 1 and variance 1 / shape."""
    low, high = 0.0, 1.0
    while _inverse_gaussian_below(high, shape) < share:
        low, high = high, 2 * high
    while high - low > _EXACT * high:
        middle = (low + high) / 2
        if _inverse_gaussian_below(middle, shape) < share:
            low = middle
        else:
            high = middle
    return high


def _inverse_gaussian_below(most: float, shape: float) -> float:
    root = math.sqrt(shape / most / 2)
    near, far = root * (most - 1), root * (most + 1)
    if far < _FAR:
        tail = math.exp(2 * shape) * math.erfc(far)
    else:  # the same, without the product of something huge and something tiny
        square = far * far
        tail = math.exp(-near * near) / (far * math.sqrt(math.pi)) * (1 - 1 / (2 * square) + 3 / (4 * square * square))
    return (math.erfc(-near) + tail) / 2
