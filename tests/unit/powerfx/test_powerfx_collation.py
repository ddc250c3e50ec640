"""The order of texts in Sort and SortByColumns."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.powerfx import evaluate
from router.rules.powerfx.collation import key

ORDERED = [
    ["Adam", "Åsa", "Bo", "Émile", "Zara"],
    [
        "_",
        "-",
        ",",
        ";",
        ":",
        "!",
        "?",
        ".",
        "'",
        '"',
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "@",
        "*",
        "/",
        "\\",
        "&",
        "#",
        "%",
    ],
    ["%", "`", "^", "+", "<", "=", ">", "|", "~", "$", "1", "a"],
    ["a b", "a-b", "ab"],
    ["zoe", "Zoe", "zoë", "Zoë", "zof"],
    ["e", "E", "é", "É", "f"],
    ["10", "2", "9", "a"],
    ["😀", "3", "a"],
    ["$5", "€5", "1"],
    ["strasse", "straße", "strate"],
    ["afon", "Zebra", "Ωmega", "Анна", "中"],
    ["lodz", "łodz", "loea"],
    ["n", "ñ", "o", "ø", "p"],
    ["hit", "ıx", "j"],
    ["fin", "ﬁne", "fjord"],
    ["", " ", "a"],
]


@pytest.mark.parametrize("texts", ORDERED)
def test_texts_are_in_the_order_of_a_dictionary(texts: list[str]) -> None:
    shuffled = random.Random(3).sample(texts, len(texts))
    assert sorted(shuffled, key=key) == texts
    rows = evaluate("Sort(t, Value)", {"t": shuffled})
    assert [row["Value"] for row in rows] == texts
    rows = evaluate('SortByColumns(t, "Value", SortOrder.Descending)', {"t": shuffled})
    assert [row["Value"] for row in rows] == texts[::-1]


def test_digits_of_other_scripts_are_ordered_by_their_value() -> None:
    assert sorted(["4", "٣", "2"], key=key) == ["2", "٣", "4"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_only_equal_texts_have_equal_keys_but_for_forms_of_one_character(a: str, b: str) -> None:
    assert (key(a) == key(b)) is (a == b)
