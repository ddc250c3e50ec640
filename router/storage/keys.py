"""Keys of rows: ids in an alphabet that keys allow, and numbers and times that sort as text."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from router.models.types import INT32_MAX

_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
#: Longer ids are cut and told apart by a hash; keys may have 512 characters, several parts make one.
_LONGEST: Final = 160
#: Sorts after every encoded id; separates the parts of a key.
SEPARATOR: Final = "~"


def key(id: str) -> str:
    """An id as (part of) a key. Different ids have different keys; `~` never occurs in one."""
    if len(id) <= _LONGEST and _SAFE.issuperset(id):
        return id
    text = "".join(letter if letter in _SAFE else "".join(f"={byte:02X}" for byte in letter.encode()) for letter in id)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 68]}=h{hashlib.sha256(id.encode()).hexdigest()}"


def time_key(moment: datetime) -> str:
    """A UTC time that sorts as text, to the microsecond."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "")


def descending(number: int) -> str:
    """An int32 that sorts as text, largest first."""
    return f"{INT32_MAX - number:010d}"


def ascending_ratio(ratio: float) -> str:
    """A number from 0 to 1 that sorts as text."""
    return f"{min(max(round(ratio * 1_000_000), 0), 9_999_999):07d}"
