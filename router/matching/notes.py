"""What a process remembers of a queue between rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from router.storage.backlog import Waiting

#: Jobs that one round takes on at most, and at least where rounds take long.
MOST_JOBS: Final = 100
_FEWEST_JOBS: Final = 4
_FIRST_JOBS: Final = 16
#: A round that takes no longer ends long before its hold.
_GOOD_SECONDS: Final = 0.6


@dataclass
class Notes:
    """What a process remembers of a queue: only ever to save work."""

    #: Needs that nobody who is available can meet: an example of who has them.
    hopeless: dict[str, Waiting] = field(default_factory=dict)
    #: More workers are available than are read at once.
    is_large: bool = False
    rounds: int = 0
    #: Rows of the index that tell of a worker as it was (rows.py, `distrust`): not looked at.
    outdated: set[str] = field(default_factory=set)
    #: Jobs were left to other queues' rounds, and these have not taken the workers that they were left for.
    left_in_vain: bool = False
    #: How far the line has been looked at in vain; the next round goes on there.
    reach: str | None = None
    #: Jobs that a round takes on: so few that it ends long before its hold does. It begins with few.
    most: int = _FIRST_JOBS

    def took(self, seconds: float, jobs: int) -> None:
        """A round took so long for so many jobs: the next one takes on what can be done in good time."""
        if jobs:
            fits = int(jobs * _GOOD_SECONDS / max(seconds, 0.001))
            self.most = max(_FEWEST_JOBS, min(fits, 2 * self.most, MOST_JOBS))

    def failed_to_match(self) -> None:
        """Those whom a round took on could not be matched, and others were left: the next one looks further."""
        self.most = min(2 * self.most, MOST_JOBS)

    def failed(self) -> None:
        """A round did not come to its end, perhaps since it was too long."""
        self.most = max(_FEWEST_JOBS, self.most // 2)
