"""Microsoft Entra ID bearer tokens: signature, issuer, audience and times, by the tenant's own keys."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlsplit

from router.api.auth.refusal import Unauthorized
from router.errors import Busy

if TYPE_CHECKING:
    from jwt import PyJWK

_log = logging.getLogger(__name__)

# jwt (with cryptography) and aiohttp are imported on first use: a router with access keys alone never pays.

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
_LEEWAY = 300.0
_MAX_TOKEN = 16 * 1024
_MAX_KEYS_BODY = 256 * 1024
_CHINA = {"https://login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"}


class SigningKeys:
    """The tenant's signing keys by id, fetched when first needed, then when old or when an id is unknown.

    Fetches are single flight and at least `retry_after` apart, so that invented ids cannot drive them. Keys
    that cannot be renewed serve until `max_age`: a pause of the identity service does not stop the router.
    """

    def __init__(
        self,
        url: str,
        *,
        refresh_after: timedelta = timedelta(hours=6),
        max_age: timedelta = timedelta(hours=24),
        retry_after: timedelta = timedelta(seconds=30),
        timeout: float = 5.0,
    ) -> None:
        self._url = url
        self._refresh_after = refresh_after
        self._max_age = max_age
        self._retry_after = retry_after
        self._timeout = timeout
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def get(self, kid: str, now: datetime) -> PyJWK | None:
        """The key of that id; None when the tenant has none such. Busy (503) when that cannot be told."""
        key = self._keys.get(kid)
        if key is None or self._older_than(self._refresh_after, now):
            async with self._lock:
                key = self._keys.get(kid)
                if (key is None or self._older_than(self._refresh_after, now)) and self._may_try(now):
                    self._tried_at = now
                    await self._fetch(now)
                    key = self._keys.get(kid)
        last_try_failed = self._tried_at != self._fetched_at
        if self._older_than(self._max_age, now) or (key is None and last_try_failed):
            raise Busy("The signing keys of the Microsoft Entra ID tenant could not be read.", retry_after=30)
        return key

    def _older_than(self, age: timedelta, now: datetime) -> bool:
        return self._fetched_at is None or now - self._fetched_at > age

    def _may_try(self, now: datetime) -> bool:
        return self._tried_at is None or now - self._tried_at >= self._retry_after

    async def _fetch(self, now: datetime) -> None:
        import aiohttp

        try:
            self._keys, self._fetched_at = await self._read(), now
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning(
                "The signing keys of the Microsoft Entra ID tenant could not be read from %s: %s",
                urlsplit(self._url).hostname,
                str(error) or type(error).__name__,
            )

    async def _read(self) -> dict[str, PyJWK]:
        """The keys as they are now. Raises aiohttp's errors, TimeoutError, ValueError."""
        import aiohttp

        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout)) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"it answered {response.status}")
            body = await response.content.read(_MAX_KEYS_BODY)
            while len(body) < _MAX_KEYS_BODY and not response.content.at_eof():
                body += await response.content.read(_MAX_KEYS_BODY - len(body))
        keys = _parse_keys(json.loads(body))
        if not keys:
            raise ValueError("it answered without a key that signs tokens")
        return keys


def _parse_keys(document: Any) -> dict[str, PyJWK]:
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    keys: dict[str, PyJWK] = {}
    entries = document.get("keys") if isinstance(document, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        if isinstance(kid, str) and kid:
            try:
                keys[kid] = PyJWK(entry, algorithm="RS256")
            except PyJWTError:
                continue  # one odd key does not take the others with it
    return keys


class EntraTokens:
    """Accepts any valid token that the tenant issued for one of the audiences.

    No role or scope is asked for: who may get a token for the audience is decided in Entra ID ("assignment
    required" on the enterprise application).
    """

    def __init__(
        self,
        tenant_id: str,
        audiences: Sequence[str],
        *,
        authority: str = PUBLIC_AUTHORITY,
        keys: SigningKeys | None = None,
    ) -> None:
        base = authority.rstrip("/")
        # The official clients ask for `https://host//.default`; the token's audience keeps one slash of it.
        self._audiences = {form for name in audiences for form in (name.rstrip("/"), name.rstrip("/") + "/")}
        legacy = "https://sts.chinacloudapi.cn" if base in _CHINA else "https://sts.windows.net"
        self._issuers = {f"{base}/{tenant_id}/v2.0", f"{legacy}/{tenant_id}/"}
        self._keys = keys or SigningKeys(f"{base}/{tenant_id}/discovery/v2.0/keys")

    async def verify(self, token: str, now: datetime) -> str:
        """The object id (or subject) of a valid token; Unauthorized otherwise."""
        import jwt

        if len(token) > _MAX_TOKEN:
            raise Unauthorized("InvalidToken", f"The bearer token is longer than {_MAX_TOKEN} characters.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Unauthorized("InvalidToken", "The bearer token is not a JSON Web Token.") from None
        if header.get("alg") != "RS256":
            raise Unauthorized("InvalidTokenAlgorithm", "The bearer token must be signed with RS256.")
        kid = header.get("kid")
        key = await self._keys.get(kid, now) if isinstance(kid, str) else None
        if key is None:
            raise Unauthorized("UnknownSigningKey", "The bearer token is signed with a key that is not the tenant's.")
        try:
            # Times are checked below against `now`, issuer and audience there too: one place, our clock.
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.PyJWTError:
            raise Unauthorized("InvalidTokenSignature", "The signature of the bearer token does not hold.") from None
        return self._accept(claims, now)

    def _accept(self, claims: dict[str, Any], now: datetime) -> str:
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise Unauthorized("InvalidTokenIssuer", "The bearer token was not issued by the configured tenant.")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(name, str) and name in self._audiences for name in audiences):
            raise Unauthorized("InvalidTokenAudience", "The bearer token was issued for another audience.")
        expires, not_before, at = claims.get("exp"), claims.get("nbf"), now.timestamp()
        if not _is_time(expires) or at >= expires + _LEEWAY:
            raise Unauthorized("TokenExpired", "The bearer token has expired.")
        if not_before is not None and (not _is_time(not_before) or at < not_before - _LEEWAY):
            raise Unauthorized("TokenNotYetValid", "The bearer token is not valid yet.")
        for name in ("oid", "sub"):
            if isinstance(claims.get(name), str) and claims[name]:
                return str(claims[name])
        raise Unauthorized("InvalidToken", "The bearer token names no subject.")


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
