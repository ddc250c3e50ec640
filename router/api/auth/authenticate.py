"""Who is asking: the one gate in front of every operation, for access keys and for Entra ID tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from router.api.auth.entra import EntraTokens
from router.api.auth.hmac import SCHEME as HMAC_SCHEME
from router.api.auth.hmac import AccessKeys, check_body
from router.api.auth.refusal import Unauthorized
from router.models.history import Actor
from router.models.rights import Right, rights_of_roles
from router.offload import by_size

EVERYTHING: Final = frozenset({Right.ADMIN})
_READING: Final = frozenset({Right.READ})


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `id` is stable and safe to log: `key:0`, `key:1`, from `key:2` on those that only read,
    or `entra:<object id>`."""

    kind: Literal["key", "entra"]
    key_index: int | None = None
    subject: str | None = None
    rights: frozenset[Right] = EVERYTHING
    #: Of a token: the user, or the application, that it speaks for.
    object_id: str | None = None
    #: The path and query that the caller has signed; None for a bearer token, which signs nothing.
    signed: str | None = None
    #: The hash of the body that the caller has signed.
    content_hash: str | None = None

    @property
    def id(self) -> str:
        return f"key:{self.key_index}" if self.kind == "key" else f"entra:{self.subject}"

    @property
    def actor(self) -> Actor:
        """As the history names it: which key, never its value; which principal."""
        if self.kind == "key":
            index = self.key_index or 0
            return Actor("key", "reading" if self.rights == _READING else _KEY_NAMES[index])
        return Actor("entra", self.subject or "")


_KEY_NAMES: Final = ("primary", "secondary")


class Authenticator:
    """Accepts access keys, and bearer tokens where a tenant and audience are configured. `roles_required`: a token
    without one of the router's roles may do nothing, else everything."""

    def __init__(
        self, access_keys: AccessKeys | None, entra: EntraTokens | None = None, *, roles_required: bool = False
    ) -> None:
        if access_keys is None and entra is None:
            raise ValueError("Neither access keys nor an Entra ID tenant are configured: nobody could call.")
        self._access_keys = access_keys
        self._entra = entra
        self._without_role: frozenset[Right] = frozenset() if roles_required else EVERYTHING
        schemes = [("HMAC-SHA256", access_keys), ("Bearer", entra)]
        self._challenge = ", ".join(name for name, configured in schemes if configured is not None)

    async def authenticate(
        self,
        method: str,
        target: str,
        raw_target_known: bool,
        headers: Mapping[str, str],
        now: datetime,
        sent_paths: Sequence[str] = (),
    ) -> Caller:
        """Who has signed this, or whose token it is; Unauthorized (401) otherwise. `headers` takes lower-case names;
        `sent_paths` are what route.py tells. The body is not looked at: `check_body` must follow before it is read."""
        authorization = headers.get("authorization", "")
        scheme = authorization.partition(" ")[0].lower()
        try:
            if scheme == HMAC_SCHEME and self._access_keys is not None:
                found = self._access_keys.signed(method, target, raw_target_known, headers, now, sent_paths)
                rights = _READING if self._access_keys.only_reads(found.key_index) else EVERYTHING
                return Caller(
                    "key", found.key_index, signed=found.target, content_hash=found.content_hash, rights=rights
                )
            if scheme == "bearer" and self._entra is not None:
                token = await self._entra.verify(authorization[7:].strip(), now)
                rights = rights_of_roles(token.roles) or self._without_role
                return Caller("entra", subject=token.subject, rights=rights, object_id=token.object_id)
        except Unauthorized as refusal:
            raise self._told(refusal) from None
        if not scheme:
            reason, said = "MissingCredentials", "The request has no Authorization header."
        else:
            reason, said = "UnsupportedScheme", "The scheme of the Authorization header is not accepted here."
        raise Unauthorized(reason, f"{said} Accepted: {self._challenge}.", challenge=self._challenge)

    async def check_body(self, caller: Caller, body: bytes) -> None:
        """Unauthorized where the body is not the one that the caller has signed. A token signs none."""
        if caller.content_hash is None:
            return
        try:
            # Of a megabyte this takes milliseconds.
            await by_size(len(body), check_body, caller.content_hash, body)
        except Unauthorized as refusal:
            raise self._told(refusal) from None

    def _told(self, refusal: Unauthorized) -> Unauthorized:
        return Unauthorized(refusal.reason, refusal.message, challenge=self._challenge)
