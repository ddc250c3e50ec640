"""Checking a policy's rules when it is saved: an expression that does not compile is refused then (400), not when a
job arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router.errors import BadRequest, ErrorDetail
from router.rules.powerfx import PowerFxSyntaxError, compile_expression

#: What an expression may name: labels of the job; in scoring also the worker's (or workers') and the selectors.
_NAMES = ("job",)
_SCORING_NAMES = ("job", "worker", "workers", "selectors")


def check_rules(document: Mapping[str, Any]) -> None:
    """Raises BadRequest that names each expression that does not compile, and where."""
    details: list[ErrorDetail] = []
    for path, expression in _expressions(document, ""):
        names = _SCORING_NAMES if path.endswith("scoringRule.expression") else _NAMES
        try:
            compile_expression(expression, names)
        except PowerFxSyntaxError as error:
            details.append(ErrorDetail("InvalidExpression", f"The expression does not compile: {error}", path))
    if details:
        raise BadRequest(f"{details[0].target}: {details[0].message}", details=details)


def _expressions(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if value.get("kind") == "static" and "value" in value:
            return  # the client's own data
        if value.get("kind") == "expression" and isinstance(value.get("expression"), str):
            yield f"{path}.expression".lstrip("."), value["expression"]
            return
        for name, inner in value.items():
            yield from _expressions(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _expressions(inner, f"{path}[{number}]")
