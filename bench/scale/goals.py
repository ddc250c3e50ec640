"""What must hold, and what would be better still: each goal beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.scale.figures import Figures, number
from bench.scale.scenario import Results

#: "As they come": this part of the jobs is closed when it is due.
_KEPT_UP: Final = 0.98
#: A ratio of two measurements that are small: so much is chance.
_CHANCE_MILLISECONDS: Final = 10.0
_P95: Final = 300.0
_OPERATIONS: Final = 36.0
#: Of other modes, policies and workers: within this factor of the figures of the plain ones.
_MIXED: Final = 1.5
#: Of what is in front: within this factor of the figures without it.
_IN_FRONT: Final = 1.2


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: str
    met: bool
    #: Otherwise it would only be better.
    must: bool = True


@dataclass(frozen=True)
class Goal:
    what: str
    #: The scenarios that it is about. It is not judged before all of them have been played.
    of: tuple[str, ...]
    judge: Callable[..., tuple[str, bool]]
    must: bool = True

    def verdict(self, results: Results) -> Verdict | None:
        if any(name not in results for name in self.of):
            return None
        measured, met = self.judge(*(results[name] for name in self.of))
        return Verdict(self.what, measured, met, self.must)


def judged(results: Results) -> list[Verdict]:
    """Of all goals of which everything has been measured."""
    return [verdict for goal in _goals(results) if (verdict := goal.verdict(results)) is not None]


def table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| goal | measured | met |", "| --- | --- | --- |"]
    for one in verdicts:
        what = one.what if one.must else f"({one.what})"
        met = "yes" if one.met else "**NO**" if one.must else "not yet"
        lines.append(f"| {what} | {one.measured} | {met} |")
    return "\n".join(lines)


def _p95(most: float, at_least: float = _KEPT_UP) -> Callable[[Figures], tuple[str, bool]]:
    def judge(one: Figures) -> tuple[str, bool]:
        kept_up = one.kept_up >= at_least and not one.faults
        told = f"p95 {number(one.p95)} ms, {one.kept_up:.0%} closed in time"
        return told, one.p95 <= most and kept_up

    return judge


def _most(what: Callable[[Figures], float], most: float, unit: str = "") -> Callable[[Figures], tuple[str, bool]]:
    def judge(one: Figures) -> tuple[str, bool]:
        value = what(one)
        return f"{number(value)}{unit}", value <= most

    return judge


def _operations(most: float) -> Callable[[Figures], tuple[str, bool]]:
    """A job that was routed, where all were."""

    def judge(one: Figures) -> tuple[str, bool]:
        return "; ".join([number(one.operations), *one.faults]), one.operations <= most and not one.faults

    return judge


def _more(name: str, most: float, unit: str = "") -> Callable[[Figures], tuple[str, bool]]:
    return _most(lambda one: one.more.get(name, float("inf")), most, unit)


def _at_least(name: str, least: float) -> Callable[[Figures], tuple[str, bool]]:
    def judge(one: Figures) -> tuple[str, bool]:
        value = one.more.get(name, 0.0)
        return number(value), value >= least

    return judge


def _no_faults(one: Figures) -> tuple[str, bool]:
    return "; ".join(one.faults) or "nothing", not one.faults


def _storage_limits(one: Figures) -> tuple[str, bool]:
    told = f"{one.busiest_partition} and {one.busiest_account} operations a second"
    return told, one.busiest_partition <= 2_000 and one.busiest_account < 20_000


def _never_less(fewer: Figures, more: Figures) -> tuple[str, bool]:
    ratio = more.closed / fewer.closed if fewer.closed else float("inf")
    return f"{number(fewer.closed)} and {number(more.closed)} jobs/s", ratio >= 0.95


def _as_without(plain: Figures, one: Figures) -> tuple[str, bool]:
    """p50, p95 and operations, within the factor of those without anything in front."""
    told, met = _as_quick(plain, one)
    costs = f"{number(one.operations)} operations (without: {number(plain.operations)})"
    return f"{told}; {costs}", met and one.operations <= _IN_FRONT * plain.operations


def _as_quick(plain: Figures, one: Figures) -> tuple[str, bool]:
    """p50 and p95 within the factor."""
    pairs = ((plain.p50, one.p50), (plain.p95, one.p95))
    met = all(value <= _IN_FRONT * before + _CHANCE_MILLISECONDS for before, value in pairs)
    told = f"{number(one.p50)} and {number(one.p95)} ms (without: {number(plain.p50)} and {number(plain.p95)})"
    return "; ".join([told, *one.faults]), met and not one.faults


def _tasks(plain: Figures, one: Figures) -> tuple[str, bool]:
    tasks, before = one.more.get("tasks", float("inf")), plain.more.get("tasks", 0.0)
    return f"{number(tasks)} (without: {number(before)})", tasks <= 2 * before + 100


def _settled(*all: Figures) -> tuple[str, bool]:
    found = [f"{one.settled} in {one.name}" for one in all if one.settled]
    return ", ".join(found) or "0", not found


def _line(one: Figures) -> tuple[str, bool]:
    taken, most = one.more.get("line_seconds", float("inf")), one.more.get("silence", 0.0)
    return f"{number(taken)} s for {number(most)} s", taken <= most


def _goals(results: Results) -> Iterable[Goal]:
    yield from _throughput()
    yield from _costs()
    yield from _mixes(results)
    yield from _troubles()
    yield from _in_front(results)
    steady = [name for name in results if not name.startswith(_UNSTEADY)]
    if steady:
        yield Goal("jobs whose offer waited for a settle deadline: 0", tuple(steady), _settled)


#: Where processes die or nothing works, settle deadlines have their part; and where workers are all taken, a job that a
#: settle deadline looks at may find one by chance.
_UNSTEADY: Final = (
    "overload",
    "processor",
    "pause",
    "storage",
    "dies",
    "freezes",
    "four-hundred",
    "more-",
    "carries-",
    "rest-",
)


def _throughput() -> Iterable[Goal]:
    for processes in (1, 2, 4, 8):
        of = (f"one-queue-{processes}",)
        yield Goal(f"one queue, {processes} processes, 100 jobs/s: p95 <= 300 ms, all closed", of, _p95(_P95))
    yield Goal("one queue, 4 processes, 200 jobs/s: p95 <= 500 ms", ("two-hundred",), _p95(500))
    yield Goal("one queue, 4 processes, 400 jobs/s: p95 <= 500 ms", ("four-hundred",), _p95(500), must=False)
    yield Goal("eight queues, 8 processes, 400 jobs/s: p95 <= 300 ms", ("eight-queues",), _p95(_P95))
    yield Goal("there: a partition <= 2,000, the account < 20,000", ("eight-queues",), _storage_limits)
    for fewer, more in ((1, 2), (2, 4), (4, 8)):
        what = f"{more} processes carry no less than {fewer}"
        yield Goal(what, (f"more-{fewer}", f"more-{more}"), _never_less)
    yield Goal("8 processes carry no less of 100 jobs/s than 1", ("one-queue-1", "one-queue-8"), _never_less)


def _costs() -> Iterable[Goal]:
    for processes in (1, 4):
        lone, rest = (f"lone-{processes}",), (f"rest-{processes}",)
        yield Goal(f"a lone job, {processes} processes: p50 <= 45 ms", lone, _most(lambda one: one.p50, 45, " ms"))
        yield Goal("there: p50 <= 35 ms", lone, _most(lambda one: one.p50, 35, " ms"), must=False)
        yield Goal("there: at most 8 calls one after the other", lone, _more("calls", 8))
        yield Goal(f"at rest, {processes} processes: operations <= 41", rest, _operations(41))
        yield Goal("there: operations <= 30", rest, _operations(30), must=False)
    for name in ("at-fifty", "one-queue-1", "one-queue-8", "two-hundred"):
        yield Goal(f"{name}: operations <= 36", (name,), _operations(_OPERATIONS))
        yield Goal(f"{name}: operations <= 24", (name,), _operations(24), must=False)


def _mixes(results: Results) -> Iterable[Goal]:
    for name in (name for name in results if name.startswith("mix-")):
        yield Goal(f"{name}: p95 <= {_P95 * _MIXED:.0f} ms", (name,), _p95(_P95 * _MIXED))
        most = _OPERATIONS * _MIXED
        yield Goal(f"{name}: operations <= {most:.0f}", (name,), _operations(most))


def _troubles() -> Iterable[Goal]:
    of = ("overload",)
    yield Goal("overload: closed a second never below 0.9 of what the workers can do", of, _at_least("least", 0.9))
    yield Goal("overload: jobs overtaken by more than a second: 0", of, _more("overtaken", 0))
    yield Goal("10 s after it: p95 <= 300 ms", of, _most(lambda one: one.p95, _P95, " ms"))
    yield Goal("there: stuck or doubled", of, _no_faults)
    for count in (1, 3):
        of = (f"processor-{count}",)
        what = f"{of[0]}: more than its processor can do: closed in any 10 s, of what is carried"
        yield Goal(f"{what} >= 0.25", of, _at_least("least", 0.25))
        yield Goal("there: >= 0.9", of, _at_least("least", 0.9), must=False)
        yield Goal("there: stuck or doubled", of, _no_faults)
    of = ("pause",)
    yield Goal("all processes pause for 5 s: closed a second afterwards >= 0.9", of, _at_least("least", 0.9))
    yield Goal("5 s after it: p95 <= 300 ms", of, _p95(_P95, at_least=0.0))
    for name in ("topic-silent", "topic-refusing"):
        yield Goal(f"{name}: p95 meanwhile <= 300 ms", (name,), _p95(_P95))
        yield Goal("there: p95 of another tenant <= 300 ms", (name,), _more("other_p95", _P95, " ms"))
        yield Goal("there: expiry, schedules, waiting rules late <= 2 s", (name,), _more("late", 2_000, " ms"))
        yield Goal("there: jobs with events missing or out of order: 0", (name,), _more("untold", 0))
        yield Goal("5 s after its return: p95 <= 300 ms", (name,), _more("p95_after", _P95, " ms"))
    of = ("storage-silent",)
    yield Goal("storage-silent: each call answered within 10 s", of, _more("longest_answer", 10.0, " s"))
    yield Goal("5 s after its return: p95 <= 300 ms", of, _p95(_P95, at_least=0.0))
    yield Goal("there: the line is gone after as long as it took to arrive", of, _line)
    for name, what in (("dies", "the process that matches dies"), ("freezes", "it freezes for 20 s and wakes up")):
        yield Goal(f"{what}: longest wait elsewhere <= 5 s", (name,), _more("longest", 5_000, " ms"))
        yield Goal("5 s after it: p95 <= 300 ms", (name,), _most(lambda one: one.p95, _P95, " ms"))
        yield Goal("there: lost or doubled", (name,), _no_faults)


def _in_front(results: Results) -> Iterable[Goal]:
    for rate in (5, 8, 40):
        yield Goal(f"nothing in front, {rate} jobs/s: p95 <= 300 ms", (f"plain-{rate}",), _p95(_P95))
    for name in (name for name in results if name.startswith(("unanswered-", "waiting-"))):
        plain = f"plain-{name.rsplit('-', 1)[1]}"
        there = number(results[name].more.get("in_front", 0.0))
        yield Goal(f"{name}, {there} of them: as without, within {_IN_FRONT}", (plain, name), _as_without)
        yield Goal("there: work under way is bounded", (plain, name), _tasks)
    yield Goal(f"slow-answers: as prompt ones, within {_IN_FRONT}", ("plain-8", "slow-answers"), _as_quick)
