"""Every case of cases.txt: an expression and what it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.rules.powerfx import PowerFxError, evaluate
from router.rules.powerfx.functions import FUNCTIONS
from tests.unit.powerfx.powerfx_render import render

CASES = Path(__file__).with_name("cases.txt")


def read_cases() -> list[tuple[str, str]]:
    cases, expression = [], ""
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line.startswith("=> "):
            cases.append((expression, line[3:]))
        elif line and not line.startswith("#"):
            expression = line
    return cases


@pytest.mark.parametrize(("expression", "expected"), read_cases())
def test_case(expression: str, expected: str) -> None:
    try:
        result = evaluate(expression, {})
    except PowerFxError as error:
        result = error
    assert render(result) == expected


def test_every_function_has_a_case() -> None:
    text = CASES.read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"{name}(" not in text] == []
