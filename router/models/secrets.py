"""Secrets in policies: where they stand in a document. They are write-only, and whoever stores, renders or
restores one finds it through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from router.models.rules import SECRET_FIELDS

#: What an answer shows in place of a secret that is set. Sent back, it means: keep the one that is set.
MASK: Final = "********"


def map_secrets(document: dict[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    """The document with every secret replaced by `change(address, secret)`. The address is the URI that the
    secret is sent to and the field's name: two secrets of one address may stand for each other."""
    mapped: dict[str, Any] = _map(document, "", change)
    return mapped


def _map(value: Any, uri: str, change: Callable[[str, str], str]) -> Any:
    if isinstance(value, list):
        return [_map(item, uri, change) for item in value]
    if not isinstance(value, dict):
        return value
    # A function rule names its URI beside `credential`, a webhook rule the token server beside `clientCredential`.
    uri = value.get("functionUri") or value.get("authorizationServerUri") or uri
    return {
        key: change(f"{uri} {key}", item)
        if key in SECRET_FIELDS and isinstance(item, str)
        # `value` is data: a static rule's or a selector's.
        else (item if key == "value" else _map(item, uri, change))
        for key, item in value.items()
    }
