"""Microsoft Entra ID bearer tokens: signature, issuer, audience and times, by the tenant's own keys."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic_core import from_json

from router.api.auth.refusal import Unauthorized
from router.errors import Busy

if TYPE_CHECKING:
    from jwt import PyJWK

_log = logging.getLogger(__name__)

# jwt (with cryptography) and aiohttp are imported on first use: a router with access keys alone never pays.

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
_LEEWAY = 300.0
_SUBJECTS: Final = ("oid", "sub")
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
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


@dataclass(frozen=True, slots=True)
class Verified:
    """What a valid token says: its object id, or else its subject, and the roles that it has here."""

    subject: str
    object_id: str | None = None
    roles: tuple[object, ...] = ()


class EntraTokens:
    """Accepts any valid token that the tenant issued for one of the audiences.

    No scope is asked for: who may get a token for the audience is decided in Entra ID ("assignment required" on the
    enterprise application). What the token's roles allow is decided elsewhere (docs/security.md, "Rights").
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

    async def verify(self, token: str, now: datetime) -> Verified:
        """What a valid token says; Unauthorized otherwise."""

        if len(token) > _MAX_TOKEN:
            raise Unauthorized("InvalidToken", f"The bearer token is longer than {_MAX_TOKEN} characters.")
        try:
            header, claims = _strictly(token)
        except (ValueError, RecursionError):
            raise Unauthorized("InvalidToken", "The bearer token is not a JSON Web Token.") from None
        if header.get("alg") != "RS256":
            raise Unauthorized("InvalidTokenAlgorithm", "The bearer token must be signed with RS256.")
        if "crit" in header:
            raise Unauthorized("InvalidToken", "The bearer token asks for an extension that is not known here.")
        kid = header.get("kid")
        key = await self._keys.get(kid, now) if isinstance(kid, str) else None
        if key is None:
            raise Unauthorized("UnknownSigningKey", "The bearer token is signed with a key that is not the tenant's.")
        for name, reason in (("exp", "TokenExpired"), ("nbf", "TokenNotYetValid"), ("iat", "TokenNotYetValid")):
            if name in claims and not _is_time(claims[name]):
                raise Unauthorized(reason, f"The bearer token's '{name}' is no time.")
        self._decide(token, key, now)
        object_id, subject = (one if isinstance(one := claims.get(name), str) and one else None for name in _SUBJECTS)
        if (named := object_id or subject) is not None:
            roles = claims.get("roles")
            return Verified(named, object_id, tuple(roles) if isinstance(roles, list) else ())
        raise Unauthorized("InvalidToken", "The bearer token names no subject.")

    def _decide(self, token: str, key: PyJWK, now: datetime) -> None:
        """PyJWT decides, at `now` by our clock: signature, times, issuer and audience. Raises Unauthorized."""
        import jwt

        class AtThisTime(jwt.PyJWT):
            def _validate_iat(self, payload: dict[str, Any], _: float, leeway: float) -> None:
                super()._validate_iat(payload, now.timestamp(), leeway)

            def _validate_nbf(self, payload: dict[str, Any], _: float, leeway: float) -> None:
                super()._validate_nbf(payload, now.timestamp(), leeway)

            def _validate_exp(self, payload: dict[str, Any], _: float, leeway: float) -> None:
                super()._validate_exp(payload, now.timestamp(), leeway)

        try:
            AtThisTime().decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audiences,
                issuer=self._issuers,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"], "verify_signature": True},
            )
        except jwt.PyJWTError as error:
            raise _refused(error) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthorized("InvalidToken", "The bearer token is not a JSON Web Token.") from None


def _strictly(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token in compact form, as RFC 7515 writes it: base64url without padding, each text in its
    one form, JSON objects whose names are there once and whose numbers are numbers. Raises ValueError."""
    if not _COMPACT.fullmatch(token):
        raise ValueError("not three parts of base64url")
    parts = []
    for text in token.split("."):
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if urlsafe_b64encode(packed).rstrip(b"=").decode() != text:
            raise ValueError("not the one form of base64url")
        parts.append(packed)
    for part in parts[:2]:
        from_json(part, allow_inf_nan=False)  # refuses halves of surrogate pairs, which no log and no row can hold
    header, claims = (
        json.loads(part.decode(), parse_constant=_no_constant, object_pairs_hook=_once) for part in parts[:2]
    )
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("not an object")
    return header, claims


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refused(error: Exception) -> Unauthorized:
    import jwt
    from jwt.exceptions import InvalidJTIError, InvalidSubjectError

    if isinstance(error, jwt.MissingRequiredClaimError):
        error = {"aud": jwt.InvalidAudienceError(), "iss": jwt.InvalidIssuerError()}.get(
            error.claim, jwt.ExpiredSignatureError()
        )
    match error:
        case jwt.InvalidIssuerError():
            return Unauthorized("InvalidTokenIssuer", "The bearer token was not issued by the configured tenant.")
        case jwt.InvalidAudienceError():
            return Unauthorized("InvalidTokenAudience", "The bearer token was issued for another audience.")
        case jwt.ExpiredSignatureError():
            return Unauthorized("TokenExpired", "The bearer token has expired.")
        case jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return Unauthorized("TokenNotYetValid", "The bearer token is not valid yet.")
        case InvalidSubjectError() | InvalidJTIError():
            return Unauthorized("InvalidToken", "The bearer token names no subject.")
        case _:
            return Unauthorized("InvalidTokenSignature", "The signature of the bearer token does not hold.")


def _is_time(value: object) -> bool:
    """Seconds since 1970 as a token writes them, up to the year 9999."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 253_402_300_799
