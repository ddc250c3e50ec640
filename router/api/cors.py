"""Cross-origin requests: which web pages may call the API from a browser. None, unless origins are set
(docs/behaviour.md, "Requests of web pages"; the protocol is that of the WHATWG Fetch standard)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_METHODS: Final = "GET, PATCH, POST, DELETE"
#: What a page may read beside the body.
_EXPOSED: Final = "ETag, Last-Modified, Location, Retry-After, x-ms-client-request-id, x-ms-error-code, x-ms-request-id"
_MAX_AGE_SECONDS: Final = "3600"
_ANY: Final = "*"
_NAMES: Final = re.compile(r"[A-Za-z0-9-]+(?:[ \t]*,[ \t]*[A-Za-z0-9-]+)*")
_LONGEST: Final = 2000


@dataclass(frozen=True)
class Cors:
    """`origins` as a browser writes them, in lower case; `*` is any. Cookies play no part: every request is signed
    or has a token, so that a page can do nothing that its user's key or token does not allow."""

    origins: frozenset[str] = frozenset()

    def headers(self, request: Mapping[str, str]) -> dict[str, str]:
        """What an answer has beside its own headers. Caches must keep the answers of origins apart."""
        if not self.origins:
            return {}
        allowed = self._allowed(request)
        if allowed is None:
            return {"vary": "Origin"}
        return {"vary": "Origin", "access-control-allow-origin": allowed, "access-control-expose-headers": _EXPOSED}

    def preflight(self, method: str, request: Mapping[str, str]) -> dict[str, str] | None:
        """The headers of the answer to a browser's question before the request; None where it is none, or where the
        answer is no."""
        allowed = self._allowed(request)
        if method != "OPTIONS" or allowed is None or not request.get("access-control-request-method"):
            return None
        headers = {
            "vary": "Origin",
            "access-control-allow-origin": allowed,
            "access-control-allow-methods": _METHODS,
            "access-control-max-age": _MAX_AGE_SECONDS,
        }
        # `*` would leave out Authorization: what is asked for is named.
        asked = request.get("access-control-request-headers", "").strip()
        if len(asked) <= _LONGEST and _NAMES.fullmatch(asked):
            headers["access-control-allow-headers"] = asked
        return headers

    def _allowed(self, request: Mapping[str, str]) -> str | None:
        origin = request.get("origin")
        if not origin:
            return None
        if _ANY in self.origins:
            return _ANY
        return origin if origin.lower() in self.origins else None
