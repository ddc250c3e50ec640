"""History: what committed changes leave to be told (docs/history.md).

An entry stands in the row of its job or worker, written with the change that it tells of. Its key sorts by time and is
the same wherever the entry is copied to, so a copy that is made twice is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

#: UTF-16 units of the entries that a row keeps; what is older moves to the table of histories.
LARGEST_HISTORY: Final = 16_000
#: Of what one entry says of the fields that changed.
LARGEST_CHANGE: Final = 5_000
#: Of one value in it.
LARGEST_VALUE: Final = 1_500

ActorKind = Literal["key", "entra", "rule", "deadline", "router"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change. `name` of a key: `primary` or `secondary`, never its value; of a principal: its object id; of
    a rule: its policy and id; of a deadline: its kind."""

    kind: ActorKind
    name: str


ROUTER: Final = Actor("router", "router")


class Entry(NamedTuple):
    """An entry as it is stored: `time~id`, and the rest as JSON."""

    key: str
    text: str

    @property
    def at(self) -> datetime:
        return entry_time(self.key)

    @property
    def id(self) -> str:
        return self.key.partition("~")[2]


def entry_key(at: datetime, id: str) -> str:
    """A key that sorts by time. It has the form of storage's time keys (storage/keys.py)."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds').replace(':', '')}~{id}"


def entry_time(key: str) -> datetime:
    # Its parts have fixed places. strptime would take ten times as long, and this is asked for at each commit.
    return datetime.fromisoformat(f"{key[:13]}:{key[13:15]}:{key[15:24]}+00:00")


def minute_of(at: datetime) -> str:
    """The minute of a time, as the beginning of the keys of its entries."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H%M")


def minute_time(minute: str) -> datetime:
    return datetime.strptime(minute, "%Y-%m-%dT%H%M").replace(tzinfo=UTC)
