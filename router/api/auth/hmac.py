"""Access-key signatures (HMAC-SHA256) as the Azure Communication Services clients make them.

    Authorization: HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=<base64>

The string to sign is `VERB\\nPATH_AND_QUERY\\nDATE;HOST;CONTENT_HASH`; its last line follows SignedHeaders.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

from router.api.auth.encodings import signed_targets
from router.api.auth.refusal import Unauthorized

SCHEME = "hmac-sha256"
CLOCK_SKEW = timedelta(minutes=5)
_DATE_HEADERS = ("x-ms-date", "date")
_CREDENTIALS = re.compile(r"SignedHeaders=(?P<names>[^&,]{1,256}) ?& ?Signature=(?P<signature>[^&,\s]+)", re.IGNORECASE)
#: RFC 9110's form of a date; the clients differ in whether a day of one digit has a zero before it.
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_HASH_HEADER = "x-ms-content-sha256"
_FORM = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=<base64>"
_EMPTY_HASH = b64encode(hashlib.sha256(b"").digest()).decode()


@dataclass(frozen=True, slots=True)
class Signed:
    """What a client has signed: the path and query that it asked for, whatever the host made of them, and the hash of
    its body."""

    key_index: int
    target: str
    content_hash: str


class AccessKeys:
    """The keys that are valid now: one or two, so that each can be renewed while the other serves, and behind them
    those that only read."""

    def __init__(self, keys: Sequence[str], reading: Sequence[str] = ()) -> None:
        if len(keys) > 2 or not (keys or reading):
            raise ValueError(f"One or two access keys are needed, not {len(keys)}.")
        self._keys = tuple(_decode_key(key, number) for number, key in enumerate((*keys, *reading), 1))
        self._first_reading = len(keys)

    def only_reads(self, index: int) -> bool:
        """Whether the key of that index opens what can be read, and nothing else."""
        return index >= self._first_reading

    def verify(
        self,
        method: str,
        target: str,
        raw_target_known: bool,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> int:
        """The index of the key that signed this request with this body; Unauthorized where none did. `headers` takes
        lower-case names."""
        found = self.signed(method, target, raw_target_known, headers, now)
        check_body(found.content_hash, body)
        return found.key_index

    def signed(
        self,
        method: str,
        target: str,
        raw_target_known: bool,
        headers: Mapping[str, str],
        now: datetime,
        sent_paths: Sequence[str] = (),
    ) -> Signed:
        """What one of the keys has signed; Unauthorized where none did. Of the body it is the hash: whether the body
        that came has it, `check_body` tells.

        Nothing here depends on how much of a signature is right.
        """
        names, signature = _parse(headers.get("authorization", ""))
        values = [_signed_value(headers, name) for name in names]
        date_name = next(name for name in names if name in _DATE_HEADERS)
        _check_date(date_name, headers[date_name], now)
        # The Python SDK, given its endpoint with a slash at the end, signs `host/`. No other form is taken.
        tails = [
            ";".join(values),
            ";".join(f"{value}/" if name == "host" else value for name, value in zip(names, values, strict=True)),
        ]
        verb = method.upper()
        given = signature.encode("utf-8", "surrogateescape")
        for candidate in signed_targets(verb, target, raw_target_known, sent_paths):
            for tail in tails:
                text = f"{verb}\n{candidate}\n{tail}".encode("utf-8", "surrogateescape")
                # All keys are always computed: the time taken does not tell which of them matched.
                matches = [hmac.compare_digest(_sign(key, text), given) for key in self._keys]
                if True in matches:
                    return Signed(matches.index(True), candidate, headers[_HASH_HEADER])
        raise Unauthorized(
            "SignatureMismatch",
            "The signature does not match this request. It must be made with one of the access keys, over the "
            "method, the path and query as sent, the date, the Host header as sent and the content hash.",
        )


def _sign(key: bytes, text: bytes) -> bytes:
    return b64encode(hmac.digest(key, text, "sha256"))


def _decode_key(key: str, number: int) -> bytes:
    try:
        decoded = b64decode(key.strip(), validate=True)
    except (BadBase64, ValueError):
        raise ValueError(f"Access key {number} is not valid base64.") from None
    if len(decoded) < 16:
        raise ValueError(f"Access key {number} is too short: {len(decoded)} bytes, at least 16 are needed.")
    return decoded


@lru_cache(maxsize=64)
def _signed_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(";"))
    if len(names) != 3 or not any({date, "host", _HASH_HEADER} == set(names) for date in _DATE_HEADERS):
        raise Unauthorized(
            "InvalidSignedHeaders",
            "SignedHeaders must name x-ms-date (or date), host and x-ms-content-sha256, and nothing else.",
        )
    return names


def _parse(authorization: str) -> tuple[tuple[str, ...], str]:
    """The names of the signed headers and the signature. Each stands there once and nothing else does: two
    Authorization headers, which a server joins with a comma, are none."""
    found = _CREDENTIALS.fullmatch(authorization.partition(" ")[2].strip())
    if found is None:
        raise Unauthorized("InvalidAuthorizationHeader", f"The Authorization header must have the form '{_FORM}'.")
    return _signed_names(found["names"]), found["signature"]


def _signed_value(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        raise Unauthorized("MissingSignedHeader", f"The header '{name}' is signed but was not sent.")
    return value


@lru_cache(maxsize=256)
def _parse_date(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _check_date(name: str, text: str, now: datetime) -> None:
    date = _parse_date(text) if len(text) <= 64 else None
    if date is None:
        raise Unauthorized("InvalidDate", f"The header '{name}' must be a date like 'Tue, 03 Nov 2026 21:26:56 GMT'.")
    if abs(now - date) > CLOCK_SKEW:
        raise Unauthorized(
            "DateOutOfRange",
            f"The request was signed at {text}, over {CLOCK_SKEW.seconds // 60} minutes from the time here, "
            f"{now.astimezone(UTC):%a, %d %b %Y %H:%M:%S} GMT.",
        )


def check_body(given: str, body: bytes) -> None:
    """Unauthorized where the body has another hash than this. How long that takes does not depend on how much of it is
    right."""
    actual = b64encode(hashlib.sha256(body).digest()).decode() if body else _EMPTY_HASH
    if not hmac.compare_digest(actual.encode(), given.encode("utf-8", "surrogateescape")):
        raise Unauthorized(
            "ContentHashMismatch",
            f"The header '{_HASH_HEADER}' is not the base64 of the SHA-256 of the body that arrived, "
            f"{len(body)} bytes.",
        )
