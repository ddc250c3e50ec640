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
