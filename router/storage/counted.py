"""What has been counted of a queue's assignments lately, by period, and how much of it tells its rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from router.engine.expected_wait import ClassFigures, PoolFigures, Rank, Span, merged
from router.storage.job_classes import MOST_CLASSES, REST

PERIOD: Final = timedelta(minutes=5)
#: So many assignments are enough to tell the rate of one line for all.
ENOUGH: Final = 120
#: So many of the queue, and so many of them by those who can take what is asked, tell their rate, whoever asks. A line
#: that is long has often become so while work took longer by chance: what fewer tell would go on with that.
ENOUGH_FOR_CLASS: Final = 240
ENOUGH_OF_CLASS: Final = 120
#: Twice as many, from further back, tell it better unless the team has changed meanwhile: if the latest went as fast as
#: those before them, but for so many standard deviations.
_LONGER: Final = 2
_AS_FAST: Final = 2.0
#: Waiting times of a class in a row; beyond, those that lie next to each other are joined.
_MOST_SPANS: Final = 40
_MOST_POOLS: Final = 64
_LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Throughput:
    """Recent assignments of jobs that had waited, and the times, in order and apart, in which they waited; and the same
    by classes of jobs and by the workers who took them, perhaps from further back."""

    assigned: int
    busy: list[Span]
    classes: Mapping[str, ClassFigures] = field(default_factory=dict)
    pools: Sequence[PoolFigures] = ()
    #: When the figures of classes and workers begin.
    since: datetime = _LONG_AGO
    #: Seconds from the offer to its acceptance, on average.
    answer: float = 0.0


@dataclass
class ClassCount:
    assigned: dict[Rank, int] = field(default_factory=dict)
    busy: list[Span] = field(default_factory=list)


@dataclass
class Count:
    """What this process has counted of one queue in one period."""

    assigned: int = 0
    busy: list[Span] = field(default_factory=list)
    classes: dict[str, ClassCount] = field(default_factory=dict)
    pools: dict[frozenset[str], int] = field(default_factory=dict)
    #: Seconds from offer to acceptance, together.
    answered: float = 0.0
    told: int = 0
    held: int = 0
    written: bool = True

    def take(self, span: Span, name: str, rank: Rank, serves: frozenset[str]) -> None:
        one = self.classes.setdefault(name, ClassCount())
        one.assigned[rank] = one.assigned.get(rank, 0) + 1
        one.busy = _bounded(merged([*one.busy, span]))
        if serves not in self.pools and len(self.pools) >= _MOST_POOLS:
            serves = frozenset((name,))
        self.pools[serves] = self.pools.get(serves, 0) + 1

    def copy(self) -> Count:
        """As it is now."""
        classes = {name: ClassCount(dict(one.assigned), one.busy) for name, one in self.classes.items()}
        return replace(self, classes=classes, pools=dict(self.pools))

    def taken_of(self, name: str) -> int:
        return sum(count for serves, count in self.pools.items() if name in serves)


class Enough:
    """Whether what was read, newest first, tells the rates of these classes; None: that of the queue."""

    def __init__(self, names: Iterable[str | None], times: int = _LONGER) -> None:
        """`times`: so many times what is enough is wanted."""
        self._times = times
        self._counted = 0
        self._of = {name: 0 for name in names if name is not None}

    def add(self, count: Count) -> None:
        self._counted += count.assigned
        for name in self._of:
            self._of[name] += count.taken_of(name)

    def __bool__(self) -> bool:
        of_each = all(number >= self._times * ENOUGH_OF_CLASS for number in self._of.values())
        return of_each and self._counted >= self._times * ENOUGH_FOR_CLASS


@dataclass(frozen=True, eq=False)
class Counted:
    """By period, as it was when it was read. Nothing is older than `oldest`, and what is said of latest assignments
    looks no further back than `lately`."""

    periods: Mapping[int, Sequence[Count]] = field(default_factory=dict)
    oldest: datetime = _LONG_AGO
    lately: datetime = _LONG_AGO

    @cached_property
    def _line(self) -> tuple[int, list[Span]]:
        """The latest assignments that are enough for one line, and the times in which jobs waited."""
        assigned, since = 0, self.lately
        spans: list[Span] = []
        for period in self._latest_first(self.lately):
            assigned += sum(count.assigned for count in self.periods[period])
            spans += [span for count in self.periods[period] for span in count.busy]
            if assigned >= ENOUGH:
                since = start(period)
                break
        return assigned, merged(_clipped(spans, since))

    @cached_property
    def _windows(self) -> dict[datetime, Throughput]:
        return {}

    @cached_property
    def _of(self) -> dict[str | None, Throughput]:
        return {}

    def of(self, name: str | None = None) -> Throughput:
        """What tells the rates for jobs of the class with this name; without one, those of the queue."""
        if name not in self._of:
            lately = self._since(max(self._reaches(name), self.lately))
            longer = self._since(self._reaches(name, _LONGER))
            self._of[name] = longer if _went_on(lately, longer, name) else lately
        return self._of[name]

    def _since(self, moment: datetime) -> Throughput:
        if moment not in self._windows:
            self._windows[moment] = self._window(moment)
        return self._windows[moment]

    def _latest_first(self, since: datetime = _LONG_AGO) -> Iterator[int]:
        return (period for period in sorted(self.periods, reverse=True) if start(period) >= since)

    def _reaches(self, name: str | None, times: int = 1) -> datetime:
        """Since when there are so many times enough; `oldest` where all there is is not."""
        enough = Enough([name], times)
        for period in self._latest_first():
            for count in self.periods[period]:
                enough.add(count)
            if enough:
                return start(period)
        return self.oldest

    def _window(self, since: datetime) -> Throughput:
        counts = [count for period in self._latest_first(since) for count in self.periods[period]]
        classes, pools = _joined(counts, since)
        answer = sum(count.answered for count in counts) / max(sum(count.assigned for count in counts), 1)
        return Throughput(*self._line, classes, pools, since, answer)


def _went_on(lately: Throughput, longer: Throughput, name: str | None) -> bool:
    """Whether those who can take the class were as fast lately as before, by what chance allows."""
    (late, late_seconds), (both, both_seconds) = _pace(lately, name), _pace(longer, name)
    early, early_seconds = both - late, both_seconds - late_seconds
    if not early or not late or early_seconds <= 0 or late_seconds <= 0:
        return True
    apart = math.log((late / late_seconds) / (early / early_seconds))
    return abs(apart) < _AS_FAST * math.sqrt(1 / early + 1 / late)


def _pace(found: Throughput, name: str | None) -> tuple[int, float]:
    """Assignments by those who can take the class, and the seconds in which jobs waited for them."""
    able = [pool for pool in found.pools if name is None or name in pool.serves]
    served = {one for pool in able for one in pool.serves}
    spans = merged([span for one in served if one in found.classes for span in found.classes[one].busy])
    return sum(pool.taken for pool in able), sum((end - start).total_seconds() for start, end in spans)


def _joined(counts: Sequence[Count], since: datetime) -> tuple[dict[str, ClassFigures], list[PoolFigures]]:
    names = {name for count in counts for name in count.classes} - {REST}
    # A row names at most so many; those of several processes together may be more.
    kept = sorted(
        names, key=lambda name: -sum(sum(c.classes[name].assigned.values()) for c in counts if name in c.classes)
    )
    kept = kept[:MOST_CLASSES]
    known = {REST: REST, **{name: name if name in kept else REST for name in names}}
    ranks: dict[str, dict[Rank, int]] = {}
    spans: dict[str, list[Span]] = {}
    pools: dict[frozenset[str], int] = {}
    for count in counts:
        for name, one in count.classes.items():
            into = ranks.setdefault(known[name], {})
            for rank, number in one.assigned.items():
                into[rank] = into.get(rank, 0) + number
            spans.setdefault(known[name], []).extend(one.busy)
        for serves, number in count.pools.items():
            joined = frozenset(known[name] for name in serves if name in known)
            pools[joined] = pools.get(joined, 0) + number
    classes = {name: ClassFigures(ranks[name], merged(_clipped(spans[name], since))) for name in ranks}
    return classes, [PoolFigures(serves, number) for serves, number in pools.items()]


def _clipped(spans: Iterable[Span], since: datetime) -> list[Span]:
    return [(max(start, since), end) for start, end in spans if end > since]


def _bounded(spans: list[Span]) -> list[Span]:
    """At most so many: the two that are nearest to each other become one."""
    while len(spans) > _MOST_SPANS:
        at = min(range(len(spans) - 1), key=lambda one: spans[one + 1][0] - spans[one][1])
        spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]
    return spans


def start(period: int) -> datetime:
    return datetime.fromtimestamp(period * PERIOD.total_seconds(), UTC)
