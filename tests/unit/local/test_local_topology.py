"""Which processes WORKERS and TIMER ask for."""

from __future__ import annotations

import pytest

from local.options import LocalError, read_topology
from local.topology import Topology


@pytest.mark.parametrize(
    ("environment", "serving", "timer"),
    [
        ({}, ["app"], "app"),
        ({"TIMER": ""}, ["app"], "app"),
        ({"WORKERS": "1", "TIMER": "together"}, ["app"], "app"),
        ({"TIMER": "apart"}, ["app"], "app.timer"),
        ({"WORKERS": "2"}, ["app", "app.1"], "app.timer"),
        ({"WORKERS": "3", "TIMER": "apart"}, ["app", "app.1", "app.2"], "app.timer"),
    ],
)
def test_so_many_serve_and_one_runs_the_timer(environment: dict[str, str], serving: list[str], timer: str) -> None:
    processes = read_topology(environment).processes
    assert [process.name for process in processes if process.serves] == serving
    assert [process.name for process in processes if process.timers] == [timer]
    assert [process.pid_file for process in processes] == [f"{process.name}.pid" for process in processes]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TIMER": "alone"}, "TIMER must be together or apart, not 'alone'"),
        ({"TIMER": "Apart"}, "TIMER must be together or apart, not 'Apart'"),
        ({"WORKERS": "2", "TIMER": "together"}, "TIMER=together needs WORKERS=1, not 2"),
        ({"WORKERS": "65"}, "WORKERS must be a number from 1 to 64"),
    ],
)
def test_a_topology_that_is_none_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(LocalError, match=said):
        read_topology(environment)


def test_what_is_there_without_workers_is_the_callers_choice() -> None:
    assert read_topology({}, workers=2) == Topology(2, timer_apart=True)
    assert read_topology({"WORKERS": "1"}, workers=2) == Topology(1, timer_apart=False)


def test_it_is_told_in_a_few_words() -> None:
    assert str(Topology()) == "1 for HTTP, Event Grid and the timer"
    assert str(Topology(3, timer_apart=True)) == "3 for HTTP and Event Grid, 1 for the timer"


def test_several_that_serve_have_no_timer_among_them() -> None:
    with pytest.raises(ValueError, match="apart"):
        Topology(2, timer_apart=False)
