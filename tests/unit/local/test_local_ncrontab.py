"""Timer schedules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.host.ncrontab import ScheduleError, parse_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "moment", "occurrence"),
    [
        ("* * * * * *", "2024-01-01T00:00:00.999", "2024-01-01T00:00:01"),
        ("*/15 * * * * *", "2024-01-01T00:00:45", "2024-01-01T00:01:00"),
        ("0 */5 * * * *", "2024-01-01T00:00:00", "2024-01-01T00:05:00"),
        ("*/5 * * * *", "2024-01-01T00:00:00", "2024-01-01T00:05:00"),
        ("0 30 9 * * 1-5", "2024-01-05T09:30:00", "2024-01-08T09:30:00"),
        ("0 0 0 * * Sun", "2024-01-01T00:00:00", "2024-01-07T00:00:00"),
        ("0 0 12 1 jan,Jul *", "2024-01-01T12:00:00", "2024-07-01T12:00:00"),
        ("0 0 0 29 2 *", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("10-20/5 59 23 31 12 *", "2024-12-31T23:59:15", "2024-12-31T23:59:20"),
        ("5/20 * * * * *", "2024-01-01T00:00:06", "2024-01-01T00:00:25"),
    ],
)
def test_the_next_occurrence(expression: str, moment: str, occurrence: str) -> None:
    assert parse_schedule(expression).after(at(moment)) == at(occurrence)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * * *", "60 * * * * *", "* * * * * 7", "*/0 * * * * *", "x * * * * *", "9-5 * * * * *"],
)
def test_an_expression_that_is_no_schedule(expression: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(expression)


def test_a_schedule_that_never_occurs() -> None:
    with pytest.raises(ScheduleError):
        parse_schedule("0 0 0 30 2 *").after(at("2024-01-01T00:00:00"))
