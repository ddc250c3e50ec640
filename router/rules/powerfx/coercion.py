"""Which types become which, at compile time; the conversions themselves are in values.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.rules.powerfx import dynamic, values
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.types import AGGREGATE, ANY, UNTYPED, Type
from router.rules.powerfx.values import Convert

_NUMBERS: Final = {"Decimal": values.to_decimal, "Number": values.to_float}
_SCALARS: Final[dict[str, dict[str, Convert]]] = {
    "Decimal": {
        "Number": values.to_float, "Text": values.to_text, "Boolean": values.to_boolean, "Date": values.to_date,
        "DateTime": values.to_datetime, "Time": values.to_time,
    },
    "Number": {
        "Decimal": values.to_decimal, "Text": values.to_text, "Boolean": values.to_boolean,
        "Date": values.to_date, "DateTime": values.to_datetime, "Time": values.to_time,
    },
    "Text": {
        **_NUMBERS, "Boolean": values.to_boolean, "Date": values.to_date, "DateTime": values.to_datetime,
        "Time": values.to_time, "Guid": values.to_guid,
    },
    "Boolean": {**_NUMBERS, "Text": values.to_text},
    "Date": {**_NUMBERS, "Text": values.to_text, "DateTime": values.to_datetime, "Time": values.to_time},
    "DateTime": {**_NUMBERS, "Text": values.to_text, "Date": values.to_date, "Time": values.to_time},
    "Time": {**_NUMBERS, "Text": values.to_text, "Date": values.to_date, "DateTime": values.to_datetime},
    "Guid": {"Text": values.to_text},
}  # fmt: skip
_ENUMS_WITH_TEXT: Final = frozenset({"Match", "DateTimeFormat", "SortOrder", "ErrorKind", "TimeUnit", "StartOfWeek"})
ENUMS_WITH_NUMBERS: Final = frozenset({"ErrorKind", "StartOfWeek"})


def _same(value: Any) -> Any:
    return value


def _number_to_boolean(value: Any) -> Any:
    return values.to_boolean(values.to_decimal(value))


def converter(source: Type, target: Type) -> Convert | None:
    """The function that makes a value of `target` out of one of `source`; None if types do not fit."""
    kind, wanted = source.kind, target.kind
    if kind == "Blank" or wanted in UNTYPED or source is target:
        return _same
    if kind in UNTYPED:
        return dynamic.converter(kind, wanted) or (_same if kind == wanted else None)
    if kind in AGGREGATE:
        return _aggregate(source, target) if kind == wanted else None
    if kind == "Enum":
        if wanted == "Enum":
            return _same if source.enum == target.enum else None
        if source.enum in ENUMS_WITH_NUMBERS and wanted in ("Decimal", "Number", "Boolean"):
            return _number_to_boolean if wanted == "Boolean" else _NUMBERS[wanted]
        return values.to_text if wanted == "Text" and source.enum in _ENUMS_WITH_TEXT else None
    if wanted == "Enum":
        return None
    return _same if kind == wanted else _SCALARS[kind].get(wanted)


def _aggregate(source: Type, target: Type) -> Convert | None:
    fields = _fields(source, target)
    if fields is None:
        return None
    if not fields and source.columns.keys() == target.columns.keys():
        return _same
    names = tuple(target.columns)

    def convert_record(value: Any) -> Any:
        if value is None or value.__class__ is PowerFxError:
            return value
        made = {name: value.get(name) for name in names}
        for name, convert in fields.items():
            made[name] = convert(made[name])
        return made

    if source.kind == "Record":
        return convert_record

    def convert_table(value: Any) -> Any:
        return [convert_record(row) for row in value] if value.__class__ is list else value

    return convert_table


def _fields(source: Type, target: Type) -> Mapping[str, Convert] | None:
    """The conversions of the columns that both have; None if one of them does not fit."""
    found: dict[str, Convert] = {}
    for name, wanted in target.columns.items():
        given = source.columns.get(name)
        if given is None:
            continue
        convert = converter(given, wanted)
        if convert is None:
            return None
        if convert is not _same:
            found[name] = convert
    return found


def is_identity(convert: Convert) -> bool:
    return convert is _same


def unify(first: Type, other: Type) -> Type | None:
    """The type of a value that may be of either; the first one leads. None if they do not agree."""
    if first == other or other.kind == "Blank":
        return first
    if first.kind == "Blank":
        return other
    if first.kind == "Any" or other.kind == "Any":
        return ANY
    if first.kind in AGGREGATE:
        return _unify_columns(first, other) if first.kind == other.kind else None
    return first if converter(other, first) is not None else None


def _unify_columns(first: Type, other: Type) -> Type | None:
    if first.enum != other.enum:  # a system record does not mix with others
        return None
    fields = dict(first.columns)
    for name, given in other.columns.items():
        known = fields.get(name)
        agreed = given if known is None else unify(known, given)
        if agreed is None:
            return None
        fields[name] = agreed
    return Type(first.kind, fields, first.enum)
