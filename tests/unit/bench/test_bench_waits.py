"""The quick part of `make waits`: what estimated waits are good for, by class of jobs."""

from __future__ import annotations

import re

import pytest

from bench.waits import SCENARIOS, Figures, measure

SKILLED = next(one for one in SCENARIOS if one.name == "skilled")
PRIORITIES = next(one for one in SCENARIOS if one.name == "priorities")


def by(found: list[Figures]) -> dict[tuple[str, str], Figures]:
    return {(one.cls, one.method): one for one in found}


async def test_skills_are_seen() -> None:
    found = by(await measure(SKILLED, 5, 80, (1, 2), 1_500))
    others, blind = found["others", "router"], found["others", "places"]
    assert abs(others.bias_pct) < 15
    assert blind.bias_pct > 25, "a line for all: the others are told too much"
    assert others.mae_pct < min(found["others", one].mae_pct for one in ("places", "les", "hol", "erlang"))
    for cls in ("others", "french"):
        assert abs(found[cls, "mean"].bias_pct) < 15
        assert found[cls, "router"].mae_pct < 1.15 * found[cls, "best"].mae_pct, "what can be known is known"
        covered = found[cls, "router"].covered80_pct
        assert covered is not None
        assert 70 <= covered <= 90
    french, both = found["french", "router"], found["all", "router"]
    assert both.jobs == others.jobs + french.jobs
    waits = others.jobs * others.mean_wait + french.jobs * french.mean_wait
    wrong = sum(one.jobs * one.mean_wait * one.mae_pct for one in (others, french))
    assert both.mae_pct == pytest.approx(wrong / waits), "all errors as a share of all waits"


async def test_who_is_overtaken_is_told_so() -> None:
    found = by(await measure(PRIORITIES, 5, 80, (1,), 1_800))
    assert abs(found["normal", "router"].bias_pct) < 15
    assert found["normal", "places"].bias_pct < -15, "a line for all: the overtaken are told too little"
    for cls in ("normal", "urgent"):
        assert abs(found[cls, "mean"].bias_pct) < 15
        assert found[cls, "router"].mae_pct < 1.15 * found[cls, "best"].mae_pct


async def test_a_line_a_scenario() -> None:
    line = str((await measure(SCENARIOS[0], 5, 80, (1,), 400))[0])
    names = " ".join(re.findall(r"(\w+)=\S+", line))
    assert names == "scenario workers load cls method jobs mean_wait mae_pct bias_pct covered80_pct", line
