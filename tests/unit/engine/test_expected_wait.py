"""Waits as a range: who could take the job, who stands ahead, and who will overtake it."""

from __future__ import annotations

import random
import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine.expected_wait import (
    ClassFigures,
    InLine,
    NoRange,
    PoolFigures,
    WaitRange,
    _inverse_gaussian,
    _inverse_gaussian_below,
    expected_wait,
    less_than,
)

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RANK = (1, -1)
ALL, FRENCH = "all", "french"


def busy(*, hours: float = 1.0) -> list[tuple[datetime, datetime]]:
    return [(NOW - hours * HOUR, NOW)]


def told(
    ahead: list[str],
    pools: dict[frozenset[str], int],
    own: str = ALL,
    rank: tuple[int, int] = RANK,
    urgent: int = 0,
) -> WaitRange | NoRange:
    """An hour in which jobs always waited."""
    classes = {
        ALL: ClassFigures({RANK: 60, **({(1, -9): urgent} if urgent else {})}, busy()),
        FRENCH: ClassFigures({RANK: 20}, busy()),
    }
    figures = [PoolFigures(serves, taken) for serves, taken in pools.items()]
    line = [InLine(one, NOW) for one in ahead]
    return expected_wait(InLine(own, NOW), rank, line, classes, figures, NOW - HOUR, NOW)


def known(found: WaitRange | NoRange) -> WaitRange:
    assert isinstance(found, WaitRange), found
    return found


def test_one_class_is_a_line() -> None:
    found = known(told([ALL] * 9, {frozenset({ALL}): 3600}))
    assert found.mean == pytest.approx(10), "ten assignments, one a second"
    assert found.p50 == pytest.approx(10 - 1 / 3, rel=0.01)
    assert found.p80 == pytest.approx(12.52, rel=0.01), "of a sum of ten exponential times"
    assert found.basis.competing == 9


def test_who_asks_for_nothing_passes_those_who_wait_for_few() -> None:
    pools = {frozenset({ALL}): 36, frozenset({ALL, FRENCH}): 24}
    alone = known(told([], pools))
    behind = known(told([FRENCH] * 20, pools))
    assert alone.mean == pytest.approx(60)
    # The others are kept by the French: three of five are left.
    assert behind.mean == pytest.approx(100)
    assert known(told([FRENCH] * 20, pools, FRENCH)).mean == pytest.approx(21 * 150)
    assert known(told([ALL] * 20, pools, FRENCH)).mean == pytest.approx(20 * 60 + 150)


def test_who_has_an_offer_waits_for_an_answer_and_for_no_worker() -> None:
    classes = {ALL: ClassFigures({RANK: 59}, busy())}
    pools = [PoolFigures(frozenset({ALL}), 59)]
    line = [InLine(ALL, NOW - HOUR, offered=True), InLine(ALL, NOW)]  # the sixtieth is found
    found = known(expected_wait(InLine(ALL, NOW), RANK, line, classes, pools, NOW - HOUR, NOW, answer=10.0))
    assert found.mean == pytest.approx(2 * 60 + 10), "one ahead and the job itself, and then the answer"
    assert found.basis.competing == 1
    sooner = known(expected_wait(InLine(ALL, NOW), RANK, line, classes, pools, NOW - HOUR, NOW))
    assert (found.p50, found.p80) == pytest.approx((sooner.p50 + 10, sooner.p80 + 10))


def test_what_nobody_can_take_holds_up_nobody() -> None:
    assert known(told([FRENCH] * 20, {frozenset({ALL}): 60})).mean == pytest.approx(60)


def test_more_urgent_jobs_will_overtake() -> None:
    pools = {frozenset({ALL}): 60}
    calm, pressed = known(told([ALL] * 3, pools)), known(told([ALL] * 3, pools, urgent=30))
    # Half of the workers' time goes to them.
    assert pressed.mean == pytest.approx(2 * calm.mean, rel=0.05)
    assert pressed.p80 / pressed.p50 > calm.p80 / calm.p50
    assert known(told([ALL] * 3, pools, rank=(1, -9), urgent=30)).mean == pytest.approx(calm.mean)
    assert isinstance(told([ALL] * 3, pools, urgent=60), NoRange)


@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_who_is_overtaken_waits_for_a_line_to_be_gone_that_others_join(ahead: int, share: float) -> None:
    """Those who overtake are overtaken by nobody, but while they are served more of them come."""
    fast = 36_000  # so many that the rates are certain
    found = known(told([ALL] * ahead, {frozenset({ALL}): fast}, urgent=round(share * fast)))
    chance, waits = random.Random(7), list[float]()
    for _ in range(4_000):
        line, seconds = ahead + 1, 0.0
        while line:
            seconds += chance.expovariate(10 * (1 + share))
            line += 1 if chance.random() < share / (1 + share) else -1
        waits.append(seconds)
    cut = statistics.quantiles(waits, n=10)
    assert found.p50 == pytest.approx(cut[4], rel=0.1)
    assert found.p80 == pytest.approx(cut[7], rel=0.1)


@given(st.floats(0.01, 3000), st.floats(0.05, 0.95))
def test_a_quantile_of_an_inverse_gaussian_has_its_share_below(shape: float, share: float) -> None:
    most = _inverse_gaussian(share, shape)
    assert _inverse_gaussian_below(most, shape) == pytest.approx(share, abs=1e-4)
    assert _inverse_gaussian_below(most * 1.01, shape) > share


def test_it_is_silent_without_a_basis() -> None:
    nobody = told([], {frozenset({ALL}): 60}, FRENCH)
    assert nobody == NoRange("Workers who could take the job have lately taken no jobs that had waited.")
    few = told([], {frozenset({ALL}): 4})
    assert isinstance(few, NoRange)
    assert "only 4 jobs" in few.reason


def test_nobody_taken_for_long_makes_it_longer() -> None:
    classes = {ALL: ClassFigures({RANK: 60}, [(NOW - 3 * HOUR, NOW - 2 * HOUR)])}
    pools = [PoolFigures(frozenset({ALL}), 60)]

    def since(hours: float) -> float:
        own = InLine(ALL, NOW - hours * HOUR)
        return known(expected_wait(own, RANK, [], classes, pools, NOW - 3 * HOUR, NOW)).mean

    assert since(0) == pytest.approx(60)
    assert since(2) == pytest.approx(180)


@given(
    st.lists(st.sampled_from([ALL, FRENCH]), max_size=60),
    st.integers(5, 500),
    st.integers(0, 500),
    st.sampled_from([ALL, FRENCH]),
)
def test_one_more_ahead_never_shortens_it(ahead: list[str], both: int, general: int, own: str) -> None:
    pools = {frozenset({ALL, FRENCH}): both, frozenset({ALL}): general}
    found = known(told(ahead, pools, own))
    assert found.p50 <= found.p80
    assert found.p50 <= found.mean * 1.1
    assert known(told([*ahead, own], pools, own)).mean >= found.mean * 0.999


def test_a_long_line_is_joined_into_blocks() -> None:
    pools = {frozenset({ALL}): 36, frozenset({ALL, FRENCH}): 24}
    found = known(told([ALL, ALL, FRENCH] * 2000, pools))
    assert found.mean == pytest.approx(6000 * 60, rel=0.1)


def test_words() -> None:
    assert [less_than(one) for one in (0, 60, 61, 3600)] == [
        "less than 1 minute",
        "less than 1 minute",
        "less than 2 minutes",
        "less than 60 minutes",
    ]
