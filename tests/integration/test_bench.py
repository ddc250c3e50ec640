"""The measurements with jobs as programs: a few jobs each, on a router of their own, end in one line of figures."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.options import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def measured(module: str, *arguments: str, **environment: str) -> dict[str, str]:
    """The one line that is printed, by key."""
    settings = {name: value for name, value in os.environ.items() if name not in ("WORKERS", "TIMER")}
    ended = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *arguments],
        cwd=ROOT,
        env={**settings, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    values = dict(pair.split("=", 1) for pair in line.split(" "))
    assert values["subject"] == module
    return values


def test_whole_jobs() -> None:
    values = measured("jobs", "4", "2", "--team", "8", WORKERS="1", TIMER="apart")
    assert (values["workers"], values["timer"], values["rate"], values["seconds"]) == ("1", "apart", "4", "2")
    assert (values["jobs"], values["closed"], values["offer_never"], values["problems"]) == ("8", "8", "0", "none")
    assert 0 < float(values["offer_p50_ms"]) <= float(values["offer_p95_ms"]) <= float(values["offer_p99_ms"])
    assert float(values["offer_p50_ms"]) < float(values["closed_p50_ms"])
    assert float(values["cpu_s"]) > float(values["cpu_timer_s"]) >= 0  # two seconds of a timer may round to nothing


def test_offers_that_nobody_answers() -> None:
    values = measured("ringing", "4", "8")
    assert (values["workers"], values["timer"], values["jobs"], values["team"]) == ("2", "apart", "8", "9")
    assert (values["offer_never"], values["problems"]) == ("0", "none")
    assert values["first_p50_ms"] == values["last_p50_ms"], "fewer than fifty are first and last"


def test_jobs_behind_others_that_nobody_can_take() -> None:
    values = measured("blocked", "4", "2", "--waiting", "12", "--team", "6", WORKERS="1")
    assert (values["workers"], values["timer"], values["waiting"]) == ("1", "together", "12")
    assert (values["jobs"], values["closed"], values["problems"]) == ("8", "8", "none")
    assert "cpu_timer_s" not in values, "the timer has no process of its own"


@pytest.mark.parametrize("part", ["topic", "azurite"])
def test_a_part_that_stands_still(part: str) -> None:
    values = measured("outage", part, "4", "2", "--after", "2", "--team", "8")
    assert (values["part"], values["meanwhile_jobs"], values["after_jobs"]) == (part, "8", "8")
    assert values["not_closed"] == "0"
    assert float(values["events_gone_s"]) >= 0
    assert float(values["topic_empty_s"]) >= 0
    if part == "azurite":
        assert values["meanwhile_offered"] == "0", "no offer without storage"
        assert float(values["upsert_201_max_ms"]) > 1000, "who asked at first waited for the return"
    else:
        assert values["meanwhile_acknowledged"] == values["upsert_201"] == "8", "requests need no topic"


def test_a_topology_that_is_none_is_one_message() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bench.ringing"],
        cwd=ROOT,
        env={**os.environ, "TIMER": "alone"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "TIMER must be together or apart, not 'alone'.\n"
