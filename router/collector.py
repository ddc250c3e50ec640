"""How often Python looks for circles of garbage: seldom. Hardly anything here is one, and each look walks over all that
is alive: what was imported, rows that are remembered, every call that waits for storage."""

from __future__ import annotations

import gc
from functools import cache
from typing import Final

#: Objects more than before the youngest are looked at, then how many such looks before the older and the oldest are.
#: Python's own 700 means a look at every second request, and a look at everything several times a second in a storm.
#: A look takes 0.3 to 2 ms a thousand objects, and whoever waits for the interpreter waits for it: neither the young
#: nor the older ones must become many before they are looked at.
_SELDOM: Final = (1_000, 10, 120)


@cache
def collect_seldom() -> None:
    """Once a process, when it has started: what is there by now stays, and is not looked at again."""
    gc.set_threshold(*_SELDOM)
    gc.freeze()
