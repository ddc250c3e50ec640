"""Days of the reports' own time zone are added up when they are over, so that a year is read quickly.

A day is written under the versions that were read before the quarters of an hour that it is made of: so whoever has
seen less of them does not replace what is right. What comes late for a day has it added up again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

from router.commit.parts import Parts
from router.engine import facts
from router.engine.columns import text_of

_ONE: Final = timedelta(days=1)
#: Days that are made up for at a time, after a change of the zone or a time without a timer.
_AT_ONCE: Final = 8
_TRIES: Final = 3


class DayAdder:
    """Adds up, as one process does it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: The last day that is known to be added up.
        self._done: date | None = None

    async def add(self, counted: datetime, late: Sequence[datetime]) -> bool:
        """Adds up what is over, all minutes before `counted` being final, and again the days of `late`. Whether
        nothing of `late` is left to do. Raises StorageUnavailable."""
        zone = self._parts.report_zone
        last = counted.astimezone(zone).date() - _ONE
        if not late and self._done is not None and self._done >= last:
            return True
        done = await self._parts.days.done()
        again = {day for at in late if done is not None and (day := at.astimezone(zone).date()) <= done}
        made = [await self._add(day) for day in sorted(again)]
        self._done = await self._go_on(done, last) if done is None or done < last else done
        return all(made)

    async def _go_on(self, done: date | None, last: date) -> date | None:
        """The last day that is added up then."""
        if done is None:
            oldest = await self._parts.facts.oldest()
            # It is a day in UTC, which begins on the day before in half of all zones.
            done = oldest.date() - 2 * _ONE if oldest is not None else last - _ONE
        until = min(done + _AT_ONCE * _ONE, last)
        for number in range((until - done).days):
            if not await self._add(done + (number + 1) * _ONE):
                return None
        await self._parts.days.finish(until)
        return until

    async def _add(self, day: date) -> bool:
        """Whether it is written; else somebody else has written it meanwhile, again and again."""
        for _ in range(_TRIES):
            rows = await self._parts.days.rows(day)
            sums = await self._sums(day)
            if await self._parts.days.write(day, {of: text_of(one) for of, one in sums.items()}, rows):
                return True
        return False

    async def _sums(self, day: date) -> dict[tuple[str, str], dict[str, Any]]:
        start, end = midnight(day, self._parts.report_zone), midnight(day + _ONE, self._parts.report_zone)
        found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for utc_day in utc_days(start, end):
            for one in await self._parts.facts.quarters(utc_day, None):
                if start <= one.start < end:
                    found.setdefault((one.of["queueId"], one.of["channelId"]), []).append(one.facts)
        return {of: facts.merged(some) for of, some in found.items()}


def utc_days(since: datetime, until: datetime) -> Iterator[datetime]:
    """The days in UTC that a time is in."""
    day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < until:
        yield day
        day += _ONE


def midnight(day: date, zone: tzinfo) -> datetime:
    """When a day of the zone begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
