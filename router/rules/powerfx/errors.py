"""What can go wrong: the error kinds of Power Fx, and the two exceptions that leave this package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ERROR_KINDS: Final = {
    "None": 0,
    "Sync": 1,
    "MissingRequired": 2,
    "CreatePermission": 3,
    "EditPermissions": 4,
    "DeletePermissions": 5,
    "Conflict": 6,
    "NotFound": 7,
    "ConstraintViolated": 8,
    "GeneratedValue": 9,
    "ReadOnlyValue": 10,
    "Validation": 11,
    "Unknown": 12,
    "Div0": 13,
    "BadLanguageCode": 14,
    "BadRegex": 15,
    "InvalidFunctionUsage": 16,
    "FileNotFound": 17,
    "AnalysisError": 18,
    "ReadPermission": 19,
    "NotSupported": 20,
    "InsufficientMemory": 21,
    "QuotaExceeded": 22,
    "Network": 23,
    "Numeric": 24,
    "InvalidArgument": 25,
    "Internal": 26,
    "NotApplicable": 27,
    "Timeout": 28,
    "ServiceUnavailable": 29,
    "InvalidJSON": 30,
    "Custom": 1000,
}
KIND_NAMES: Final = {number: name for name, number in ERROR_KINDS.items()}
BUDGET_EXCEEDED: Final = "BudgetExceeded"


class PowerFxError(Exception):
    """A runtime error. Inside the evaluator it is an ordinary value; `evaluate` raises it.

    `kinds` names every joined error in order, `kind` the first of them.
    """

    def __init__(self, kind: str, message: str = "", details: tuple[tuple[str, str], ...] | None = None) -> None:
        self.details: tuple[tuple[str, str], ...] = details or ((kind, message),)
        self.kind = kind
        self.message = message or kind
        super().__init__(self.message)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.details]


class PowerFxSyntaxError(PowerFxError):
    """The expression cannot be compiled. `position` is (line, column), both from 1."""

    def __init__(self, message: str, offset: int = 0, text: str = "") -> None:
        super().__init__("Syntax", message)
        self.offset = offset
        before = text[:offset]
        self.position: tuple[int, int] = (before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
        self.args = (f"{message} (line {self.position[0]}, column {self.position[1]})",)


class BudgetError(Exception):
    """A limit was exceeded. Not a Power Fx value, so that no expression can catch it."""


def join_errors(errors: Iterable[PowerFxError]) -> PowerFxError:
    """One error value out of several, as Power Fx joins the errors of a function's arguments."""
    found = list(errors)
    if len(found) == 1:
        return found[0]
    details = tuple(detail for error in found for detail in error.details)
    return PowerFxError(details[0][0], details[0][1], details)
