"""The secrets of function and webhook rules in policies: kept encrypted, shown as a mask, opened only to call.

Encryption is AES-SIV (RFC 5297), bound to the policy and the field. It is deterministic, so that a policy written
again with the same secret stays the same document and keeps its ETag; nothing else can be told from equal tokens.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from router.errors import BadRequest, ErrorDetail
from router.rules.failure import RuleFailure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

#: What a GET shows in place of a secret. Written back, it means "unchanged".
MASK = "********"

#: Sealed, a secret grows by a third, and must still be within the bounds of a stored text.
MAX_SECRET_BYTES = 4096

_PREFIX = "sealed:1:"
#: By the kind of rule: the object that holds its secrets, their names, and the address they are for.
_PLACES: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "function": ("credential", ("functionKey", "appKey"), "functionUri"),
    "webhook": ("clientCredential", ("clientSecret",), "authorizationServerUri"),
}


class SecretsError(RuleFailure):
    """A sealed secret cannot be opened: its key is gone, or the token belongs elsewhere or was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__("RuleSecretUnavailable", reason)


class SecretBox:
    """Seals with the first key and opens with any: to rotate, put a new key in front and drop the old one later."""

    def __init__(self, setting: str) -> None:
        """`setting`: base64 keys of 32 bytes each, comma-separated."""
        keys = [_decode_key(part, number) for number, part in enumerate(setting.split(","), 1)]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._first = next(iter(self._keys))

    def seal(self, text: str, context: str) -> str:
        cipher = _cipher(self._keys[self._first])
        # One byte in front: the cipher refuses to encrypt nothing at all.
        sealed = cipher.encrypt(b"\0" + text.encode("utf-8", "surrogatepass"), [context.encode()])
        return f"{_PREFIX}{self._first}:{urlsafe_b64encode(sealed).decode()}"

    def open(self, token: str, context: str) -> str:
        """The text that was sealed in the same context; SecretsError otherwise."""
        from cryptography.exceptions import InvalidTag

        name, _, sealed = token.removeprefix(_PREFIX).partition(":")
        if not token.startswith(_PREFIX) or name not in self._keys:
            raise SecretsError(
                "A policy's secret was sealed with a key that is not configured (ROUTER_SECRETS_KEY). "
                "Configure that key again, or write the secret anew."
            )
        try:
            text = _cipher(self._keys[name]).decrypt(urlsafe_b64decode(sealed), [context.encode()])
        except (InvalidTag, ValueError):
            raise SecretsError("A policy's sealed secret is damaged, or belongs to another policy.") from None
        return text[1:].decode("utf-8", "surrogatepass")


def seal_secrets(
    document: Mapping[str, Any],
    box: SecretBox | None,
    context: str,
    previous: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A copy of a policy (wire form, merged with what was stored) that is safe to store.

    `context` names the policy; `previous` is the stored document, whose sealed secrets stay as they are, and stand
    in for each mask that a client wrote back. BadRequest where a secret cannot be kept.
    """
    stored: dict[_Place, str] = {}

    def remember(place: _Place, token: str) -> str:
        stored[place] = token
        return token

    _copy(previous or {}, remember)
    carried = set(stored.values())

    def seal(place: _Place, value: str) -> str:
        if value in carried:
            return value
        if value == MASK:
            return _stands_for(place, stored)
        if box is None:
            raise _refused(
                "SecretsNotConfigured", "This router keeps no secrets: ROUTER_SECRETS_KEY is not configured.", place
            )
        if len(value.encode("utf-8", "surrogatepass")) > MAX_SECRET_BYTES:
            raise _refused("SecretTooLong", f"A secret may have at most {MAX_SECRET_BYTES} bytes.", place)
        return box.seal(value, f"{context}/{place.name}")

    return _copy(document, seal)


def open_secrets(document: Mapping[str, Any], box: SecretBox | None, context: str) -> dict[str, Any]:
    """A copy of a stored policy with its secrets in the clear: to call its rules, never to show or store."""

    def open_one(place: _Place, token: str) -> str:
        if box is None:
            raise SecretsError("A policy has a sealed secret, but ROUTER_SECRETS_KEY is not configured.")
        return box.open(token, f"{context}/{place.name}")

    return _copy(document, open_one)


def shown_secrets(document: Mapping[str, Any], previous: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of a policy for the answer to the very request that made it of `previous`: the secrets that this request
    carried as they were sent, the mask for every other one."""
    stored: set[str] = set()

    def remember(place: _Place, token: str) -> str:
        stored.add(token)
        return token

    _copy(previous or {}, remember)
    return _copy(document, lambda place, value: MASK if value in stored else value)


def redact_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a policy for answers, events and logs: each secret that is set reads as the mask."""
    return _copy(document, lambda place, value: MASK)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a secret stands: its path in the document, and the rule and field it belongs to."""

    path: tuple[str | int, ...]
    kind: str
    address: str
    name: str


_Change = Callable[[_Place, str], str]


def _copy(document: Mapping[str, Any], change: _Change) -> dict[str, Any]:
    copied: dict[str, Any] = _copy_any(document, (), change)
    return copied


def _copy_any(value: Any, path: tuple[str | int, ...], change: _Change) -> Any:
    if isinstance(value, list):
        return [_copy_any(item, (*path, number), change) for number, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    # What a static rule holds is the client's own data, whatever it looks like.
    copied = {
        name: item if kind == "static" and name == "value" else _copy_any(item, (*path, name), change)
        for name, item in value.items()
    }
    if isinstance(kind, str) and kind in _PLACES:
        holder_name, names, address = _PLACES[kind]
        holder = copied.get(holder_name)
        if isinstance(holder, dict):
            for name in names:
                if isinstance(holder.get(name), str):
                    place = _Place((*path, holder_name, name), kind, str(value.get(address)), name)
                    holder[name] = change(place, holder[name])
    return copied


def _stands_for(place: _Place, stored: Mapping[_Place, str]) -> str:
    """The stored secret that a mask at this place means: one that was for the same address, if that is plain."""
    if place in stored:
        return stored[place]
    found = {
        token
        for other, token in stored.items()
        if (other.kind, other.address, other.name) == (place.kind, place.address, place.name)
    }
    if len(found) == 1:
        return found.pop()
    raise _refused(
        "SecretMissing",
        f"'{MASK}' stands for a secret that is already stored; for this rule there is "
        + ("none: write the secret itself." if not found else "more than one: write the secret itself."),
        place,
    )


def _refused(code: str, message: str, place: _Place) -> BadRequest:
    field = ".".join(str(part) for part in place.path)
    return BadRequest(message, target=field, details=(ErrorDetail(code, message, field),))


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    # Imported here: most routers hold no secrets, and the package costs cold start.
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hashlib.sha512(b"job-router policy secrets" + key).digest())


def _decode_key(part: str, number: int) -> bytes:
    try:
        key = b64decode(part.strip(), validate=True)
    except (BadBase64, ValueError):
        raise ValueError(f"ROUTER_SECRETS_KEY: key {number} is not valid base64.") from None
    if len(key) != 32:
        raise ValueError(f"ROUTER_SECRETS_KEY: key {number} has {len(key)} bytes; 32 are needed.")
    return key
