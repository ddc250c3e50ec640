"""Conditional requests (RFC 9110 section 13): If-Match, If-None-Match, If-Unmodified-Since, and the validators
that answers carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from router.errors import BadRequest, ConditionNotMet, ErrorDetail

_ETAG: Final = re.compile(r'(?:^|,)\s*(?:(W/)?"([^"]*)"|([^\s,"]+))\s*(?=,|$)')
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK: Final = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
#: The three forms of an HTTP date: IMF-fixdate, RFC 850, asctime.
_DATES: Final = (
    re.compile(rf"\w{{3}}, (?P<day>\d{{2}}) (?P<month>\w{{3}}) (?P<year>\d{{4}}) {_CLOCK} (?:GMT|UTC)", re.ASCII),
    re.compile(rf"\w{{6,9}}, (?P<day>\d{{2}})-(?P<month>\w{{3}})-(?P<year>\d{{2}}) {_CLOCK} GMT", re.ASCII),
    re.compile(rf"\w{{3}} (?P<month>\w{{3}}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})", re.ASCII),
)


@dataclass(frozen=True)
class Conditions:
    """The conditions of one request."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_unmodified_since: str | None = None

    def __bool__(self) -> bool:
        return bool(self.if_match or self.if_none_match or self.if_unmodified_since)

    def check(self, etag: str | None, modified: datetime | None) -> None:
        """Raises ConditionNotMet unless the resource (None: there is none) is as the client expects it."""
        if self.if_match:
            if not _matches(self.if_match, etag, strong=True):
                raise ConditionNotMet(_says("If-Match", self.if_match, etag))
        elif self.if_unmodified_since and modified is not None:
            # A date that is none is ignored (RFC 9110 section 13.1.4). Dates have whole seconds.
            since = parse_http_date(self.if_unmodified_since)
            if since is not None and modified.replace(microsecond=0) > since:
                raise ConditionNotMet(
                    f"If-Unmodified-Since is {http_date(since)}; the last modification was at {http_date(modified)}."
                )
        if self.if_none_match and _matches(self.if_none_match, etag, strong=False):
            raise ConditionNotMet(_says("If-None-Match", self.if_none_match, etag))


def read_conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions in the headers, whose names are looked up as given in lower case. An empty list of ETags is
    refused: a client that sends one has lost its ETag, and must not overwrite for that."""
    empty = [name for name in ("If-Match", "If-None-Match") if headers.get(name.lower(), "*").strip() == ""]
    if empty:
        details = [ErrorDetail("InvalidValue", f"'{name}' must be an ETag or *, not empty.", name) for name in empty]
        raise BadRequest(details[0].message, target=empty[0], details=details)
    return Conditions(headers.get("if-match"), headers.get("if-none-match"), headers.get("if-unmodified-since"))


def names_etag(header: str, etag: str) -> bool:
    """Whether If-None-Match names it, so that a reader has it already: 304 (RFC 9110 section 13.1.2)."""
    return _matches(header, etag, strong=False)


def quote_etag(etag: str) -> str:
    """The ETag header of a resource whose body says `etag`."""
    return f'"{etag}"'


def http_date(moment: datetime) -> str:
    """A time as HTTP headers write it: `Fri, 03 Nov 2023 21:26:56 GMT`."""
    utc = moment.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    return f"{day}, {utc.day:02} {month} {utc.year:04} {utc.hour:02}:{utc.minute:02}:{utc.second:02} GMT"


def parse_http_date(text: str) -> datetime | None:
    """The time that an HTTP date tells, or None."""
    for form in _DATES:
        if match := form.fullmatch(text.strip()):
            break
    else:
        return None
    part = match.groupdict()
    year = int(part["year"])
    if len(part["year"]) == 2:
        year += 2000 if year < 70 else 1900
    try:
        month = _MONTHS.index(part["month"].title()) + 1
        second = min(int(part["second"]), 59)  # a leap second
        return datetime(year, month, int(part["day"]), int(part["hour"]), int(part["minute"]), second, tzinfo=UTC)
    except ValueError:
        return None


def _matches(header: str, etag: str | None, *, strong: bool) -> bool:
    """Whether the resource is among those named. A weak ETag never matches strongly. Clients may send the body's
    `etag` as it is, without quotes. `*` holds in a list too: a header sent twice arrives as one."""
    if etag is None:
        return False
    return any(
        bare == "*" or ((quoted or bare) == etag and not (weak and strong))
        for weak, quoted, bare in _ETAG.findall(header)
    )


def _says(name: str, header: str, etag: str | None) -> str:
    current = f"its ETag is {quote_etag(etag)}" if etag is not None else "it does not exist"
    return f"{name} is {header[:200]}, which does not hold for the resource: {current}."
