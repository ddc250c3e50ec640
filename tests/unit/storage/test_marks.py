"""What is remembered of the order of lists."""

from __future__ import annotations

import pytest

from router.storage import marks
from router.storage.listing import last_place, moment, place
from router.storage.marks import Marks
from tests.unit.engine.engine_records import NOW


def test_nothing_is_known_of_what_was_not_seen() -> None:
    assert Marks().ahead("job", None, 1) is None


def test_where_the_next_so_many_end() -> None:
    seen = Marks()
    seen.saw("job", None, 50, [30, 10, 20, 50, 40])
    assert [seen.ahead("job", None, count) for count in (1, 3, 5, 6)] == [10, 30, 50, None]
    assert [seen.ahead("job", 20, count) for count in (1, 3, 4)] == [30, 50, None]
    assert seen.ahead("job", 25, 1) == 30
    assert seen.ahead("worker", None, 1) is None


def test_what_is_seen_now_counts_between_its_bounds() -> None:
    seen = Marks()
    seen.saw("job", None, 50, [10, 20, 30, 40, 50])
    seen.saw("job", 20, 40, [35])
    assert [seen.ahead("job", None, count) for count in range(1, 6)] == [10, 20, 35, 50, None]
    seen.saw("job", None, 35, ())
    assert [seen.ahead("job", None, count) for count in (1, 2)] == [50, None]


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MOST", 4)
    seen = Marks()
    seen.saw("job", None, 3, [1, 2, 3])
    seen.saw("job", 3, 9, [7, 8, 9])
    assert [seen.ahead("job", None, count) for count in (1, 3, 4)] == [7, 9, None]


def test_a_moment_is_the_part_of_a_place_that_orders_it() -> None:
    one, other = place("a~b", NOW), place("z" * 300, NOW)
    assert moment(one) == moment(other)
    assert max(one, other) < last_place(moment(one)) < place("a", NOW.replace(year=NOW.year - 1))
