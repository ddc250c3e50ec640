"""The processes of a local run: which of them listen, which has the timer, and what comes of one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.network import choose_port
from local.options import ROOT
from local.parts import load_parts
from local.processes import read_pid
from tests.integration.local_run import SAMPLE, Run, http_is_up, patiently, runs


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    yield from runs(tmp_path)


def ticks_of(run: Run) -> set[int]:
    """The processes that have run the timer so far."""
    records = run.data_dir.parent / "records"
    lines = records.read_text().splitlines() if records.exists() else []
    return {int(line.split()[1]) for line in lines if line.startswith("tick ")}


def listening(pid: int) -> set[int]:
    """Ports."""
    found = psutil.Process(pid).net_connections("tcp")
    return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}


def app_names(run: Run) -> set[str]:
    return {path.stem for path in run.data_dir.glob("app*.pid")}


def started_again(run: Run, name: str, killed: int) -> int:
    """The pid of the process that took the killed one's place."""
    return patiently(lambda: read_pid(run.data_dir / f"{name}.pid") not in (None, killed) and run.pid(name))


def test_one_worker_does_everything_in_one_process(run: Callable[..., Run]) -> None:
    whole = run()
    assert app_names(whole) == {"app"}
    assert whole.said("1 for HTTP, Event Grid and the timer")
    patiently(lambda: ticks_of(whole) == {whole.pid("app")})
    assert listening(whole.pid("app")) == {whole.port, whole.https_port}


@pytest.mark.parametrize(("workers", "timer"), [(2, ""), (1, "apart")])
def test_the_timer_runs_alone_and_listens_nowhere(run: Callable[..., Run], workers: int, timer: str) -> None:
    whole = run(workers, timer)
    serving = ["app", "app.1"][:workers]
    assert app_names(whole) == {*serving, "app.timer"}
    assert whole.said(f"{workers} for HTTP and Event Grid, 1 for the timer")
    patiently(lambda: len(ticks_of(whole)) > 0)
    for name in serving:
        patiently(lambda: listening(whole.pid(name)) == {whole.port, whole.https_port})  # noqa: B023 (called at once)
    assert listening(whole.pid("app.timer")) == set()
    records = whole.data_dir.parent / "records"
    patiently(lambda: records.read_text().count("tick") >= 3)
    assert ticks_of(whole) == {whole.pid("app.timer")}
    parts = [psutil.Process(whole.pid(name)) for name in ("azurite", "eventgrid", *serving, "app.timer")]
    whole.end()
    assert not any(part.is_running() for part in parts)
    assert not list(whole.data_dir.glob("*.pid"))


def test_the_timers_process_is_started_again(run: Callable[..., Run]) -> None:
    whole = run(timer="apart")
    killed, serving = whole.pid("app.timer"), whole.pid("app")
    os.kill(killed, signal.SIGKILL)
    patiently(lambda: whole.said("The timer's process of the app was ended by SIGKILL; the others serve on"))
    again = started_again(whole, "app.timer", killed)
    patiently(lambda: again in ticks_of(whole))
    assert whole.pid("app") == serving
    assert http_is_up(whole.port)
    whole.end()


def test_a_worker_is_started_again_without_the_timer(run: Callable[..., Run]) -> None:
    whole = run(workers=2)
    killed, timer = whole.pid("app"), whole.pid("app.timer")
    os.kill(killed, signal.SIGKILL)
    patiently(lambda: whole.said("Worker 0 of the app was ended by SIGKILL; the others serve on"))
    again = started_again(whole, "app", killed)
    patiently(lambda: listening(again) == {whole.port, whole.https_port})
    assert whole.pid("app.timer") == timer
    whole.end()
    assert ticks_of(whole) <= {timer}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_timer_ends_with_the_last_that_serves_and_starts_with_the_app(
    run: Callable[..., Run], workers: int
) -> None:
    """Else the app that is started again would have two timers, or be refused because of the old one."""
    whole = run(workers, "apart")
    timer = psutil.Process(whole.pid("app.timer"))
    for name in ["app", "app.1"][:workers]:
        os.kill(whole.pid(name), signal.SIGTERM)
    patiently(lambda: whole.said("start the app again with `make start-app`"))
    assert not timer.is_running()
    assert app_names(whole) == set()

    app = whole.launch("--app-only")
    try:
        patiently(lambda: whole.said("Ctrl-C ends the app"))
        killed = whole.pid("app.timer")
        assert listening(killed) == set()
        patiently(lambda: killed in ticks_of(whole))
        os.kill(killed, signal.SIGKILL)
        patiently(lambda: whole.said("The timer's process of the app was ended by SIGKILL"))
        again = started_again(whole, "app.timer", killed)
        patiently(lambda: again in ticks_of(whole))
    finally:
        app.send_signal(signal.SIGINT)
        assert app.wait(60) == 0
    assert app_names(whole) == set()
    whole.end()


