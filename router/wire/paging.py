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
    payload = to_json([1, token.path, token.size, token.position, dict(token.filters)])
    return _encode(_seal(payload, _token_key(keys[0])) + payload)


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
    content: list[Any] = from_json(payload)
    if content[0] != 1 or content[1] != path:
        raise _refused("belongs to another list")
    return PageToken(path=content[1], size=content[2], position=(content[3][0], content[3][1]), filters=content[4])


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _seal(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_SEAL_BYTES]


@lru_cache(maxsize=8)
def _token_key(access_key: str | bytes) -> bytes:
    """A key of its own purpose: a sealed token says nothing about the signatures of requests."""
    raw = access_key.encode() if isinstance(access_key, str) else access_key
    return hmac.digest(hashlib.sha256(raw).digest(), b"continuation token", "sha256")


def _refused(reason: str) -> BadRequest:
    message = f"'continuationToken' {reason}. Follow nextLink as it was answered, or start from the first page."
    detail = ErrorDetail("InvalidContinuationToken", message, "continuationToken")
    return BadRequest(message, target="continuationToken", details=(detail,))
