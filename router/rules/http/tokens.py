"""OAuth 2.0 access tokens (client credentials), kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from router.rules.failure import RuleCallError

Credential = tuple[str, str, str]  # authorization server, client id, client secret

_KEEP_AT_MOST = 256
_MAX_TOKEN = 16 * 1024
_DEFAULT_LIFE = 300.0  # where the server does not say
_EARLY = 60.0


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    good_until: float


class TokenCache:
    """One token per server, client and secret; concurrent callers wait for one fetch. Holds no secret, only hashes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tokens: dict[bytes, _Token] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def get(self, credential: Credential, fetch: Callable[[], Awaitable[Any]]) -> tuple[str, bool]:
        """A good token, and whether it was kept from before."""
        key = _key(credential)
        if (token := self._kept(key)) is not None:
            return token, True
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            try:
                if (token := self._kept(key)) is not None:
                    return token, True
                fresh = _read(await fetch(), self._monotonic())
                if len(self._tokens) >= _KEEP_AT_MOST:
                    self._tokens.pop(next(iter(self._tokens)))
                self._tokens[key] = fresh
                return fresh.value, False
            finally:
                if self._locks.get(key) is lock:
                    del self._locks[key]

    def forget(self, credential: Credential) -> None:
        self._tokens.pop(_key(credential), None)

    def _kept(self, key: bytes) -> str | None:
        token = self._tokens.get(key)
        if token is not None and self._monotonic() < token.good_until:
            return token.value
        return None


def _key(credential: Credential) -> bytes:
    digest = hashlib.sha256()
    for part in credential:
        digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    return digest.digest()


def _read(answer: Any, now: float) -> _Token:
    value = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TOKEN or not value.isascii() or not value.isprintable():
        raise RuleCallError("RuleTokenInvalid", "The authorization server answered without an access token.")
    life = _life(answer.get("expires_in"))
    return _Token(value, now + max(life - _EARLY, life / 2))


def _life(seconds: Any) -> float:
    """Some servers write the number as a text."""
    try:
        life = float(seconds)
    except (TypeError, ValueError):
        return _DEFAULT_LIFE
    return max(0.0, life) if isfinite(life) else _DEFAULT_LIFE