def test_the_only_worker_is_started_again_when_it_dies_and_the_timer_stays(run: Callable[..., Run]) -> None:
    whole = run(timer="apart")
    timer = whole.pid("app.timer")
    for _ in range(2):
        killed = whole.pid("app")
        os.kill(killed, signal.SIGKILL)
        again = started_again(whole, "app", killed)
        patiently(lambda: http_is_up(whole.port))
        patiently(lambda: listening(again) == {whole.port, whole.https_port})  # noqa: B023 (called at once)
    assert whole.output.read_text().count("Worker 0 of the app was ended by SIGKILL; it is started again.") == 2
    assert whole.pid("app.timer") == timer
    whole.end()
    assert whole.process.returncode == 0


@pytest.mark.parametrize("name", ["azurite", "eventgrid"])
def test_a_part_that_dies_is_started_again(run: Callable[..., Run], name: str) -> None:
    whole = run()
    app, killed = whole.pid("app"), whole.pid(name)
    os.kill(killed, signal.SIGKILL)
    again = started_again(whole, name, killed)
    patiently(lambda: listening(again) != set())
    assert whole.output.read_text().count(f"{name} was ended by SIGKILL and is started again.") == 1
    assert whole.pid("app") == app
    whole.end()
    assert whole.process.returncode == 0


@pytest.mark.parametrize("name", ["app", "app.timer"])
def test_a_process_that_hangs_is_replaced(run: Callable[..., Run], name: str) -> None:
    whole = run(workers=2)
    patiently(lambda: len(ticks_of(whole)) > 0)
    hung = psutil.Process(whole.pid(name))
    others = {other: whole.pid(other) for other in ("app", "app.1", "app.timer") if other != name}
    hung.suspend()
    again = started_again(whole, name, hung.pid)
    title = "The timer's process" if name == "app.timer" else "Worker 0"
    words = f"{title} of the app has not answered for 10 s and was ended; the others serve on, and it is started again."
    assert whole.output.read_text().count(words) == 1
    assert {other: whole.pid(other) for other in others} == others
    if name == "app.timer":
        patiently(lambda: again in ticks_of(whole))
    else:
        patiently(lambda: listening(again) == {whole.port, whole.https_port})
    whole.end()


def test_a_key_is_in_no_command_line(run: Callable[..., Run]) -> None:
    whole = run(workers=2)
    key = load_parts(whole.data_dir)
    assert key is not None
    lines = [" ".join(psutil.Process(whole.pid(path.stem)).cmdline()) for path in whole.data_dir.glob("*.pid")]
    assert len(lines) == 5
    assert not any(secret in line for line in lines for secret in (key.topic_key, key.system_key))
    whole.end()


def test_a_second_app_is_refused_whatever_its_topology(run: Callable[..., Run]) -> None:
    whole = run(workers=2)
    whole.workers, whole.timer = 1, ""
    os.rename(whole.data_dir / "app.pid", whole.data_dir / "app.7.pid")
    second = whole.launch("--app-only")
    assert second.wait(60) == 1
    assert whole.said("app.1 of an earlier start still runs")
    os.rename(whole.data_dir / "app.7.pid", whole.data_dir / "app.pid")
    whole.end()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_the_timers_process_does_not_outlive_a_starter_that_is_killed(run: Callable[..., Run]) -> None:
    whole = run(workers=2)
    parts = [psutil.Process(whole.pid(name)) for name in ("app", "app.1", "app.timer")]
    whole.process.kill()
    _, alive = psutil.wait_procs(parts, timeout=60)
    assert not alive


def test_a_host_for_timers_alone_has_no_route_and_no_webhook(tmp_path: Path) -> None:
    port = choose_port(None, ())
    records = tmp_path / "records"
    command = [sys.executable, "-m", "local.host", "--app-dir", str(SAMPLE), "--port", str(port), "--timers-only"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SAMPLE_RECORDS": str(records)})
    try:
        patiently(lambda: records.exists() and f"tick {process.pid}" in records.read_text())
        assert listening(process.pid) == set()
        assert not http_is_up(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
