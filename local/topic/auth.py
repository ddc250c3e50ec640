"""Who may publish: the topic's key itself, or a token signed with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote, unquote_plus, urlsplit

from local.topic.errors import PublishError

_TIME_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")  # .NET's usual way to print a time


def check_credentials(headers: Mapping[str, str], keys: tuple[str, ...], port: int) -> None:
    """Raise a 401 unless the request carries a valid `aeg-sas-key` or token."""
    key = headers.get("aeg-sas-key")
    if key is not None:
        if not _is_one_of(key, keys):
            raise _unauthorized("The request authorization key is not authorized for this topic.")
        return
    token = headers.get("aeg-sas-token")
    if token is None:
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        token = rest if scheme.lower() == "sharedaccesssignature" else None
    if token is None:
        raise _unauthorized(
            "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key."
        )
    _check_token(token, keys, port)


def _is_one_of(key: str, keys: tuple[str, ...]) -> bool:
    given = _bytes(key)
    return any(hmac.compare_digest(given, known.encode()) for known in keys)


def _check_token(token: str, keys: tuple[str, ...], port: int) -> None:
    unsigned, separator, signature = token.rpartition("&s=")
    parts = dict(part.partition("=")[::2] for part in unsigned.split("&"))
    if not separator or "r" not in parts or "e" not in parts:
        raise _unauthorized(
            "Invalid aeg-sas-token. Valid format: r=UrlEncodedResource&e=UrlEncodedUtcExpiration&s=UrlEncodedSignature."
        )
    given = _bytes(unquote(signature))
    expected = [_sign(key, unsigned) for key in keys]
    if not any(sign is not None and hmac.compare_digest(given, sign) for sign in expected):
        raise _unauthorized("The signature of the aeg-sas-token is not valid for this topic.")
    if not _is_this_topic(unquote(parts["r"]), port):
        raise _unauthorized("The resource of the aeg-sas-token is not this topic.")
    expires = _parse_expiry(unquote_plus(parts["e"]), unquote(parts["e"]))
    if expires is None or expires <= datetime.now(UTC):
        raise _unauthorized("The aeg-sas-token has expired, or its expiration is not a time.")


def _is_this_topic(resource: str, port: int) -> bool:
    try:
        url = urlsplit(resource)
        return url.hostname in ("127.0.0.1", "localhost") and url.port == port
    except ValueError:
        return False


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")  # as aiohttp decoded it


def _sign(key: str, unsigned: str) -> bytes | None:
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return None  # a key that is not base64 cannot sign tokens
    return base64.b64encode(hmac.new(secret, _bytes(unsigned), hashlib.sha256).digest())


def _parse_expiry(*texts: str) -> datetime | None:
    for text in texts:
        try:
            return _as_utc(datetime.fromisoformat(text))
        except ValueError:
            pass
        for form in _TIME_FORMATS:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                continue
    return None


def _as_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _unauthorized(message: str) -> PublishError:
    return PublishError(401, "Unauthorized", message)
