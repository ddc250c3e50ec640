"""Whether a told wait held is judged when the job is assigned through the same process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.commit.told import ToldWaits

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=3)


def test_what_it_was_told_first_counts_once() -> None:
    told = ToldWaits()
    told.tell("j", "q", SOON)
    told.tell("j", "q", SOON + timedelta(hours=1))
    assert told.assigned("j", "q", SOON + timedelta(seconds=1)) is False
    assert told.assigned("j", "q", NOW) is None
    told.tell("j", "q", SOON)
    assert told.assigned("j", "q", SOON) is True


def test_a_job_that_was_moved_was_told_nothing_of_this_queue() -> None:
    told = ToldWaits()
    told.tell("j", "q", SOON)
    assert told.assigned("j", "other", NOW) is None
    told.tell("k", "q", NOW)
    told.tell("k", "other", SOON)
    assert told.assigned("k", "other", SOON) is True


def test_the_oldest_go() -> None:
    told = ToldWaits()
    for number in range(6000):
        told.tell(f"j{number}", "q", SOON)
    assert told.assigned("j0", "q", NOW) is None
    assert told.assigned("j5999", "q", NOW) is True
