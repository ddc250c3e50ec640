"""Writes a result, or an error, as the case file has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from router.rules.powerfx import PowerFxError, PowerFxSyntaxError


def render(value: Any) -> str:
    if value is None:
        return "Blank()"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        text = format(value, "f")
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-0", "0") if not value else _plain(text)
    if isinstance(value, (int, float)):
        return f"{value:.12g}"
    if isinstance(value, str):
        return '"' + value.replace('"', '""').replace("\n", "\\n") + '"'
    if isinstance(value, datetime):
        return f"DateTime {value.isoformat(sep=' ')}"
    if isinstance(value, date):
        return f"Date {value.isoformat()}"
    if isinstance(value, time):
        return f"Time {value.isoformat()}"
    if isinstance(value, UUID):
        return f"GUID {value}"
    if isinstance(value, PowerFxSyntaxError):
        return f"syntax {value.position[0]}:{value.position[1]}"
    if isinstance(value, PowerFxError):
        return "!" + ",".join(value.kinds)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {render(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(render, value)) + "]"
    raise AssertionError(f"{value!r} is no Power Fx value")


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
