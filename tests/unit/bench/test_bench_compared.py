"""How much longer one kind of stretch takes than another."""

from __future__ import annotations

import random

from bench.compared import compare

_SLOW_MINUTE = 3.0


def _stretches(dice: random.Random, factor: float, slow: set[int]) -> list[list[float]]:
    return [
        [dice.gauss(12, 2) * factor * (_SLOW_MINUTE if number in slow else 1) for _ in range(40)]
        for number in range(24)
    ]


def test_a_difference_is_found_beside_slow_minutes_of_the_machine() -> None:
    dice, slow = random.Random(7), {3, 4, 5, 20}
    found = compare(_stretches(dice, 1.0, slow), _stretches(dice, 1.1, slow))
    assert found.low < 0.10 < found.high
    assert found.low > 0.05
    assert found.high < 0.15


def test_what_takes_as_long_differs_by_nothing() -> None:
    dice = random.Random(8)
    found = compare(_stretches(dice, 1.0, {1, 2}), _stretches(dice, 1.0, {1, 2}))
    assert found.low < 0 < found.high
    assert found.high - found.low < 0.06
    assert str(found) == f"{found.value:+.1%} ({found.low:+.1%} to {found.high:+.1%})"
