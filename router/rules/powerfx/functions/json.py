"""JSON and ParseJSON."""

from __future__ import annotations

import json
import re
import struct
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import BudgetError, PowerFxError, join_errors
from router.rules.powerfx.types import DYNAMIC, TEXT, enum
from router.rules.powerfx.values import JsonNumber, float_text, from_context, invalid, time_as_moment

_FORMAT: Final = enum("JSONFormat")
_DEEPEST: Final = 20
_DEEPEST_READ: Final = 64
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{}\]]')
_SHORT: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_ESCAPED = re.compile(
    r'["\\\x00-\x1f\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff\U00010000-\U0010ffff]'
)


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if ord(char) > 0xFFFF:
        return "".join(f"\\u{unit:04X}" for unit in struct.unpack(">2H", char.encode("utf-16-be")))
    return _SHORT.get(char) or f"\\u{ord(char):04X}"


class _TooDeep(Exception):
    """The value is nested too deeply to be written."""


class _Writer:
    """Writes a value as JSON text, with its fields in alphabetical order."""

    def __init__(self, indent: bool, flatten: bool, f: Frame) -> None:
        self.indent = "    " if indent else ""
        self.flatten = flatten
        self.frame = f
        self.length = 0

    def write(self, value: Any, depth: int) -> str:
        text = self._text(value, depth)
        self.length += len(text)
        if self.length > 4096:
            self.frame.budget.text(self.length)
            self.length = 0
        return text

    def _text(self, value: Any, depth: int) -> str:
        if depth > _DEEPEST:
            raise _TooDeep
        if value.__class__ is JsonNumber:
            return str(value.text)
        if value.__class__ is float or value.__class__ is EnumValue:
            return _scalar(value)
        value = from_context(value)
        if value is None:
            return "null"
        if isinstance(value, (Mapping, list)):
            self.frame.budget.spend(2 + 2 * len(value))
        if isinstance(value, Mapping):
            names = sorted(value)
            pairs = [
                f'"{_ESCAPED.sub(_escape, name)}":{" " if self.indent else ""}{self.write(value[name], depth + 1)}'
                for name in names
            ]
            return self._wrapped("{", "}", pairs, depth)
        if value.__class__ is list:
            flat = self.flatten and all(
                row is None or (isinstance(row, Mapping) and set(row) == {"Value"}) for row in value
            )
            rows = [row.get("Value") if flat and row is not None else row for row in value]
            return self._wrapped("[", "]", [self.write(row, depth + 1) for row in rows], depth)
        return _scalar(value)

    def _wrapped(self, opening: str, closing: str, parts: list[str], depth: int) -> str:
        if not parts or not self.indent:
            return opening + ",".join(parts) + closing
        inner = "\n" + self.indent * (depth + 1)
        return f"{opening}{inner}{(',' + inner).join(parts)}\n{self.indent * depth}{closing}"


def _scalar(value: Any) -> str:
    cls = value.__class__
    if cls is bool:
        return "true" if value else "false"
    if cls is Decimal:
        return format(value, "f") if abs(value.adjusted()) < 40 else str(value)
    if cls is float:
        return str(float_text(value))
    if cls is EnumValue:
        return _scalar(value.value)
    if cls is datetime:
        return f'"{value.isoformat(timespec="milliseconds")}Z"'
    if cls is date:
        return f'"{value.year:04d}-{value.month:02d}-{value.day:02d}"'
    if cls is timedelta:
        return f'"{time_as_moment(value).time().isoformat(timespec="milliseconds")}"'
    if cls is uuid.UUID:
        return f'"{value}"'
    return '"' + _ESCAPED.sub(_escape, str(value)) + '"'


def _errors(value: Any) -> list[PowerFxError]:
    """The errors within a record or a table, in the order of writing."""
    found: list[PowerFxError] = []
    open_values = [value]
    while open_values:
        current = open_values.pop()
        if current.__class__ is PowerFxError:
            found.append(current)
        elif current.__class__ is dict:
            open_values.extend(current[name] for name in sorted(current, reverse=True))
        elif current.__class__ is list:
            open_values.extend(reversed(current))
    return found


def _json(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 2)
    arg = compiler.compile(node.args[0], scope)
    style = ""
    if len(node.args) > 1:
        given = compiler.compile_as(node.args[1], scope, _FORMAT)
        if not given.is_constant:
            raise compiler.error(node.args[1], "JSONFormat must be a constant value")
        style = str(given.constant.value)
    if "G" in style and "B" in style:
        raise compiler.error(node.args[1], "binary data cannot be both included and ignored")
    run_value = arg.run

    def run(f: Frame) -> Any:
        value = run_value(f)
        errors = _errors(value)
        if errors:
            return join_errors(errors)
        try:
            text = _Writer("4" in style, "_" in style, f).write(value, 0)
        except _TooDeep:
            return invalid("the value is nested too deeply")
        f.budget.text(len(text))
        return text

    return Expr(TEXT, run, node)


def _number(text: str) -> JsonNumber:
    return JsonNumber(text, Decimal(text))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse)


def read_json(text: str, f: Frame) -> Any:
    """The value of a JSON text; numbers are exact, whatever their size."""
    limits = f.budget.limits
    if len(text) > limits.json_length:
        raise BudgetError("the JSON is too long")
    f.budget.spend(60 + len(text))
    depth = _depth(text)
    if depth > _DEEPEST_READ:
        return PowerFxError("InvalidJSON", "the JSON is nested too deeply")
    if depth > limits.json_depth:
        raise BudgetError("the JSON is nested too deeply")
    try:
        return _DECODER.decode(text)
    except (ValueError, ArithmeticError, RecursionError):
        return PowerFxError("InvalidJSON", "the text is not valid JSON")


def _depth(text: str) -> int:
    """How deep the brackets outside of texts are nested."""
    deepest = depth = 0
    for char in _BRACKETS.findall(text):
        if char in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif char in ("]", "}"):
            depth -= 1
    return deepest


def _parse_json(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    run_text = compiler.compile_as(node.args[0], scope, TEXT).run

    def run(f: Frame) -> Any:
        text = run_text(f)
        if text is None or text.__class__ is PowerFxError:
            return text
        return read_json(text, f)

    return Expr(DYNAMIC, run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {"JSON": _json, "ParseJSON": _parse_json}
