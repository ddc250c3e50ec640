"""What a played day is measured by."""

from __future__ import annotations

from typing import Final

#: Shares in percent, waits in seconds.
FIGURES: Final = ("serviceLevel", "meanWait", "p50", "p80", "p95", "abandonment", "occupancy")
