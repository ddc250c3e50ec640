"""Content codings that a request allows (RFC 9110 section 12.5.3)."""

from __future__ import annotations

import re
from typing import Final

_NOT: Final = re.compile(r"\s*q=0(?:\.0*)?\s*")


def takes_gzip(accepted: str) -> bool:
    """Whether this header Accept-Encoding allows gzip; what is named counts before `*`."""
    weights = {}
    for one in accepted.lower().split(","):
        name, _, weight = one.partition(";")
        weights[name.strip()] = weight
    named = weights.get("gzip", weights.get("*"))
    return named is not None and not _NOT.fullmatch(named)
