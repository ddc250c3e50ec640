"""An outage is told at its begin and at its end, and nothing is decided by a clock that storage's contradicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.commit.background import Background
from router.commit.outbox import NotSent
from router.errors import Busy, NotFound
from router.matching.rounds import HoldLost
from router.outages import FAR, ClockCheck, Health, Outage, Surroundings, WrongClock, is_told
from router.storage.port import RowChanged, StorageUnavailable


class Time:
    """Seconds and a clock that are moved by hand: the clock alone may leap."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ahead = timedelta()

    def elapsed(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds) + self.ahead

    def date(self) -> str:
        """As storage tells it."""
        right = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)
        return right.strftime("%a, %d %b %Y %H:%M:%S GMT")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_thousand_failures_are_two_lines(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("The topic", "Events wait.", time.elapsed)
    assert outage.seconds is None
    for _ in range(1000):
        outage.failed("refused")
        time.seconds += 0.1
    time.seconds += 1
    assert outage.seconds == pytest.approx(101)
    outage.answered()
    outage.answered()
    assert told(caplog) == [
        "The topic does not answer: refused. Events wait.",
        "The topic answers again after 101 s; 1000 requests to it have failed.",
    ]
    assert outage.seconds is None
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (RuntimeError("(Busy) Try again.\nCode: Busy\nMessage: Try again."), "(Busy) Try again. Events wait."),
        (TimeoutError(), "no answer in time. Events wait."),
    ],
)
def test_a_reason_of_many_lines_is_told_in_one(
    time: Time, caplog: pytest.LogCaptureFixture, reason: Exception, line: str
) -> None:
    Outage("The topic", "Events wait.", time.elapsed).failed(reason)
    assert told(caplog) == [f"The topic does not answer: {line}"]


def test_a_part_that_answers_now_and_then_does_not_fill_the_log(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("Storage", "", time.elapsed)
    for _ in range(300):  # five minutes
        outage.failed("503")
        time.seconds += 0.5
        outage.answered()
        assert outage.seconds is None
        time.seconds += 0.5
    assert len(caplog.records) == 1
    for _ in range(300):
        time.seconds += 1
        outage.failed("503")
        time.seconds += 1
        outage.answered()
    assert len(caplog.records) <= 2 * 600 / 10


def test_the_next_outage_is_told_again(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("Storage", "", time.elapsed)
    for _ in range(2):
        outage.failed("")
        time.seconds += 2
        outage.answered()
        time.seconds += 60
    assert (
        told(caplog)
        == [
            "Storage does not answer: no answer in time. ",
            "Storage answers again after 2 s; 1 requests to it have failed.",
        ]
        * 2
    )


def test_an_outage_that_nobody_has_met_for_long_is_not_claimed(time: Time) -> None:
    outage = Outage("The topic", "", time.elapsed)
    outage.failed("")
    time.seconds += 300
    assert outage.seconds == 300
    time.seconds += 60
    assert outage.seconds is None


def test_what_is_silent_is_named() -> None:
    around = Surroundings()
    assert around.silent() == {}
    around.topic.failed("")
    assert list(around.silent()) == ["topic"]
    around.storage.failed("")
    assert sorted(around.silent()) == ["storage", "topic"]
    assert Health(True, "ready").status == "ready"
    assert Health(True, "", around.silent()).status == "degraded"
    assert Health(False, "", around.silent()).status == "unavailable"


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), FAR + timedelta(seconds=1)])
def test_a_clock_far_from_storages_is_told_once_and_not_acted_on(
    time: Time, caplog: pytest.LogCaptureFixture, ahead: timedelta
) -> None:
    time.ahead = ahead
    check = ClockCheck(time, time.elapsed)
    for _ in range(20):
        check.saw(time.date())
        time.seconds += 1
    assert len(told(caplog)) == 1
    assert f"{abs(ahead.total_seconds()) / 60:.0f} minutes" in told(caplog)[0]
    with pytest.raises(WrongClock) as refused:
        check.check()
    assert is_told(refused.value)
    time.ahead = timedelta()
    check.saw(time.date())
    check.check()
    assert len(told(caplog)) == 2


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=2), timedelta(minutes=-2)])
def test_a_clock_that_is_nearly_right_is_right(time: Time, ahead: timedelta) -> None:
    time.ahead = ahead
    check = ClockCheck(time, time.elapsed)
    check.saw(time.date())
    check.check()
    assert not check.is_doubtful


def test_a_leap_is_doubted_at_once_and_the_next_answer_decides(time: Time) -> None:
    check = ClockCheck(time, time.elapsed)
    check.saw(time.date())
    time.seconds += 0.5
    check.check()
    time.ahead = timedelta(hours=1)
    assert check.is_doubtful
    check.saw(time.date())
    with pytest.raises(WrongClock, match="60 minutes ahead"):
        check.check()


def test_a_machine_that_has_slept_is_right_again_with_the_next_answer(time: Time) -> None:
    check = ClockCheck(time, time.elapsed)
    check.saw(time.date())
    time.ahead = timedelta(hours=8)  # the seconds have stood still
    assert check.is_doubtful
    check.saw((time.now()).strftime("%a, %d %b %Y %H:%M:%S GMT"))
    check.check()
    assert not check.is_doubtful


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_a_date_that_is_none_says_nothing(time: Time, date: str | None) -> None:
    check = ClockCheck(time, time.elapsed)
    check.saw(date)
    check.check()


def test_a_failure_is_told_where_an_outage_has_told_it() -> None:
    error = StorageUnavailable("400: one request")
    assert not is_told(error)
    error.told = True
    assert is_told(error)


PASSING = (
    StorageUnavailable("no answer"),
    RowChanged("row"),
    Busy(),
    NotSent("no"),
    HoldLost("gone"),
    OSError("reset"),
)


@pytest.mark.parametrize(
    "error", [*PASSING, LookupError("wrong"), NotFound("job", "x")], ids=lambda it: type(it).__name__
)
async def test_only_what_does_not_pass_is_told_with_its_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> None:
        raise error

    background = Background()
    background.start(failing(), "work")
    await background.drain(5)
    passing = error in PASSING
    assert ("Traceback" in caplog.text) == (not passing)
    assert [record.levelname for record in caplog.records] == (
        [] if is_told(error) else ["WARNING" if passing else "ERROR"]
    )
