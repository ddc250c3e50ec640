"""Labels and other values of the context: known at run time only."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from router.rules.powerfx import PowerFxError, PowerFxSyntaxError, compile_expression, evaluate

JOB = {
    "Region": "NA", "Escalated": True, "Priority": 5, "Ratio": 0.1, "Caller Id": "c-1", "Flag": "true",
    "Score": "12.5", "Empty": "", "Due": "2024-05-01", "Big": 10**40,
}  # fmt: skip
CONTEXT: dict[str, Any] = {
    "job": JOB,
    "worker": {"Id": "w1", "Skill": 10, "Region": "EU", "Home": {"City": "Oslo"}},
    "workers": [{"Id": "w1", "Load": 3}, {"Id": "w2", "Load": 5}],
    "selectors": [{"key": "Skill", "labelOperator": "equal", "value": 7}],
    "tags": ["vip", "new"],
}

VALUES = [
    ("job.Escalated = true", True),
    ("job.Escalated = false", False),
    ("job.Missing = true", False),
    ("job.Missing = false", False),
    ("job.Missing = Blank()", True),
    ("IsBlank(job.Missing)", True),
    ("IsBlank(job.Empty)", True),
    ("job.Missing > 3", False),
    ("job.Missing + 1", 1),
    ('job.Missing & "!"', "!"),
    ("If(job.Missing, 1, 2)", 2),
    ('job.Region = "NA"', True),
    ('job.Region = "na"', False),
    ('job.Region <> "NA"', False),
    ('job.Region in ["EU", "NA"]', True),
    ('"n" in job.Region', True),
    ("job.'Caller Id'", "c-1"),
    ("job.Priority >= 5 && job.Priority < 6", True),
    ('job.Priority = "5"', True),
    ("job.Score > 12", True),
    ("job.Score = 12.5", True),
    ("job.Region = 5", False),
    ("job.Region = true", False),
    ("job.Flag = true", True),
    ("If(job.Flag, 1, 2)", 1),
    ("job.Ratio + 0.2", Decimal("0.3")),
    ("job.Ratio * 3 = 0.3", True),
    ("job.Priority = worker.Skill", False),
    ("job.Region = worker.Region", False),
    ("job.Priority < worker.Skill", True),
    ("worker.Home.City", "Oslo"),
    ("worker.Nowhere.City", None),
    ("Coalesce(job.Missing, job.Region)", "NA"),
    ('Switch(job.Region, "EU", 1, "NA", 2, 3)', 2),
    ("If(job.Escalated, job.Priority, 1)", 5),
    ("Year(job.Due)", 2024),
    ("DateDiff(job.Due, Date(2024, 5, 3))", 2),
    ("job.Due > Date(2024, 4, 30)", True),
    ('Text(job.Priority, "000")', "005"),
    ("Sum(workers, Load)", 8),
    ("Max(workers, Load)", 5),
    ("Sum(job.Priority, worker.Skill)", 15),
    ("Sum(job.Priority, Sum(workers, Load))", 13),
    ("Sum(workers, 1)", 2),
    ("Filter(workers, Load = Max(workers, Load))", [{"Id": "w2", "Load": 5}]),
    ("ForAll(workers, Load / Sum(workers, Load))", [{"Value": Decimal("0.375")}, {"Value": Decimal("0.625")}]),
    ('Sum(workers, LookUp(selectors, key = "Skill").value)', 14),
    ("ForAll(workers, First(Sort(workers, Load, SortOrder.Descending)).Id)", [{"Value": "w2"}, {"Value": "w2"}]),
    ("First(ForAll(workers, DateDiff(Date(2024,5,1), Date(2024,6,1), TimeUnit.Days))).Value", 31),
    ("First(ForAll(workers, Concat(selectors, Id & key))).Value", "w1Skill"),
    ("CountRows(workers)", 2),
    ("Filter(workers, Load > 3)", [{"Id": "w2", "Load": 5}]),
    ('LookUp(workers, Id = "w2", Load)', 5),
    ("LookUp(workers, Id = worker.Id).Load", 3),
    ("First(Sort(workers, Load, SortOrder.Descending)).Id", "w2"),
    ('Concat(workers, Id, ",")', "w1,w2"),
    ("ForAll(workers As w, w.Load * job.Priority)", [{"Value": 15}, {"Value": 25}]),
    ('LookUp(selectors, key = "Skill").value', 7),
    ('"vip" in tags', True),
    ("CountRows(tags)", 2),
    ('CountIf(tags, Value = "new")', 1),
    ("{Skill: job.Priority * 2}", {"Skill": 10}),
    ("Sum(AddColumns(workers, Double, Load * 2), Double)", 16),
    ("DropColumns(workers, Load)", [{"Id": "w1"}, {"Id": "w2"}]),
    ("ShowColumns(workers, Load)", [{"Load": 3}, {"Load": 5}]),
    ("RenameColumns(workers, Load, Jobs, Id, Key)", [{"Jobs": 3, "Key": "w1"}, {"Jobs": 5, "Key": "w2"}]),
    ('IsMatch(job.Region, "[A-Z]{2}")', True),
    ("IfError(job.Region + 1, -1)", -1),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_value(expression: str, expected: Any) -> None:
    assert evaluate(expression, CONTEXT) == expected


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("job.Region + 1", "InvalidArgument"),
        ("job.Region > 3", "InvalidArgument"),
        ("If(job.Region, 1, 2)", "InvalidArgument"),
        ("job.Priority / 0", "Div0"),
        ("job.Region.Part", "InvalidArgument"),
        ("Filter(job.Region, true)", "InvalidArgument"),
        ("job.Big * 10", "InvalidArgument"),
    ],
)
def test_error(expression: str, kind: str) -> None:
    with pytest.raises(PowerFxError) as caught:
        evaluate(expression, CONTEXT)
    assert caught.value.kind == kind


def test_a_number_of_json_is_bounded_wherever_it_is_read() -> None:
    context = {"job": {"P": "1e400000"}}
    for expression in ["ParseJSON(job.P)", 'Text(ParseJSON(job.P), "0")', "First(ForAll(ParseJSON(job.P), 1))"]:
        with pytest.raises(PowerFxError) as caught:
            evaluate(expression, context)
        assert caught.value.kind == "InvalidArgument"


def test_a_row_that_lacks_a_column_of_its_table_does_not_take_it_from_the_row_outside() -> None:
    workers = [{"Id": "w1", "Load": 3}, {"Id": "w2"}]
    found = evaluate("ForAll(workers, CountIf(workers, Load = 3))", {"workers": workers})
    assert found == [{"Value": 1}, {"Value": 1}]


@pytest.mark.parametrize(
    "expression", ["other.X", "job", 'job.Region = "x" + {a: 1}', "job..x", "Sum(jobs, 1)", "job.X < true"]
)
def test_what_does_not_compile_without_values(expression: str) -> None:
    if expression == "job":
        assert compile_expression(expression, ["job"]).evaluate({"job": {"a": 1}}) == {"a": 1}
        return
    with pytest.raises(PowerFxSyntaxError):
        compile_expression(expression, ["job"])


def test_the_context_may_lack_a_declared_name() -> None:
    assert compile_expression("IsBlank(job.Region)", ["job"]).evaluate({}) is True


def test_dates_in_the_context() -> None:
    context = {"now": datetime(2024, 5, 1, 12, tzinfo=UTC), "day": date(2024, 5, 1)}
    assert evaluate("now - day", context) == Decimal("0.5")
    assert evaluate("DateAdd(now, 1, TimeUnit.Hours)", context) == datetime(2024, 5, 1, 13)  # noqa: DTZ001
    assert evaluate("day = now", context) is False


def test_an_expression_sees_nothing_but_the_context() -> None:
    for expression in ["__builtins__", "job.__class__", "job.keys", "open", "os"]:
        try:
            assert evaluate(expression, {"job": {}}) is None
        except PowerFxSyntaxError:
            continue


def test_the_context_is_not_changed() -> None:
    context = {"workers": [{"b": 2}, {"b": 1}], "job": {"x": [1]}}
    evaluate("Sort(workers, b)", context)
    evaluate("Filter(workers, b > 1)", context)
    assert context == {"workers": [{"b": 2}, {"b": 1}], "job": {"x": [1]}}


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (Decimal("1." + "3" * 100_000), Decimal("1." + "3" * 28)),
        (Decimal("0.1") + Decimal("1e-27"), Decimal("0.1") + Decimal("1e-27")),
        (Decimal("1e-400000"), 0),
        (Decimal("0e-900000"), 0),
        (Decimal("1e-29"), 0),
        (Decimal("5e27"), Decimal("5e27")),
        (Decimal("79228162514264337593543950335"), Decimal("79228162514264337593543950335")),
        (Decimal("12345678901234567890123456789012.5"), 1.2345678901234567e31),
        (Decimal("1e300"), 1e300),
        (10**40, 1e40),
        (2**90, Decimal(2**90)),
    ],
)
def test_a_number_of_the_context_becomes_a_decimal_or_a_float(number: Decimal | int, value: object) -> None:
    found = evaluate("x", {"x": number})
    assert found == value
    assert type(found) is (float if isinstance(value, float) else Decimal)
    if isinstance(found, Decimal):
        _, digits, exponent = found.as_tuple()
        assert len(digits) <= 29
        assert isinstance(exponent, int)
        assert exponent >= -28


@pytest.mark.parametrize(
    "number", [Decimal("1e400000"), Decimal("1" * 100_000), 10**4000, Decimal("NaN"), Decimal("sNaN")]
)
@pytest.mark.parametrize("expression", ["x", "x + 1", "Text(x)", 'Text(x, "0.00")', "x < 1", "Sort([x, 1], Value)"])
def test_a_number_beyond_every_bound_is_an_error_at_once(number: Decimal | int, expression: str) -> None:
    started = time.thread_time()
    with pytest.raises(PowerFxError) as caught:
        evaluate(expression, {"x": number})
    assert caught.value.kind == "InvalidArgument"
    assert time.thread_time() - started < 0.5


def test_the_functions_of_tables_and_records_take_labels() -> None:
    context = {
        "workers": [
            {"Id": "w1", "Skill": "mail", "Load": 3},
            {"Id": "w2", "Skill": "chat"},
            {"Id": "w3", "Skill": "mail"},
        ],
        "job": {"Region": "EU", "Size": 5},
    }
    assert evaluate('ForAll(Search(workers, "MA", Skill), Id)', context) == [{"Value": "w1"}, {"Value": "w3"}]
    assert evaluate("Summarize(workers, Skill, CountRows(ThisGroup) As n, Sum(ThisGroup, Load) As l)", context) == [
        {"Skill": "mail", "n": 2, "l": 3},
        {"Skill": "chat", "n": 1, "l": None},
    ]
    assert evaluate('Patch(job, {Region: "NA"})', context) == {"Region": "NA", "Size": 5}
    assert evaluate("ColumnNames(job)", context) == [{"Value": "Region"}, {"Value": "Size"}]
    assert evaluate('Column(job, "Size") + 1', context) == 6
    assert evaluate('Column(job, "Other")', context) is None
    assert evaluate("StdevP(workers, 2)", context) == 0
    with pytest.raises(PowerFxError) as caught:
        evaluate("Patch(job, job.Region)", context)
    assert caught.value.kind == "InvalidArgument"
    with pytest.raises(PowerFxError) as caught:
        evaluate("Summarize(tags, Value)", {"tags": [[1], [2]]})
    assert caught.value.kind == "InvalidArgument"


@pytest.mark.parametrize("value", [0, 5, Decimal("-7.25"), True])
@pytest.mark.parametrize("function", ["DateValue", "TimeValue", "DateTimeValue"])
def test_a_number_is_no_date_to_a_function_that_reads_text(value: object, function: str) -> None:
    with pytest.raises(PowerFxError) as caught:
        evaluate(f"{function}(x)", {"x": value})
    assert caught.value.kind == "InvalidArgument"


def test_a_switch_tells_of_its_subject_and_of_its_first_match() -> None:
    with pytest.raises(PowerFxError) as both:
        evaluate('Switch(Value("x"), 1 / 0, "one", Sqrt(-1), "two")', {})
    assert [kind for kind, _ in both.value.details] == ["InvalidArgument", "Div0"]
    with pytest.raises(PowerFxError) as one:
        evaluate('Switch(Value("x"), 1, "one", 1 / 0, "two")', {})
    assert [kind for kind, _ in one.value.details] == ["InvalidArgument"]
