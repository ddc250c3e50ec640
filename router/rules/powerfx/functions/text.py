"""Text functions."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import nodes, utf16
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import BudgetError, PowerFxError, join_errors
from router.rules.powerfx.functions.scalar import decimal, scalar, text
from router.rules.powerfx.reading import WHITE
from router.rules.powerfx.types import BOOLEAN, DECIMAL, TEXT, one_column
from router.rules.powerfx.values import invalid

_SPACES: Final = re.compile(r"[^\S\xa0\n\v\f\r\x1c-\x1f]+")
_WORD: Final = re.compile(r"[^\W\d_](?:[^\W_]|['’])*")


def _whole(number: Any) -> int:
    """A count that an argument gives; what is beyond any text is as good as the largest."""
    return int(max(min(number, 2**31 - 1), -(2**31)))


def _left(value: str, count: Any) -> Any:
    length = _whole(count)
    return invalid("the count is negative") if length < 0 else utf16.cut(value, 0, length)


def _right(value: str, count: Any) -> Any:
    length = _whole(count)
    if length < 0:
        return invalid("the count is negative")
    return utf16.cut(value, max(utf16.length(value) - length, 0))


def _mid(value: str, start: Any, count: Any = 2**31) -> Any:
    wrong = [name for name, is_wrong in (("start", start <= 0), ("count", count < 0)) if is_wrong]
    if wrong:
        return join_errors(invalid(f"the {name} is out of range") for name in wrong)
    first = _whole(start) - 1
    if first < 0 and value:
        return invalid("the start is out of range")
    return utf16.cut(value, first, first + _whole(count)) if value else ""


def _find(part: str, value: str, start: Any = 1) -> Any:
    first = _whole(start)
    if not 1 <= first <= utf16.length(value) + 1:
        return invalid("the start is out of range")
    found = utf16.find(part, value, first - 1)
    return None if found < 0 else Decimal(found + 1)


def _replace(value: str, start: Any, count: Any, new: str) -> Any:
    if start < 1 or count < 0:
        return invalid("the start or the count is out of range")
    first, length = _whole(start) - 1, _whole(count)
    return utf16.cut(value, 0, first) + new + utf16.cut(value, first + length)


def _upper(value: str) -> str:
    """Character by character, as .NET does it: no character becomes two."""
    if value.isascii():
        return value.upper()
    return "".join([char.upper() if len(char.upper()) == 1 else char for char in value])


def _lower(value: str) -> str:
    if value.isascii():
        return value.lower()
    return "".join([char.lower()[0] for char in value])


def _proper(value: str) -> str:
    return _WORD.sub(lambda match: _title(match.group()[0]) + match.group()[1:], _lower(value))


def _title(char: str) -> str:
    if not char.isalpha():
        return char
    return char.title() if unicodedata.category(char.title()[0]) == "Lt" else _upper(char)


def _trim(value: str) -> str:
    return _SPACES.sub(" ", value).strip(WHITE)


def _char(code: Any) -> Any:
    number = int(code)
    if not 1 <= number <= 255:
        return invalid("the code is out of range")
    return chr(number)


def _unichar(code: Any) -> Any:
    number = _whole(code)
    if not 1 <= number <= 0x10FFFF:
        return invalid("the code is out of range")
    if 0xD800 <= number <= 0xDFFF:
        return PowerFxError("NotApplicable", "the code is no character")
    return chr(number)


def _substituted(value: str, old: str, new: str, instance: Any = None) -> Any:
    if instance is not None and instance <= 0:
        return invalid("the instance is out of range")
    if not old or (instance is not None and instance < 1):
        return value
    if instance is None:
        if len(value) + value.count(old) * max(len(new) - len(old), 0) > _LONGEST:
            raise BudgetError("a text in the expression grows too long")
        return value.replace(old, new)
    position = -len(old)
    for _ in range(min(_whole(instance), len(value) + 1)):
        position = value.find(old, position + len(old))
        if position < 0:
            return value
    return value[:position] + new + value[position + len(old) :]


_LONGEST: Final = 1_000_000
_plain_substitute = scalar([text(), text(), text(), decimal()], TEXT, _substituted, least=3, tables=True)


def _split(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    value, separator = (compiler.compile_as(arg, scope, TEXT).run for arg in node.args)

    def run(f: Frame) -> Any:
        whole, part = value(f), separator(f)
        errors = [found for found in (whole, part) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        whole, part = whole or "", part or ""
        f.budget.spend(len(whole) >> 6)
        f.budget.rows(whole.count(part) + 1 if part else utf16.length(whole))
        pieces = whole.split(part) if part else utf16.units(whole)
        return [{"Value": piece} for piece in pieces]

    return Expr(one_column(TEXT), run, node)


_ONE: Final = [text()]
_ONE_TEXT: Final = [text(exact=True)]
FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Len": scalar(_ONE, DECIMAL, lambda value: Decimal(utf16.length(value)), tables=True),
    "Lower": scalar(_ONE_TEXT, TEXT, _lower, tables=True, cost=2),
    "Upper": scalar(_ONE_TEXT, TEXT, _upper, tables=True, cost=2),
    "Proper": scalar(_ONE_TEXT, TEXT, _proper, tables=True, cost=1),
    "Trim": scalar(_ONE_TEXT, TEXT, _trim, tables=True, cost=2),
    "TrimEnds": scalar(_ONE_TEXT, TEXT, lambda value: value.strip(WHITE), tables=True),
    "Left": scalar([text(), decimal()], TEXT, _left, tables=True),
    "Right": scalar([text(), decimal()], TEXT, _right, tables=True),
    "Mid": scalar([text(), decimal(), decimal()], TEXT, _mid, least=2, tables=True),
    "Find": scalar([text(), text(), decimal()], DECIMAL, _find, least=2, tables=True),
    "Replace": scalar([text(exact=True), decimal(), decimal(), text()], TEXT, _replace, tables=True),
    "Substitute": _plain_substitute,
    "Concatenate": scalar(_ONE, TEXT, lambda *parts: "".join(parts), least=1, repeat=True, tables=True),
    "StartsWith": scalar([text(), text()], BOOLEAN, lambda value, part: value.lower().startswith(part.lower())),
    "EndsWith": scalar([text(), text()], BOOLEAN, lambda value, part: value.lower().endswith(part.lower())),
    "Char": scalar([decimal()], TEXT, _char, tables=True),
    "UniChar": scalar([decimal()], TEXT, _unichar, tables=True),
    "EncodeUrl": scalar(_ONE, TEXT, lambda value: urllib.parse.quote(value, safe="-_.~"), cost=2),
    "Split": _split,
}
