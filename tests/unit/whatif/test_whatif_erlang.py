"""Closed forms, and the replay beside them."""

from __future__ import annotations

import pytest

from jobrouter.whatif.erlang import erlang_a, erlang_c


def test_known_values() -> None:
    one = erlang_c(1, 0.5, 1.0)
    assert one.waits == pytest.approx(0.5)
    assert one.mean_wait == pytest.approx(1.0)
    # 10 agents, 8 erlangs: a waiting probability of 40.92 %.
    assert erlang_c(10, 8 / 300, 300).waits == pytest.approx(0.4092, abs=1e-4)
    with pytest.raises(ValueError, match="more work"):
        erlang_c(2, 1.0, 2.0)


def test_without_impatience_a_is_c() -> None:
    a, c = erlang_a(5, 4 / 300, 300, 1e9), erlang_c(5, 4 / 300, 300)
    assert a.waits == pytest.approx(c.waits, rel=1e-4)
    assert a.mean_wait == pytest.approx(c.mean_wait, rel=1e-4)
    assert a.abandoned == pytest.approx(0, abs=1e-6)


def test_patience_like_work_makes_it_a_line_of_any_number_of_agents() -> None:
    """With equal rates it is M/M/inf: the number there is Poisson."""
    import math

    offered, agents = 6.0, 5
    poisson = [math.exp(-offered) * offered**n / math.factorial(n) for n in range(60)]
    expected = sum((n - agents) * one for n, one in enumerate(poisson) if n > agents) / offered
    assert erlang_a(agents, offered / 300, 300, 300).abandoned == pytest.approx(expected, rel=1e-6)
