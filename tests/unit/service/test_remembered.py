"""What a process remembers of its own doing."""

from __future__ import annotations

from router.service.remembered import Followed, Recent, RecentIds


def test_the_oldest_goes_first() -> None:
    recent: Recent[int] = Recent(2)
    recent["a"], recent["b"] = 1, 2
    recent["a"] = 3  # set again: now b is the oldest
    recent["c"] = 4
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (3, None, 4)
    recent.forget("a")
    assert "a" not in recent
    ids = RecentIds(2)
    ids.add("abc")
    assert [id in ids for id in "abc"] == [False, True, True]


def test_what_one_commit_left_undone_the_next_ones_do_not_do_either() -> None:
    followed = Followed()
    followed.done("", "first")
    followed.done("first", "second")
    assert "second" in followed
    followed.done("failed", "fourth")  # what hung on "failed", the third, was not done
    followed.done("fourth", "fifth")
    assert "fourth" not in followed
    assert "fifth" not in followed
    followed.settled("fifth")
    followed.done("fifth", "sixth")
    assert "sixth" in followed
