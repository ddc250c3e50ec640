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
            sure = abs(change.mean) > change.half
            text += f" ({change.mean:+.1f} points, give or take {change.half:.1f}"
            text += ")" if sure else ": it may be chance)"
        wait = whole["p80"]
        return f"{text}; four of five wait less than {_seconds(wait[1].mean)} instead of {_seconds(wait[0].mean)}."


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 180 else f"{value / 60:.1f} min"
