"""Timer schedules: NCRONTAB expressions of six fields (seconds first; five fields start at the minute), in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_HORIZON_DAYS: Final = 366 * 8 + 2  # the longest way to a 29 February


class ScheduleError(ValueError):
    """A schedule that is not an NCRONTAB expression, or that never occurs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def after(self, moment: datetime) -> datetime:
        """The first occurrence later than `moment`."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = start.replace(hour=0, minute=0, second=0)
        for _ in range(_HORIZON_DAYS):
            if (
                day.month in self.months
                and day.day in self.days
                and (day.weekday() + 1) % 7 in self.weekdays
                and (found := self._on(day, start)) is not None
            ):
                return found
            day += timedelta(days=1)
        raise ScheduleError("the schedule never occurs")

    def _on(self, day: datetime, start: datetime) -> datetime | None:
        floor = start if start.date() == day.date() else day
        for hour in sorted(hour for hour in self.hours if hour >= floor.hour):
            low_minute = floor.minute if hour == floor.hour else 0
            for minute in sorted(minute for minute in self.minutes if minute >= low_minute):
                low_second = floor.second if (hour, minute) == (floor.hour, floor.minute) else 0
                second = min((second for second in self.seconds if second >= low_second), default=None)
                if second is not None:
                    return day.replace(hour=hour, minute=minute, second=second)
        return None


def parse_schedule(expression: str) -> Schedule:
    fields = expression.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise ScheduleError(f"schedule {expression!r}: six fields are expected, found {len(fields)}")
    values = [_parse_field(expression, text, *field) for text, field in zip(fields, _FIELDS, strict=True)]
    return Schedule(*values)


def _parse_field(expression: str, text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    def number(word: str) -> int:
        if word[:3].lower() in names:
            return names.index(word[:3].lower()) + low
        if not word.isdecimal() or not low <= int(word) <= high:
            raise ScheduleError(f"schedule {expression!r}: {word!r} is no {what} ({low} to {high})")
        return int(word)

    values: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        if step and (not step.isdecimal() or int(step) == 0):
            raise ScheduleError(f"schedule {expression!r}: {step!r} is no step")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            start, _, end = span.partition("-")
            first, last = number(start), number(end)
        else:
            first = number(span)
            last = high if step else first
        values.update(range(first, last + 1, int(step or 1)))
    if not values:
        raise ScheduleError(f"schedule {expression!r}: {text!r} is empty")
    return frozenset(values)
