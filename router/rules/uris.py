"""Which URIs rules may name: the same when a policy is saved and when a rule is called."""

from __future__ import annotations

from typing import Final

MAX_URI: Final = 2048
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_secure(scheme: str, host: str | None, *, http_on_loopback: bool) -> bool:
    """https, or plain http to loopback where that is allowed (ROUTER_RULES_ALLOW_HTTP_LOOPBACK)."""
    return scheme == "https" or (scheme == "http" and http_on_loopback and host in _LOOPBACK_NAMES)
