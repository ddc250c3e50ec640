"""Text functions."""

from __future__ import annotations

import re
import urllib.parse
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import BudgetError, PowerFxError, join_errors
from router.rules.powerfx.functions.scalar import decimal, scalar, text
from router.rules.powerfx.types import BOOLEAN, DECIMAL, TEXT, one_column
from router.rules.powerfx.values import invalid

_SPACES: Final = re.compile(r"[^\S\xa0\n\v\f\r]+")
_WORD: Final = re.compile(r"[^\W\d_](?:[^\W_]|['’])*")


def _whole(number: Any) -> int:
    """A count that an argument gives; what is beyond any text is as good as the largest."""
    return int(max(min(number, 2**31 - 1), -(2**31)))


def _left(value: str, count: Any) -> Any:
    return invalid("the count is negative") if count < 0 else value[: _whole(count)]


def _right(value: str, count: Any) -> Any:
    if count < 0:
        return invalid("the count is negative")
    length = _whole(count)
    return value[max(len(value) - length, 0) :] if length else ""


def _mid(value: str, start: Any, count: Any = 2**31) -> Any:
    if start < 1 or count < 0:
        return invalid("the start or the count is out of range")
    first = _whole(start) - 1
    return value[first : first + _whole(count)]


def _find(part: str, value: str, start: Any = 1) -> Any:
    first = _whole(start)
    if not 1 <= first <= len(value) + 1:
        return invalid("the start is out of range")
    found = value.find(part, first - 1)
    return None if found < 0 else Decimal(found + 1)


def _replace(value: str, start: Any, count: Any, new: str) -> Any:
    if start < 1 or count < 0:
        return invalid("the start or the count is out of range")
    first, length = _whole(start) - 1, _whole(count)
    return value[:first] + new + value[first + length :]


def _upper(value: str) -> str:
    """Character by character, as .NET does it: no character becomes two."""
    if value.isascii():
        return value.upper()
    return "".join([char.upper() if len(char.upper()) == 1 else char for char in value])


def _lower(value: str) -> str:
    if value.isascii():
        return value.lower()
    return "".join([char.lower() if len(char.lower()) == 1 else char for char in value])


def _proper(value: str) -> str:
    return _WORD.sub(lambda match: _upper(match.group()[0]) + match.group()[1:], _lower(value))


def _trim(value: str) -> str:
    return _SPACES.sub(" ", value).strip()


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
    if instance is not None and instance < 1:
        return invalid("the instance is out of range")
    if not old:
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
        f.budget.rows(whole.count(part) + 1 if part else len(whole))
        pieces = whole.split(part) if part else list(whole)
        return [{"Value": piece} for piece in pieces]

    return Expr(one_column(TEXT), run, node)


_ONE: Final = [text()]
FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Len": scalar(_ONE, DECIMAL, lambda value: Decimal(len(value)), tables=True),
    "Lower": scalar(_ONE, TEXT, _lower, tables=True, cost=2),
    "Upper": scalar(_ONE, TEXT, _upper, tables=True, cost=2),
    "Proper": scalar(_ONE, TEXT, _proper, tables=True, cost=1),
    "Trim": scalar(_ONE, TEXT, _trim, tables=True, cost=2),
    "TrimEnds": scalar(_ONE, TEXT, str.strip, tables=True),
    "Left": scalar([text(), decimal()], TEXT, _left, tables=True),
    "Right": scalar([text(), decimal()], TEXT, _right, tables=True),
    "Mid": scalar([text(), decimal(), decimal()], TEXT, _mid, least=2, tables=True),
    "Find": scalar([text(), text(), decimal()], DECIMAL, _find, least=2, tables=True),
    "Replace": scalar([text(), decimal(), decimal(), text()], TEXT, _replace, tables=True),
    "Substitute": _plain_substitute,
    "Concatenate": scalar(_ONE, TEXT, lambda *parts: "".join(parts), least=1, repeat=True, tables=True),
    "StartsWith": scalar([text(), text()], BOOLEAN, lambda value, part: value.lower().startswith(part.lower())),
    "EndsWith": scalar([text(), text()], BOOLEAN, lambda value, part: value.lower().endswith(part.lower())),
    "Char": scalar([decimal()], TEXT, _char, tables=True),
    "UniChar": scalar([decimal()], TEXT, _unichar, tables=True),
    "EncodeUrl": scalar(_ONE, TEXT, lambda value: urllib.parse.quote(value, safe="-_.~"), cost=2),
    "Split": _split,
}
