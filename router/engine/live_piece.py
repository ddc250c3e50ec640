"""A part of the live picture, as JSON that is made once for as long as it is the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

P = TypeVar("P", bound="Piece")
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """JSON, what tells it from other JSON, and from when on every picture has it so."""

    content: bytes
    digest: bytes
    since: datetime


def kept(made: P, former: P | None) -> P:
    """The former piece where the new one says the same."""
    return former if former is not None and former.digest == made.digest else made


def digest_of(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def shown_time(time: str) -> str:
    """As pages read it: `Z` for UTC."""
    return f"{time[:-6]}Z" if time.endswith("+00:00") else time


def stored_time(time: str) -> str:
    """As it was before it was shown."""
    return f"{time[:-1]}+00:00" if time.endswith("Z") else time
