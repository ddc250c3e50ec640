"""Bounds on what a user's expression may cost, and the purse that one evaluation spends from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router.rules.powerfx.errors import BudgetError


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds. `clock` (seconds, monotonic) comes from outside, as this package reads no clock;
    without one the steps alone bound the time: a step costs a microsecond or two.
    """

    expression_length: int = 8_000
    depth: int = 80
    steps: int = 250_000
    text_length: int = 100_000
    table_rows: int = 50_000
    json_length: int = 100_000
    json_depth: int = 64
    seconds: float = 0.15
    clock: Callable[[], float] | None = None
    #: Lets others have the interpreter for so many seconds, after what had to hold it.
    pause: Callable[[float], None] | None = None


DEFAULT_LIMITS = Limits()


class Budget:
    """The steps left in one evaluation."""

    __slots__ = ("clock", "deadline", "left", "limits", "next_look")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.left = limits.steps
        self.clock = limits.clock
        self.deadline = limits.clock() + limits.seconds if limits.clock is not None else 0.0
        self.next_look = limits.steps

    def spend(self, steps: int) -> None:
        left = self.left = self.left - steps
        if left < 0:
            raise BudgetError("the expression takes too many steps")
        if self.clock is not None and left < self.next_look:
            self.next_look = left - 50
            if self.clock() > self.deadline:
                raise BudgetError("the expression takes too long")

    def text(self, length: int) -> None:
        """Account for a text of this length before or just after it is made."""
        if length > self.limits.text_length:
            raise BudgetError("a text in the expression grows too long")
        if length > 128:
            self.spend(length >> 7)

    def rows(self, count: int) -> None:
        """Account for a table of this many rows before it is made."""
        if count > self.limits.table_rows:
            raise BudgetError("a table in the expression grows too large")
        self.spend(1 + count)
