"""Texts of enumerations as clients of all ages write them (docs/behaviour.md, "Requests")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: Names of older builds, folded, to today's: rules and attachments had their place in their kind, and operators of
#: order had no "or".
_FORMER: Final[Mapping[str, str]] = {
    "staticrule": "static",
    "directmaprule": "directmap",
    "expressionrule": "expression",
    "functionrule": "function",
    "azurefunctionrule": "function",
    "webhookrule": "webhook",
    "staticqueueselector": "static",
    "staticworkerselector": "static",
    "conditionalqueueselector": "conditional",
    "conditionalworkerselector": "conditional",
    "passthroughqueueselector": "passthrough",
    "passthroughworkerselector": "passthrough",
    "ruleenginequeueselector": "ruleengine",
    "ruleengineworkerselector": "ruleengine",
    "weightedallocationqueueselector": "weightedallocation",
    "weightedallocationworkerselector": "weightedallocation",
    "queueandmatchmode": "queueandmatch",
    "scheduleandsuspendmode": "scheduleandsuspend",
    "suspendmode": "suspend",
    "lessthanequal": "lessthanorequal",
    "greaterthanequal": "greaterthanorequal",
}


def folded(text: str) -> str:
    """The text without regard to case and to the dashes of kebab-case."""
    return text.lower().replace("-", "")


def by_folded(values: Iterable[str]) -> dict[str, str]:
    """Today's texts by every folded text that stands for one of them."""
    own = {folded(value): value for value in values}
    return {**{former: own[now] for former, now in _FORMER.items() if now in own}, **own}
