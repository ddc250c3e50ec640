"""EncodeHTML and PlainText."""

from __future__ import annotations

import html
import re
from html.entities import name2codepoint
from typing import Final

from router.rules.powerfx.compiler import FunctionCompiler
from router.rules.powerfx.functions.scalar import scalar, text
from router.rules.powerfx.reading import WHITE
from router.rules.powerfx.types import TEXT

_ENTITIES: Final = {
    **{code: f"&#{code};" for code in (ord("'"), *range(0xA0, 0x100))},
    ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;",
}  # fmt: skip
_LARGE: Final = re.compile("[\U00010000-\U0010ffff]")
_LINE: Final = "\r\n"
_HIDDEN: Final = re.compile(r"<!--|<\s*(header|script|style)[^>]*>", re.IGNORECASE)
_END_OF: Final = {
    "": re.compile(r"--\s*>"),
    **{name: re.compile(rf"<\s*/\s*{name}\s*>", re.IGNORECASE) for name in ("header", "script", "style")},
}
_ENTITY: Final = re.compile("&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,9});")
_TAG: Final = re.compile(r"<(?:\s*(td|br|li|div|p|tr))?[^>]*>", re.IGNORECASE)
_BREAKS: Final = {"br": _LINE, "li": _LINE, "div": _LINE * 2, "p": _LINE * 2, "tr": _LINE * 2}


def _encoded(value: str) -> str:
    return _LARGE.sub(lambda match: f"&#{ord(match.group())};", value.translate(_ENTITIES))


def _plain(value: str) -> str:
    """The text of HTML. Every pattern here finds the `>` it looks for, so that the time is linear."""
    end = value.rfind(">") + 1
    shown = _TAG.sub(lambda match: _BREAKS.get((match[1] or "").lower(), ""), _without_hidden(value[:end]))
    return _ENTITY.sub(_decoded, shown + value[end:]).strip(WHITE)


def _decoded(match: re.Match[str]) -> str:
    """An entity with its semicolon: a number, or one of the names of HTML 4."""
    name = match[1]
    return html.unescape(match.group()) if name[0] == "#" or name in name2codepoint or name == "apos" else match.group()


def _without_hidden(value: str) -> str:
    """Without comments and the elements that are never shown. What is not closed stays."""
    kept: list[str] = []
    done = at = 0
    open_ended: set[str] = set()
    while match := _HIDDEN.search(value, at):
        name = (match[1] or "").lower()
        closing = None if name in open_ended else _END_OF[name].search(value, match.end())
        if closing is None:
            open_ended.add(name)
            at = match.end()
            continue
        kept.append(value[done : match.start()])
        done = at = closing.end()
    return "".join([*kept, value[done:]])


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "EncodeHTML": scalar([text()], TEXT, _encoded, cost=0),
    "PlainText": scalar([text()], TEXT, _plain, cost=0),
}
