"""Checking a policy's rules when it is saved: an expression that does not compile, or a URI that no call could use, is
refused then (400), not when a job arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from router.errors import ErrorDetail
from router.models.policies import MAX_ATTACHMENTS
from router.models.types import MAX_TEXT_LENGTH
from router.rules.powerfx import PowerFxSyntaxError, compile_expression
from router.rules.uris import MAX_URI, is_secure

#: What an expression may name: labels of the job; in scoring also the worker's (or workers') and the selectors.
_NAMES: Final = ("job",)
_SCORING_NAMES: Final = ("job", "worker", "workers", "selectors")
#: Of all expressions of a policy together: compiling takes a hundredth of a millisecond a character.
MOST_EXPRESSIONS: Final = 64_000
_URIS: Final = {"function": ("functionUri",), "webhook": ("webhookUri", "authorizationServerUri")}
#: No valid policy has more: one rule, and one in each attachment of both kinds.
_MAX_RULES: Final = 1 + 2 * MAX_ATTACHMENTS


def rule_problems(document: Mapping[str, Any], *, http_on_loopback: bool = False) -> list[ErrorDetail]:
    """What is wrong with the rules of a policy, and where. The policy need not be valid otherwise: what has another
    type or length than it must have is left to validation. `http_on_loopback`: ROUTER_RULES_ALLOW_HTTP_LOOPBACK."""
    found: list[ErrorDetail] = []
    characters = sum(len(text) for text, _ in expressions_of(document))
    if characters > MOST_EXPRESSIONS:
        message = f"The expressions of a policy have at most {MOST_EXPRESSIONS} characters together, not {characters}."
        return [ErrorDetail("InvalidExpression", message)]
    for path, rule in islice(_rules(document, ""), _MAX_RULES):
        if rule["kind"] == "expression":
            found += _expression_problems(f"{path}.expression", rule.get("expression"))
        else:
            for name in _URIS[rule["kind"]]:
                found += _uri_problems(f"{path}.{name}", rule.get(name), http_on_loopback)
    return found


def expressions_of(document: Any) -> list[tuple[str, tuple[str, ...]]]:
    """The different expressions of a policy with the names that each may use, as far as they are to be compiled."""
    found = [
        (rule["expression"], _names_at(f"{path}.expression"))
        for path, rule in islice(_rules(document, ""), _MAX_RULES)
        if rule["kind"] == "expression" and isinstance(rule.get("expression"), str)
    ]
    return list(dict.fromkeys(found))


def _names_at(path: str) -> tuple[str, ...]:
    return _SCORING_NAMES if path.endswith("scoringRule.expression") else _NAMES


def _rules(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rules that have something to check, with their places."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        if kind == "static" and "value" in value:
            return  # the client's own data
        if kind == "expression" or (isinstance(kind, str) and kind in _URIS):
            yield path, value
            return
        for name, inner in value.items():
            yield from _rules(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _rules(inner, f"{path}[{number}]")


def _expression_problems(path: str, expression: Any) -> Iterator[ErrorDetail]:
    if not isinstance(expression, str) or len(expression) > MAX_TEXT_LENGTH:
        return
    if not expression.strip():  # in Power Fx a blank, which no rule can use
        yield ErrorDetail("InvalidExpression", "The expression is empty.", path)
        return
    try:
        compile_expression(expression, _names_at(path))
    except PowerFxSyntaxError as error:
        yield ErrorDetail("InvalidExpression", f"The expression does not compile: {error}", path)


def _uri_problems(path: str, uri: Any, http_on_loopback: bool) -> Iterator[ErrorDetail]:
    """The form and the scheme; which addresses may be called is decided at the call. No message quotes the URI: it may
    hold a key."""
    if not isinstance(uri, str) or len(uri) > MAX_TEXT_LENGTH:
        return
    if wrong := _wrong_with(uri, http_on_loopback):
        accepted = "an absolute https URI" + (", or http to loopback" if http_on_loopback else "")
        yield ErrorDetail("InvalidValue", f"'{path}' must be {accepted}: {wrong}.", path)


def _wrong_with(uri: str, http_on_loopback: bool) -> str | None:
    from yarl import URL  # on first use: most routers have no such rules

    if len(uri) > MAX_URI:
        return f"it has {len(uri)} characters, more than {MAX_URI}"
    if any(letter.isspace() or not letter.isprintable() for letter in uri):
        return "it has spaces or control characters"
    try:
        url = URL(uri)
        host, port = url.host, url.port
    except ValueError:
        return "it is not a URI"
    if not is_secure(url.scheme, host, http_on_loopback=http_on_loopback):
        return f"its scheme is '{url.scheme[:20]}'" if url.scheme else "it has no scheme"
    if not host or not port:
        return "it has no host" if port else "its port is 0"
    if url.user is not None or url.password is not None:
        return "it holds a user name or a password"
    return None
