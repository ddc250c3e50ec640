"""Values without a static type: JSON, and labels. They become what the place asks for, at run time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import decimals, reading, values
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.values import Convert, JsonNumber, invalid


def _wide(value: Decimal) -> Any:
    try:
        return decimals.fit(value)
    except decimals.TooLarge:
        return invalid("the number is too large for a decimal")


def to_decimal(value: Any) -> Any:
    if value.__class__ is JsonNumber:
        return _wide(value.number)
    return values.to_decimal(value) if _is_scalar(value) else invalid("a number is expected")


def to_float(value: Any) -> Any:
    if value.__class__ is JsonNumber:
        number = float(value.number)
        return number if abs(number) != float("inf") else invalid("the number is too large")
    return values.to_float(value) if _is_scalar(value) else invalid("a number is expected")


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, bool, float, Decimal, date, timedelta, PowerFxError, EnumValue))


def to_text(value: Any) -> Any:
    return value.text if value.__class__ is JsonNumber else values.to_text(value)


def to_boolean(value: Any) -> Any:
    return value.number != 0 if value.__class__ is JsonNumber else values.to_boolean(value)


def json_to_datetime(value: Any) -> Any:
    if value is None or value.__class__ is PowerFxError:
        return value
    found = reading.json_moment(value) if value.__class__ is str else None
    return invalid("the JSON value is not a date") if found is None else found


def json_to_date(value: Any) -> Any:
    found = json_to_datetime(value)
    return found.date() if found.__class__ is datetime else found


def json_to_time(value: Any) -> Any:
    if value is None or value.__class__ is PowerFxError:
        return value
    found = reading.json_time(value) if value.__class__ is str else None
    return invalid("the JSON value is not a time") if found is None else found


def to_record(value: Any) -> Any:
    if value is None or value.__class__ is PowerFxError or value.__class__ is dict:
        return value
    return dict(value) if isinstance(value, Mapping) else invalid("a record is expected")


def to_table(value: Any) -> Any:
    """A list as a table; a list of plain values gets the column `Value`."""
    if value is None or value.__class__ is PowerFxError:
        return value
    if value.__class__ is not list:
        return invalid("a table is expected")
    if all(row is None or isinstance(row, (Mapping, PowerFxError)) for row in value):
        return [row if row is None or row.__class__ is PowerFxError else to_record(row) for row in value]
    return [{"Value": values.from_context(row)} for row in value]


_FROM_JSON: Final[dict[str, Convert]] = {
    "Decimal": to_decimal,
    "Number": to_float,
    "Text": to_text,
    "Boolean": to_boolean,
    "Date": json_to_date,
    "DateTime": json_to_datetime,
    "Time": json_to_time,
    "Guid": values.to_guid,
}
_FROM_ANY: Final[dict[str, Convert]] = {
    **_FROM_JSON,
    "Date": values.to_date,
    "DateTime": values.to_datetime,
    "Time": values.to_time,
    "Record": to_record,
    "Table": to_table,
}


def converter(source: str, target: str) -> Convert | None:
    """The conversion of a Dynamic or Any value into a kind; None if there is none."""
    return (_FROM_JSON if source == "Dynamic" else _FROM_ANY).get(target)


def field_of_json(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if value is None or value.__class__ is PowerFxError:
        return value
    return invalid(f"the JSON value has no field '{name}'")


def field_of_label(value: Any, name: str) -> Any:
    """A label; a missing one is blank, and so is any field of a blank."""
    if value.__class__ is dict or isinstance(value, Mapping):
        return values.from_context(value.get(name))
    if value is None or value.__class__ is PowerFxError:
        return value
    return invalid(f"there is no field '{name}' in a value that is not a record")


def comparable(left: Any, right: Any) -> bool:
    """Are two values equal, of which at least one is a label? Different kinds compare by value where
    one can be read as the other (`"5"` and 5, `"true"` and true), and are different where not."""
    if left is None or right is None:
        return left is None and right is None
    left, right = values.from_context(left), values.from_context(right)
    if left.__class__ is right.__class__:
        return bool(left == right)
    order: tuple[tuple[tuple[type, ...], Convert], ...] = (
        ((bool,), values.to_boolean),
        ((Decimal, float), to_decimal),
        ((datetime, date), values.to_datetime),
        ((timedelta,), values.to_time),
        ((str,), values.to_text),
    )
    for kinds, convert in order:
        if isinstance(left, kinds) or isinstance(right, kinds):
            a, b = convert(left), convert(right)
            return a.__class__ is not PowerFxError and b.__class__ is not PowerFxError and bool(a == b)
    return bool(left == right)
