"""What holds for every expression and every value."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.rules.powerfx import PowerFxError, evaluate
from router.rules.powerfx.functions import FUNCTIONS

PLAIN_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
NUMBERS = st.decimals(-(10**9), 10**9, places=4)  # so that products stay within 28 digits


def kind_of_error(expression: str, context: dict[str, Any]) -> str | None:
    try:
        evaluate(expression, context)
    except PowerFxError as error:
        return error.kind
    return None


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def literal(number: Decimal) -> str:
    return format(number, "f")


@given(PLAIN_TEXT)
def test_a_text_literal_is_itself(text: str) -> None:
    assert evaluate(quoted(text), {}) == text
    assert evaluate("job.T", {"job": {"T": text}}) == text


@given(PLAIN_TEXT)
def test_an_interpolated_text_is_itself(text: str) -> None:
    escaped = text.replace('"', '""').replace("{", "{{").replace("}", "}}")
    assert evaluate(f'$"{escaped}"', {}) == text


@given(NUMBERS, NUMBERS)
def test_arithmetic_is_decimal(a: Decimal, b: Decimal) -> None:
    context = {"a": a, "b": b}
    assert evaluate("a + b", context) == a + b
    assert evaluate("a - b", context) == a - b
    assert evaluate("a * b", context) == Context(prec=60).multiply(a, b)
    assert evaluate(f"({literal(a)}) + ({literal(b)})", {}) == a + b


@given(NUMBERS, NUMBERS)
def test_order_and_equality_agree(a: Decimal, b: Decimal) -> None:
    context = {"a": a, "b": b}
    assert evaluate("a < b", context) is (a < b)
    assert evaluate("a >= b", context) is not evaluate("a < b", context)
    assert evaluate("a = b", context) is not evaluate("a <> b", context)
    assert evaluate("Max(a, b) >= Min(a, b)", context) is True


@given(NUMBERS, NUMBERS.filter(bool))
def test_mod_has_the_sign_of_the_divisor(a: Decimal, b: Decimal) -> None:
    rest = evaluate("Mod(a, b)", {"a": a, "b": b})
    assert rest == 0 or (rest > 0) == (b > 0)
    assert abs(rest) < abs(b)


@given(NUMBERS)
def test_numbers_survive_text(number: Decimal) -> None:
    assert evaluate("Value(Text(n))", {"n": number}) == number


@given(PLAIN_TEXT, st.integers(0, 50))
def test_left_and_mid_make_the_whole(text: str, count: int) -> None:
    """But for a character of two units that is cut between them: U+FFFD stands for either half."""
    units = text.encode("utf-16-le")
    halves = [units[: 2 * count], units[2 * count :]]
    found = evaluate("Left(t, n) & Mid(t, n + 1)", {"t": text, "n": count})
    assert found == "".join(half.decode("utf-16-le", "replace") for half in halves)


@given(PLAIN_TEXT, st.integers(0, 50), st.integers(0, 50))
def test_text_is_counted_in_units_of_utf_16(text: str, count: int, other: int) -> None:
    context = {"t": text, "n": count, "m": other}
    length = len(text.encode("utf-16-le")) // 2
    assert evaluate("Len(t)", context) == length
    assert evaluate("Len(Left(t, n))", context) == min(count, length)
    assert evaluate("Len(Right(t, n))", context) == min(count, length)
    assert evaluate("Len(Mid(t, m + 1, n))", context) == min(count, max(length - other, 0))
    assert evaluate('Find("x", t & "x")', context) == len((text + "x").split("x")[0].encode("utf-16-le")) // 2 + 1
    evaluate("Replace(t, n + 1, m, t)", context).encode()  # no half of a character


@given(PLAIN_TEXT, st.text("ab,;", min_size=1, max_size=2))
def test_split_and_concat_make_the_whole(text: str, separator: str) -> None:
    assert evaluate("Concat(Split(t, s), Value, s)", {"t": text, "s": separator}) == text


@given(PLAIN_TEXT, PLAIN_TEXT)
def test_find_and_in_agree(part: str, text: str) -> None:
    context = {"p": part, "t": text}
    found = evaluate("Find(p, t)", context)
    assert (found is not None) == evaluate("p exactin t", context)
    if found is not None:
        assert evaluate("Mid(t, n, Len(p)) = Text(p) || IsBlank(p)", {**context, "n": found}) is True


@given(st.lists(st.integers(-100, 100), max_size=30))
def test_tables_of_numbers(numbers: list[int]) -> None:
    context: dict[str, Any] = {"rows": [{"n": number} for number in numbers]}
    assert evaluate("CountRows(rows)", context) == len(numbers)
    assert evaluate("Sum(rows, n)", context) == (sum(numbers) if numbers else None)
    assert [row["n"] for row in evaluate("Sort(rows, n)", context)] == sorted(numbers)
    assert [row["n"] for row in evaluate("Filter(rows, n > 0)", context)] == [n for n in numbers if n > 0]
    assert evaluate("CountRows(Distinct(rows, n))", context) == len(set(numbers))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=15,
)


@given(json_values)
def test_json_survives(value: Any) -> None:
    text = json.dumps(value)
    written = evaluate("JSON(ParseJSON(t))", {"t": text})
    assert (json.loads(written) if written is not None else None) == value


atoms = st.sampled_from(
    ["1", "0", "-2.5", "1e28", 'Float("1e300")', '"a"', '""', '"5"', "true", "Blank()", "1/0", "[1,2]", '["a"]', "[]",
     "{a:1}", "Table({a:1},Blank())", "Date(2024,1,31)", "DateTime(2024,1,1,1,1,1)", "Time(1,2,3)", 'ParseJSON("[1]")',
     'ParseJSON("{""a"":1}")', "job.S", "job.N", "job.B", "job.M", "rows", "TimeUnit.Days", "SortOrder.Descending",
     "ErrorKind.Div0", "If(1<0,1)", "If(1<0,[1])", "Value", "a", "ThisRecord", "FirstError", '"yyyy"']
)  # fmt: skip
operators = st.sampled_from(["+", "-", "*", "/", "^", "&", "=", "<>", "<", ">=", " in ", " exactin ", "&&", "||"])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(
            lambda name, args: f"{name}({','.join(args)})",
            st.sampled_from(sorted(FUNCTIONS)),
            st.lists(inner, min_size=1, max_size=4),
        ),
        st.builds(lambda left, operator, right: f"({left}{operator}{right})", inner, operators, inner),
        st.builds(lambda sign, value: f"{sign}{value}", st.sampled_from(["-", "!", "Not "]), inner),
        st.builds(lambda items: f"[{','.join(items)}]", st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one, other: f"{{a:{one},b:{other}}}", inner, inner),
        st.builds(lambda value: f"{value}.a", inner),
        st.builds(lambda value: f'$"x{{{value}}}"', inner),
    )


@settings(max_examples=1_000, deadline=None)
@given(st.recursive(atoms, compound, max_leaves=8))
def test_nothing_but_power_fx_errors_comes_out(expression: str) -> None:
    context = {"job": {"S": "text", "N": 5, "B": True}, "rows": [{"a": 1}, {"a": 2}]}
    assert kind_of_error(expression, context) != "Internal"


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("ab1 .,:;()[]{}\"'$+-*/^%&|<>=!@#\\\n~é"), max_size=60))
def test_any_text_is_an_expression_or_refused(expression: str) -> None:
    assert kind_of_error(expression, {"a": 1, "b": {"a": "x"}}) != "Internal"
