"""Functions of dates and times."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import coercion, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.conversions import culture, in_culture
from router.rules.powerfx.functions.scalar import decimal, scalar
from router.rules.powerfx.reading import EPOCH
from router.rules.powerfx.types import DATE, DATETIME, DECIMAL, TEMPORAL, TEXT, TIME, Type, enum
from router.rules.powerfx.values import DAY, invalid, to_date, to_datetime, to_text, to_time

_LARGEST: Final = 10**9
_FIRST_WEEKDAYS: Final = {1: 6, 2: 0, 12: 1, 13: 2, 14: 3, 15: 4, 16: 5}  # of StartOfWeek; Monday is 0


def _whole(number: Any) -> int | None:
    return int(number) if abs(number) < _LARGEST else None


def _shifted(year: Any, month: Any, day: Any) -> datetime | None:
    """The first day of a year, moved by months and days."""
    parts = _whole(year), _whole(month), _whole(day)
    y, m, d = parts
    if y is None or m is None or d is None or not 1 <= y <= 9999:
        return None
    years, months = divmod(m - 1, 12)
    if not 1 <= y + years <= 9999:
        return None
    try:
        return datetime(y + years, months + 1, 1) + timedelta(days=d - 1)  # noqa: DTZ001 - UTC without a zone
    except OverflowError:
        return None


def _date(year: Any, month: Any, day: Any) -> Any:
    found = _shifted(year, month, day)
    return invalid("the date is out of range") if found is None else found.date()


def _span(hour: Any, minute: Any, second: Any, millisecond: Any) -> timedelta | None:
    parts = _whole(hour), _whole(minute), _whole(second), _whole(millisecond)
    h, m, s, ms = parts
    if h is None or m is None or s is None or ms is None:
        return None
    return timedelta(hours=h, minutes=m, seconds=s, milliseconds=ms)


def _date_time(year: Any, month: Any, day: Any, hour: Any, minute: Any, second: Any, millisecond: Any = 0) -> Any:
    start, span = _shifted(year, month, day), _span(hour, minute, second, millisecond)
    try:
        if start is not None and span is not None:
            return start + span
    except OverflowError:
        pass
    return invalid("the date is out of range")


def _time(hour: Any, minute: Any, second: Any, millisecond: Any = 0) -> Any:
    span = _span(hour, minute, second, millisecond)
    return invalid("the time is out of range") if span is None else span


# ---------------------------------------------------------------- parts


def _part(part: Callable[[datetime], int], of_blank: int, unit: int = 0) -> FunctionCompiler:
    """`unit`: how many seconds a part of a time has, where the part is one of a time."""

    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, 1)
        arg = compiler.compile(node.args[0], scope)
        blank = Decimal(of_blank)
        if arg.type == TIME and unit:
            return Expr(DECIMAL, _part_of_time(arg.run, unit, blank), node)
        moment = _moment(compiler, arg).run

        def run(f: Frame) -> Any:
            value = moment(f)
            if value is None:
                return blank
            return value if value.__class__ is PowerFxError else Decimal(part(value))

        return Expr(DECIMAL, run, node)

    return compile_call


def _part_of_time(run_time: Run, unit: int, blank: Decimal) -> Run:
    """A time of less than nothing has parts of less than nothing."""
    modulus = 24 if unit == 3600 else 60

    def run(f: Frame) -> Any:
        value = run_time(f)
        if value is None:
            return blank
        if value.__class__ is PowerFxError:
            return value
        number = abs(value) // timedelta(seconds=unit) % modulus
        return Decimal(-number if value < timedelta() else number)

    return run


def _moment(compiler: Compiler, expr: Expr) -> Expr:
    """An argument as a date with a time; a bare time is one of the calendar's first day."""
    if expr.type == TIME:
        run = expr.run
        return Expr(DATETIME, lambda f: _of_time(run(f)), expr.node)
    return compiler.coerce(expr, DATETIME)


def _of_time(value: Any) -> Any:
    return EPOCH + value if value.__class__ is timedelta else value


