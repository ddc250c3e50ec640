"""Bounded maps."""

from __future__ import annotations

from router.recent import Recent, RecentIds


def test_the_oldest_goes_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"] = 1, 2
    recent["a"] = 3  # set again: now b is the oldest
    recent["c"] = 4
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (3, None, 4)
    assert recent.forget("a") == 3
    assert recent.forget("a") is None
    assert "a" not in recent
    ids = RecentIds(2)
    ids.add("abc")
    assert [id in ids for id in "abc"] == [False, True, True]


def test_the_oldest_goes_where_all_together_are_too_large() -> None:
    recent: Recent[str, str] = Recent(10, size=len, most_size=10)
    recent["a"], recent["b"] = "12345", "1234"
    recent["a"] = "123456"  # b is the oldest now
    assert (recent.get("a"), recent.get("b")) == ("123456", "1234")
    recent["c"] = "1"
    assert [key in recent for key in "abc"] == [True, False, True]
    recent["d"] = "x" * 100  # larger than all may be: alone
    assert [key in recent for key in "abcd"] == [False, False, False, True]
    assert recent.forget("d") == "x" * 100
    recent["e"], recent["f"] = "12345", "12345"
    assert [key in recent for key in "ef"] == [True, True]
