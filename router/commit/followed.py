"""Which commits this process has followed up itself."""

from __future__ import annotations

from router.recent import RecentIds


class Followed:
    """Commits after which this process has done all that hangs on the row. What a commit that was not followed to its
    end has left undone, those that build on it do not do either: neither are they followed."""

    def __init__(self, most: int = 10_000) -> None:
        self._commits = RecentIds(most)

    def done(self, before: str, after: str) -> None:
        """What hangs on the commit `after` has been done; `before` is the one that it builds on, none for the first."""
        if not before or before in self._commits:
            self._commits.add([after])

    def settled(self, commit: str) -> None:
        """Everything that hangs on the row has been looked at."""
        self._commits.add([commit])

    def __contains__(self, commit: str) -> bool:
        return commit in self._commits
