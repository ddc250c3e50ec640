"""How benches print figures, keep a rate, and read what they are told."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from bench import arguments
from bench.figures import Figure, values_line
from bench.pace import comes_true, paced
from local.topology import Topology


def test_quantiles_are_of_what_was_measured() -> None:
    hundred = Figure("offer", [float(one) for one in range(100, 0, -1)])
    assert hundred.values("p50", "p95", "p99", "max") == {
        "offer_p50_ms": "50",
        "offer_p95_ms": "96",
        "offer_p99_ms": "100",
        "offer_max_ms": "100",
    }
    assert Figure("offer", [7.0]).values("p50", "p99") == {"offer_p50_ms": "7", "offer_p99_ms": "7"}


def test_nothing_measured_is_said_as_such() -> None:
    assert Figure("offer", []).values("p50", "max") == {"offer_p50_ms": "none", "offer_max_ms": "none"}


def test_a_line_has_its_subject_the_topology_and_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    values_line("jobs", Topology(2, timer_apart=True), {"rate": 15.0, "share": 0.25, "closed": 900, "problems": "none"})
    values_line("jobs", Topology(), {})
    assert capsys.readouterr().out.splitlines() == [
        "subject=jobs workers=2 timer=apart rate=15 share=0.25 closed=900 problems=none",
        "subject=jobs workers=1 timer=together",
    ]


async def test_who_is_late_at_a_pace_catches_up() -> None:
    started = time.perf_counter()
    moments = []
    async for number in paced(50, 6):
        if number == 1:
            await asyncio.sleep(0.05)  # longer than a step
        moments.append(time.perf_counter() - started)
    elapsed = time.perf_counter() - started
    assert len(moments) == 6
    assert all(moment >= number / 50 - 0.002 for number, moment in enumerate(moments))
    assert elapsed >= 6 / 50 - 0.002, "the last step takes its time too"
    assert moments[3] - moments[2] < moments[1] - moments[0], "the late steps follow each other sooner"


async def test_a_condition_that_comes_true_or_does_not() -> None:
    looks = iter((False, False, True))

    async def soon() -> bool:
        return next(looks)

    async def never() -> bool:
        return False

    assert await comes_true(soon, 5, pause=0)
    assert not await comes_true(never, 0.01, pause=0)


def test_without_settings_measurements_that_stand_alone_take_the_platforms_topology(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WORKERS", "TIMER"):
        monkeypatch.delenv(name, raising=False)
    assert arguments.topology() == Topology(2, timer_apart=True)
    assert arguments.topology(workers=1) == Topology(1, timer_apart=False)
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.setenv("TIMER", "apart")
    assert arguments.topology() == Topology(1, timer_apart=True)


def test_a_topology_that_is_none_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMER", "alone")
    with pytest.raises(SystemExit, match="TIMER must be together or apart"):
        arguments.topology()


def test_numbers_that_are_given_and_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = arguments.argument_parser("bench.jobs", None)
    arguments.add_rate(parser, 15)
    arguments.add_count(parser, "jobs", 1, 300)
    arguments.add_count(parser, "--team", 2, 60)
    given = parser.parse_args([])
    assert (given.rate, given.jobs, given.team) == (15, 300, 60)
    given = parser.parse_args(["2.5", "7", "--team", "2"])
    assert (given.rate, given.jobs, given.team) == (2.5, 7, 2)
    for wrong in (["0"], ["1", "0"], ["--team", "1"], ["x"]):
        with pytest.raises(SystemExit):
            parser.parse_args(wrong)
    monkeypatch.setattr(sys, "argv", ["bench.load", "3"])
    assert arguments.rate_and_seconds("bench.load", None, 100, 60) == (3, 60)