def _moment_and_start(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Run:
    """A function that gives the moment and where a week starts (None where that is not said), or an error."""
    compiler.arity(node, 1, 2)
    moment = _moment(compiler, compiler.compile(node.args[0], scope)).run
    start = compiler.compile_as(node.args[1], scope, enum("StartOfWeek")).run if len(node.args) > 1 else None

    def both(f: Frame) -> Any:
        value, first = moment(f), start(f) if start else None
        errors = [found for found in (value, first) if found.__class__ is PowerFxError]
        return join_errors(errors) if errors else (value, first)

    return both


def _weekday(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    arguments = _moment_and_start(compiler, node, scope)

    def run(f: Frame) -> Any:
        given = arguments(f)
        if given.__class__ is PowerFxError:
            return given
        value, first = given
        if len(node.args) > 1 and first is None:
            return invalid("the start of the week is blank")
        code = int(first.value) if isinstance(first, EnumValue) else 1
        day = (value or EPOCH).weekday()  # Monday is 0
        if code == 3:
            return Decimal(day)
        return Decimal((day - _FIRST_WEEKDAYS[code]) % 7 + 1)

    return Expr(DECIMAL, run, node)


def _week_number(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    """The week of the year, where January 1 is in the first."""
    arguments = _moment_and_start(compiler, node, scope)

    def run(f: Frame) -> Any:
        given = arguments(f)
        if given.__class__ is PowerFxError:
            return given
        value, first = given
        begins = _FIRST_WEEKDAYS.get(int(first.value) if isinstance(first, EnumValue) else 1)
        if begins is None:
            return invalid("a week does not begin so")
        day = (value or EPOCH).date()
        new_year = day.replace(month=1, day=1)
        return Decimal(((day - new_year).days + (new_year.weekday() - begins) % 7) // 7 + 1)

    return Expr(DECIMAL, run, node)


# ---------------------------------------------------------------- arithmetic

_TIME_UNIT: Final = enum("TimeUnit")
_SPANS: Final = {
    "days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1000, "milliseconds": 1,
}  # fmt: skip
_MONTHS: Final = {"months": 1, "quarters": 3, "years": 12}


def _unit(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Callable[[Frame], Any] | None:
    return compiler.compile_as(node.args[2], scope, _TIME_UNIT).run if len(node.args) > 2 else None


def _unit_name(value: Any) -> str:
    return str(value.value) if isinstance(value, EnumValue) else "days"


def _date_add(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 3)
    given = compiler.compile(node.args[0], scope)
    if given.type.kind == "Blank":
        raise compiler.error(given.node, "a date or a time is expected")
    moment = _moment(compiler, given).run
    distance = compiler.compile(node.args[1], scope)
    number = compiler.coerce(distance, DECIMAL).run
    unit = _unit(compiler, node, scope) if distance.type != TIME else None  # a time is of its own length
    type = given.type if given.type in (DATE, TIME) else DATETIME

    def run(f: Frame) -> Any:
        value, count, units = moment(f), number(f), unit(f) if unit else None
        errors = [found for found in (value, count, units) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        found = _moved(value or EPOCH, count or Decimal(0), _unit_name(units))
        if found.__class__ is not datetime or type == DATETIME:
            return found
        if type == TIME:
            return found - EPOCH
        return found.date() if found == datetime.combine(found, datetime.min.time()) else found

    return Expr(type, run, node)


def _moved(moment: datetime, count: Decimal, unit: str) -> Any:
    try:
        if unit in _SPANS:
            milliseconds = count * _SPANS[unit]
            if abs(milliseconds) > 10**15:
                return invalid("the date is out of range")
            return moment + timedelta(milliseconds=int(milliseconds.to_integral_value("ROUND_HALF_UP")))
        months = int(count) * _MONTHS[unit] if abs(count) < _LARGEST else 10**9
        years, month = divmod(moment.month - 1 + months, 12)
        year = moment.year + years
        if not 1 <= year <= 9999:
            return invalid("the date is out of range")
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day)
    except OverflowError:
        return invalid("the date is out of range")


def _months_later(last_day: bool) -> FunctionCompiler:
    """EDate and EOMonth: a date some months later, or the last one of that month."""

    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 2, 2)
        moment = _moment(compiler, compiler.compile(node.args[0], scope)).run
        months = compiler.compile_as(node.args[1], scope, DECIMAL).run

        def run(f: Frame) -> Any:
            value, count = moment(f), months(f)
            errors = [found for found in (value, count) if found.__class__ is PowerFxError]
            if errors:
                return join_errors(errors)
            found = _moved(value or EPOCH, count or Decimal(0), "months")
            if found.__class__ is PowerFxError:
                return found
            last = calendar.monthrange(found.year, found.month)[1]
            return found.replace(day=last).date() if last_day else found.date()

        return Expr(DATE, run, node)

    return compile_call


def _date_diff(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 3)
    first, second = (_moment(compiler, compiler.compile(arg, scope)).run for arg in node.args[:2])
    unit = _unit(compiler, node, scope)

    def run(f: Frame) -> Any:
        start, end, units = first(f), second(f), unit(f) if unit else None
        errors = [found for found in (start, end, units) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        return _distance(start or EPOCH, end or EPOCH, _unit_name(units))

    return Expr(DECIMAL, run, node)


def _distance(start: datetime, end: datetime, unit: str) -> Decimal:
    """The number of borders between units that lie between two moments."""
    if unit in _SPANS:
        span = timedelta(milliseconds=_SPANS[unit])
        return Decimal((end - EPOCH) // span - (start - EPOCH) // span)
    months = _MONTHS[unit]
    return Decimal((end.year * 12 + end.month - 1) // months - (start.year * 12 + start.month - 1) // months)


# ---------------------------------------------------------------- reading


def _reader(target: Type, convert: Callable[[Any], Any]) -> FunctionCompiler:
    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, 2)
        arg = compiler.compile(node.args[0], scope)
        kind = arg.type.kind
        read = convert
        if kind == "Dynamic":
            from_json = coercion.converter(arg.type, target)
            assert from_json is not None
            read = from_json
        elif kind == "Any":

            def read(value: Any) -> Any:  # a number or a Boolean of a label is no date, and neither is its text
                return convert(to_text(value) if isinstance(value, (Decimal, float, bool)) else value)

        elif kind not in TEMPORAL and kind != "Any":
            arg = compiler.coerce(arg, TEXT)
        run = arg.run

        def closure(f: Frame) -> Any:
            return read(run(f))

        if len(node.args) > 1:
            return Expr(target, in_culture(closure, culture(compiler, node.args[1], scope, neutral=True)), node)
        return Expr(target, closure, node)

    return compile_call


def _time_within_a_day(value: Any) -> Any:
    span = to_time(value)
    return span % DAY if span.__class__ is timedelta else span


def _clock(part: str) -> Callable[[datetime], int]:
    return lambda moment: int(getattr(moment, part))


_ZERO: Final = [decimal()]
FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Date": scalar(_ZERO * 3, DATE, _date),
    "DateTime": scalar(_ZERO * 7, DATETIME, _date_time, least=6),
    "Time": scalar(_ZERO * 4, TIME, _time, least=3),
    "Day": _part(_clock("day"), 0),
    "Month": _part(_clock("month"), 1),
    "Year": _part(_clock("year"), 1900),
    "Hour": _part(_clock("hour"), 0, 3600),
    "Minute": _part(_clock("minute"), 0, 60),
    "Second": _part(_clock("second"), 0, 1),
    "Weekday": _weekday,
    "WeekNum": _week_number,
    "EDate": _months_later(last_day=False),
    "EOMonth": _months_later(last_day=True),
    "DateAdd": _date_add,
    "DateDiff": _date_diff,
    "DateValue": _reader(DATE, to_date),
    "DateTimeValue": _reader(DATETIME, to_datetime),
    "TimeValue": _reader(TIME, _time_within_a_day),
}
