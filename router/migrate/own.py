"""What in a document is the client's own, whatever its names look like: labels, tags, the value of a static rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OWN_MAPS: Final = frozenset({"labels", "tags", "labelsToUpsert"})


def is_own(holder: Mapping[str, Any], name: str) -> bool:
    """Whether what stands there is the client's own: no default, time, secret or selector of the service's."""
    return name in OWN_MAPS or is_static_value(holder, name)


def is_static_value(holder: Mapping[str, Any], name: str) -> bool:
    return name == "value" and holder.get("kind") == "static"
