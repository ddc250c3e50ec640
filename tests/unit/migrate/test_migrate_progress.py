"""Progress: a bar that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io

import pytest

from router.migrate import progress
from router.migrate.progress import Counter, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_a_bar_moves_in_place_on_a_terminal(time: Time) -> None:
    out = Terminal()
    with Progress("jobs", 4, out) as bar:
        for _ in range(4):
            time.seconds += 1
            bar.step()
    assert out.getvalue().count("\r") == 5
    assert out.getvalue().count("\n") == 1
    first, *_, last = out.getvalue().lstrip("\r").split("\r")
    assert first.rstrip() == f"jobs                     [{'#' * 7}{'.' * 23}] 1/4  1/s"
    assert last == f"jobs                     [{'#' * 30}] 4/4  1/s\n"


def test_a_terminal_is_not_flooded(time: Time) -> None:
    out = Terminal()
    with Progress("jobs", 1000, out) as bar:
        for _ in range(1000):
            time.seconds += 0.001
            bar.step()
    assert out.getvalue().count("\r") <= 12
    assert out.getvalue().endswith("1000/1000  1000/s\n")


def test_elsewhere_there_is_a_line_every_five_seconds_and_one_at_the_end(time: Time) -> None:
    out = io.StringIO()
    with Progress("jobs", 12, out) as bar:
        for _ in range(12):
            time.seconds += 1
            bar.step()
    lines = out.getvalue().splitlines()
    assert [line.split("]")[1].split()[0] for line in lines] == ["6/12", "12/12", "12/12"]
    assert "\r" not in out.getvalue()


def test_nothing_to_do_is_not_told(time: Time) -> None:
    out = io.StringIO()
    with Progress("jobs", 0, out):
        pass
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("out", "told"),
    [
        (io.StringIO(), "read source: 2 jobs, 1 queues\n"),
        (
            Terminal(),
            "\rreading source: 1\rreading source: 2\rreading source: 3\rread source: 2 jobs, 1 queues\n",
        ),
    ],
)
def test_what_has_been_read(out: io.StringIO, told: str) -> None:
    counter = Counter("source", out)
    counter.seen("jobs", 1)
    counter.seen("jobs", 2)
    counter.seen("queues", 1)
    counter.end()
    assert out.getvalue() == told


def test_a_router_that_holds_nothing() -> None:
    out = io.StringIO()
    Counter("source", out).end()
    assert out.getvalue() == "read source: nothing\n"


def test_it_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("jobs", 1) as bar:
        bar.step()
    Counter("source").end()
    told = capsys.readouterr()
    assert (told.out, "1/1" in told.err, "read source" in told.err) == ("", True, True)
