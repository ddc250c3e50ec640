"""Text as .NET counts it: in units of UTF-16, of which a character such as an emoji has two.

Half a character is never part of an answer: U+FFFD, the replacement character, stands in its place.
"""

from __future__ import annotations

import re
from typing import Final

_LARGE: Final = re.compile("[\U00010000-\U0010ffff]")


def _pair(match: re.Match[str]) -> str:
    code = ord(match.group()) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))


def _spread(text: str) -> str:
    """The text with two surrogates for each large character."""
    return text if text.isascii() else _LARGE.sub(_pair, text)


def _joined(spread: str) -> str:
    return spread.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Not by way of surrogates: of a long text, Python encodes these one by one without letting anybody else run.
def length(text: str) -> int:
    return len(text) if text.isascii() else len(_encoded(text)) // 2


def cut(text: str, start: int, end: int | None = None) -> str:
    """The units from `start` up to `end`, neither of which is negative."""
    if text.isascii():
        return text[start:end]
    encoded = _encoded(text)
    if len(encoded) == 2 * len(text):
        return text[start:end]
    return encoded[2 * start : None if end is None else 2 * end].decode("utf-16-le", "replace")


def _encoded(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def find(part: str, text: str, start: int) -> int:
    """Where a text is found at or after a unit, or -1."""
    return _spread(text).find(_spread(part), start)


def units(text: str) -> list[str]:
    spread = _spread(text)
    return list(spread if spread is text else "".join(_joined(unit) for unit in spread))
