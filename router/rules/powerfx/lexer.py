"""The lexer: lark drives it through the adapter in grammar.py. It knows the islands of `$"..{..}.."`."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from router.rules.powerfx.errors import PowerFxSyntaxError

# (terminal, value, start, end)
Lexeme = tuple[str, str, int, int]

_TOKEN = re.compile(
    r"""
      (?P<SPACE>[\s\u00a0]+ | //[^\r\n]* | /\*(?:[^*]|\*(?!/))*\*/)
    | (?P<NUMBER>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<WORD>[^\W\d]\w*)
    | (?P<TEXT>"[^"]*(?:""[^"]*)*")
    | (?P<QUOTED>'[^']*(?:''[^']*)*')
    | (?P<ISTART>\$")
    | (?P<PUNCT><>|<=|>=|&&|\|\||/(?!\*)|[-+*^%&=<>!.,:()\[\]{}])
    """,
    re.VERBOSE,
)
_PUNCTUATION = {
    "<>": "COMPARE", "<=": "COMPARE", ">=": "COMPARE", "<": "COMPARE", ">": "COMPARE", "=": "COMPARE",
    "&&": "AND", "||": "OR", "&": "AMP", "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "^": "CARET",
    "%": "PERCENT", "!": "NOT", ".": "DOT", ",": "COMMA", ":": "COLON", "(": "LPAR", ")": "RPAR",
    "[": "LSQB", "]": "RSQB", "{": "LBRACE", "}": "RBRACE",
}  # fmt: skip
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_MOST_OPEN = 300
_WORDS = {
    "true": "TRUE", "false": "FALSE", "in": "IN", "exactin": "IN", "And": "AND", "Or": "OR", "Not": "NOT",
    "As": "AS",
}  # fmt: skip
_RESERVED = frozenset(
    {
        "blank", "null", "empty", "none", "nothing", "undefined", "This", "Is", "Child", "Children", "Siblings",
        "Self", "Parent",
    }
)  # fmt: skip
_OPERAND_END = frozenset({"NUMBER", "IDENT", "TEXT", "TRUE", "FALSE", "RPAR", "RSQB", "RBRACE", "IEND", "PERCENT"})
_FOLLOWED_BY_PARENTHESIS = re.compile(r"\s*\(")
_ISLAND_TEXT = re.compile(r'(?:[^"{}]|""|\{\{|\}\})*')


def tokenise(text: str) -> Iterator[Lexeme]:
    """The lexemes of an expression, comments and white space left out."""
    position, end, previous, opened = 0, len(text), "", 0
    islands: list[int] = []  # open braces within each open island
    match_token = _TOKEN.match
    while position < end:
        match = match_token(text, position)
        if match is None:
            raise PowerFxSyntaxError("unexpected character", position, text)
        kind, value, start = match.lastgroup or "", match.group(), position
        position = match.end()
        if kind == "SPACE":
            continue
        if kind == "ISTART":
            yield "ISTART", value, start, position
            position, previous = yield from _text_part(text, position, islands)
            continue
        if kind == "PUNCT":
            kind = _PUNCTUATION[value]
            opened += _BRACKETS.get(value, 0)
            if opened > _MOST_OPEN:  # far more than any limit of depth lets through: stop early
                raise PowerFxSyntaxError("the expression is nested too deeply", start, text)
            if islands:
                if kind == "LBRACE":
                    islands[-1] += 1
                elif kind == "RBRACE":
                    if islands[-1] == 0:
                        islands.pop()
                        yield "ICLOSE", value, start, position
                        position, previous = yield from _text_part(text, position, islands)
                        continue
                    islands[-1] -= 1
        elif kind == "WORD":
            kind = _word(text, value, position, previous)
        elif kind == "TEXT":
            value = value[1:-1].replace('""', '"')
        elif kind == "QUOTED":
            kind, value = "IDENT", value[1:-1].replace("''", "'")
            if not value.strip():
                raise PowerFxSyntaxError("a name cannot be empty", start, text)
        yield kind, value, start, position
        previous = kind
    if islands:
        raise PowerFxSyntaxError("the interpolated text is not closed", end, text)


def _word(text: str, word: str, position: int, previous: str) -> str:
    kind = _WORDS.get(word)
    if kind is None:
        if word in _RESERVED:
            raise PowerFxSyntaxError(f"'{word}' is reserved", position - len(word), text)
        return "IDENT"
    if kind in ("AND", "OR") and previous not in _OPERAND_END and _FOLLOWED_BY_PARENTHESIS.match(text, position):
        return "IDENT"  # the functions And() and Or()
    return kind


def _text_part(text: str, position: int, islands: list[int]) -> Generator[Lexeme, None, tuple[int, str]]:
    """The literal text up to the next island or to the end of the interpolated text."""
    match = _ISLAND_TEXT.match(text, position)
    assert match is not None
    if match.end() > position:
        value = match.group().replace('""', '"').replace("{{", "{").replace("}}", "}")
        yield "ITEXT", value, position, match.end()
        position = match.end()
    following = text[position : position + 1]
    if following == '"':
        yield "IEND", following, position, position + 1
        return position + 1, "IEND"
    if following == "{":
        islands.append(0)
        yield "IOPEN", following, position, position + 1
        return position + 1, "IOPEN"
    raise PowerFxSyntaxError("unexpected end or brace in an interpolated text", position, text)
