"""What hangs on a commit is done by whoever wrote it, or at its settle deadline."""

from __future__ import annotations

from router.commit.followed import Followed


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
