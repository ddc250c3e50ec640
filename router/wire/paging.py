"""Continuation tokens: everything a later page needs, sealed, in letters that no client re-encodes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.errors import BadRequest, ErrorDetail

#: Where storage goes on: its own, opaque here.
Position = tuple[str, str]

MAX_PAGE_SIZE: Final = 1000
_SEAL_BYTES: Final = 16


@dataclass(frozen=True)
class PageToken:
    """Where a list goes on: its path, page size, filters as the client gave them, and the storage position."""

    path: str
    size: int
    position: Position
    filters: Mapping[str, str] = field(default_factory=dict)


def seal_token(token: PageToken, keys: Sequence[str | bytes]) -> str:
    """The token under the first access key. It has only letters, digits, `-` and `_`."""
    return sealed([1, token.path, token.size, token.position, dict(token.filters)], keys[0])


def sealed(content: Any, key: str | bytes) -> str:
    """Any content under a key: what whoever has an access key can make."""
    payload = to_json(content)
    return _encode(_seal(payload, _token_key(key)) + payload)


def open_token(text: str, path: str, keys: Sequence[str | bytes]) -> PageToken:
    """The token of a later page of this path. It holds under any of the access keys."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused("is not one of this router's") from None
    if _encode(raw) != text:  # other letters that decode to the same bytes
        raise _refused("was changed")
    seal, payload = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
    if not any(hmac.compare_digest(seal, _seal(payload, _token_key(key))) for key in keys):
        raise _refused("was changed, or the access key that sealed it is no longer valid")
    if (found := _read(payload)) is None:
        raise unknown_position()
    if found.path != path:
        raise _refused("belongs to another list")
    return found


def _read(payload: bytes) -> PageToken | None:
    """None for what is no token of this router: whoever has an access key can seal anything."""
    try:
        match from_json(payload):
            case [1, str(path), int(size), [str(partition), str(row)], dict(filters)] if (
                1 <= size <= MAX_PAGE_SIZE and all(isinstance(value, str) for value in filters.values())
            ):
                return PageToken(path, size, (partition, row), filters)
    except ValueError:
        pass
    return None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _seal(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_SEAL_BYTES]


@lru_cache(maxsize=8)
def _token_key(access_key: str | bytes) -> bytes:
    """A key of its own purpose: a sealed token says nothing about the signatures of requests."""
    raw = access_key.encode() if isinstance(access_key, str) else access_key
    return hmac.digest(hashlib.sha256(raw).digest(), b"continuation token", "sha256")


def unknown_position() -> BadRequest:
    """For a token that this router has not made, or from which no page of its list goes on."""
    return _refused("is not one of this router's")


def _refused(reason: str) -> BadRequest:
    message = f"'continuationToken' {reason}. Follow nextLink as it was answered, or start from the first page."
    detail = ErrorDetail("InvalidContinuationToken", message, "continuationToken")
    return BadRequest(message, target="continuationToken", details=(detail,))
