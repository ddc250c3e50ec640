"""What a process remembers of a queue between rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.storage.backlog import Waiting


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
    #: How far the line has been looked at in vain; the next round goes on there.
    reach: str | None = None
