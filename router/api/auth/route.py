"""What a client may have sent as the path, told from the route values that the Functions host hands over.

The host decodes a path once, but leaves `%2F` and bytes that are no UTF-8 as they came, and hands over an address that
it has rebuilt from that. Route values are the decoded text itself, so they tell every id but these: `%2F` in one is a
slash that was sent as `%2F`, or the text `%2F` that was sent as `%252F`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final
from urllib.parse import quote

_SLASH: Final = re.compile("%2[Ff]")
_UNSURE: Final = re.compile("%(?:2[Ff]|[89A-Fa-f][0-9A-Fa-f])")
#: Of slashes in one path whose readings are tried in every combination; beyond that all are read alike.
_COMBINED: Final = 3


def is_unsure(value: str) -> bool:
    """Whether a route value could have been sent as two different ids."""
    return _UNSURE.search(value) is not None


def sent_paths(route: str, path: str, values: Mapping[str, str], leaves: Sequence[str]) -> list[str]:
    """The paths that clients may have sent for these route values, the likeliest reading first. `route` is the
    function's template, `path` what the host rebuilt, `leaves` the characters that each client leaves unescaped."""
    given, wanted = path.removeprefix("/").removesuffix("/").split("/"), route.split("/")
    if len(given) != len(wanted):
        return []
    texts: list[tuple[str, str, str]] = []  # what is encoded, what stands behind it, what stands there as it is
    for segment, part in zip(given, wanted, strict=True):
        name, brace, action = part.removeprefix("{").partition("}")
        if brace and name not in values:
            return []
        texts.append((values[name], action, "") if brace else ("", "", segment))
    tail = "/" if path.endswith("/") else ""
    found = []
    for reading in _readings([text for text, _, _ in texts]):
        for left in leaves:
            segments = (
                literal or quote(text, safe=left) + action
                for text, (_, action, literal) in zip(reading, texts, strict=True)
            )
            found.append("/" + "/".join(segments) + tail)
    return found


def _readings(texts: Sequence[str]) -> list[list[str]]:
    """Each `%2F` as a slash and as itself."""
    count = sum(len(_SLASH.findall(text)) for text in texts)
    if count == 0:
        return [list(texts)]
    choices = product((True, False), repeat=count) if count <= _COMBINED else ((True,) * count, (False,) * count)
    return [_read(texts, iter(choice)) for choice in choices]


def _read(texts: Sequence[str], as_slash: Iterator[bool]) -> list[str]:
    return [_SLASH.sub(lambda match: "/" if next(as_slash) else match[0], text) for text in texts]
