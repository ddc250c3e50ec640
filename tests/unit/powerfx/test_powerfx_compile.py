"""What compiling tells: where and why an expression is refused, and the type of one that is not."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from router.rules.powerfx import Compiled, PowerFxError, PowerFxSyntaxError, compile_expression, evaluate


@pytest.mark.parametrize(
    ("expression", "position", "words"),
    [
        ("1 +", (1, 4), "ends too early"),
        ("1 + + 2", (1, 5), "unexpected '+'"),
        ("If(true,\n  1,\n  nope)", (3, 3), "'nope' is not known"),
        ("Nope(1)", (1, 1), "no function 'Nope'"),
        ("Left(1)", (1, 1), "takes 2 arguments, not 1"),
        ("If(1)", (1, 1), "takes 2 or more arguments"),
        ("Log(1, 2, 3)", (1, 1), "takes 1 to 2 arguments"),
        ("1 + [1]", (1, 5), "a number is expected, not Table"),
        ("true < 1", (1, 1), "a number or a date is expected, not Boolean"),
        ('"a" = 1', (1, 5), "Text and Decimal cannot be compared"),
        ("If(true, 1, {a: 1})", (1, 13), "do not agree"),
        ("{a: 1}.b", (1, 8), "no 'b'"),
        ("TimeUnit.Weeks", (1, 10), "no member 'Weeks'"),
        ("99999999999999999999999999999999", (1, 1), "too large"),
        ('"a', (1, 1), "unexpected character"),
        ("a; b", (1, 2), "unexpected character"),
        ('IsMatch("a", "(")', (1, 14), "regular expression"),
        ('IsMatch("a", "(?<=x)a")', (1, 14), "look-around"),
        ("null", (1, 1), "reserved"),
    ],
)
def test_refusals_say_where_and_what(expression: str, position: tuple[int, int], words: str) -> None:
    with pytest.raises(PowerFxSyntaxError) as caught:
        compile_expression(expression)
    assert caught.value.position == position
    assert words in caught.value.message
    assert f"line {position[0]}, column {position[1]}" in str(caught.value)


def test_a_refusal_is_a_power_fx_error() -> None:
    assert issubclass(PowerFxSyntaxError, PowerFxError)
    with pytest.raises(PowerFxError) as caught:
        evaluate("1 +", {})
    assert caught.value.kind == "Syntax"


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("1 + 1", "Decimal"),
        ("2 ^ 2", "Number"),
        ('"a" & 1', "Text"),
        ("1 = 1", "Boolean"),
        ("Date(2024, 1, 1) + 1", "Date"),
        ("[1]", "Table"),
        ("{a: 1}", "Record"),
        ("job.X", "Any"),
        ('ParseJSON("1")', "Dynamic"),
    ],
)
def test_the_type_is_known(expression: str, kind: str) -> None:
    compiled = compile_expression(expression, ["job"])
    assert isinstance(compiled, Compiled)
    assert compiled.type.kind == kind


def test_a_part_that_is_never_evaluated_is_checked() -> None:
    with pytest.raises(PowerFxSyntaxError):
        compile_expression("If(true, 1, x)")


def test_one_compiled_expression_serves_many_contexts() -> None:
    compiled = compile_expression("If(job.Escalated = true, 10, 5)", ["job"])
    assert compiled.evaluate({"job": {"Escalated": True}}) == 10
    assert compiled.evaluate({"job": {"Escalated": False}}) == 5
    assert compiled.evaluate({"job": {}}) == 5


def test_an_error_is_raised_anew_each_time() -> None:
    compiled = compile_expression("1 / 0")
    raised = []
    for _ in range(2):
        with pytest.raises(PowerFxError) as caught:
            compiled.evaluate({})
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert raised[0].kinds == ["Div0"]


def test_importing_the_package_does_not_load_the_parser() -> None:
    code = "import sys, router.rules.powerfx; print('lark' in sys.modules, 're2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]


def test_the_package_needs_nothing_else_of_the_router() -> None:
    code = (
        'import sys; from router.rules.powerfx import evaluate; evaluate(\'IsMatch("a", "a")\', {});'
        "print([n for n in sys.modules if n.startswith('router.') and not n.startswith('router.rules')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_of_what_does_not_compile_nothing_is_kept_but_why() -> None:
    from router.rules.powerfx.nodes import Number

    deep = "+".join(f"(1+{number})" for number in range(350)) + " + nope"
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):  # told from memory the second time
            with pytest.raises(PowerFxSyntaxError) as refused:
                compile_expression(deep, ("job",))
            del refused
        left = sum(isinstance(one, Number) for one in gc.get_objects())
    finally:
        gc.enable()
    assert left < 100
