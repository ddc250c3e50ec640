"""A change beside the days as they were, and what it does in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.replay.figures import Cell, Estimate, Figures, differences, estimates
from router.replay.names import FIGURES

_ORDER: Final = ("all", "queue", "channel", "skill", "hour", "queue and hour", "channel and hour", "skill and hour")


@dataclass(frozen=True)
class Comparison:
    """A change beside the day as it was, over replications."""

    name: str
    threshold: float
    before: Sequence[Figures]
    after: Sequence[Figures]

    def rows(self) -> list[tuple[Cell, dict[str, tuple[Estimate, Estimate, Estimate]]]]:
        """Of each cell and figure: before, after and their difference."""
        before, after = estimates(self.before), estimates(self.after)
        paired = differences(self.before, self.after)
        cells = sorted(set(before) & set(after), key=lambda cell: (_ORDER.index(cell[0]), cell[1]))
        return [
            (
                cell,
                {
                    name: (before[cell][name], after[cell][name], paired[cell][name])
                    for name in FIGURES
                    if cell in paired and name in before[cell] and name in after[cell] and name in paired[cell]
                },
            )
            for cell in cells
        ]

    def sentence(self, cell: Cell = ("all", "")) -> str:
        """What the change does, in one plain sentence."""
        whole = dict(self.rows()).get(cell, {})
        if "serviceLevel" not in whole:
            return f"{self.name}: nothing was assigned."
        before, after, change = whole["serviceLevel"]
        text = f"{self.name}: service level {before.mean:.0f} to {after.mean:.0f} %"
        if change.mean == change.half == 0.0:
            text += " (no difference)"
        elif math.isfinite(change.half):
            text += f" ({change.mean:+.1f} points, give or take {change.half:.1f}"
            text += ": it may be chance)" if may_be_chance(change) else ")"
        was, wait = (_seconds(one.mean) for one in whole["p80"][:2])
        return f"{text}; four of five wait less than {wait}{' as before' if wait == was else f' instead of {was}'}."


def may_be_chance(change: Estimate) -> bool:
    """Whether a difference may as well be none. That there is none in any replication is no chance."""
    if change.mean == change.half == 0.0:
        return False
    return not (math.isfinite(change.half) and abs(change.mean) > change.half)


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 180 else f"{value / 60:.1f} min"
