"""Route templates of HTTP triggers, matched as the Functions host matches them.

The host tries its routes in alphabetical order of the functions' names and takes the first that fits path and method;
there is no "literal before parameter". `unreachable` finds functions that this rule hides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

_NAME: Final = re.compile(r"[^/{}?*:=]+")
_ESCAPES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SPLIT: Final = re.compile(r"((?:%[0-9A-Fa-f]{2})+)")


class RouteError(ValueError):
    """A route template that the Functions host would refuse, or that this host does not support."""


@dataclass(frozen=True, slots=True)
class Literal:
    text: str
    folded: str


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    catch_all: bool = False
    optional: bool = False


Part = Literal | Parameter
Segment = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One function's route: `methods` are upper case, None stands for every method."""

    function: str
    template: str
    methods: frozenset[str] | None
    segments: tuple[Segment, ...]

    def allows(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def match(self, path: Sequence[str], folded: Sequence[str]) -> dict[str, str] | None:
        """Route values when the decoded path segments fit; `folded` are the same without case."""
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            first = segment[0]
            if index >= len(path):
                if isinstance(first, Parameter) and len(segment) == 1 and (first.catch_all or first.optional):
                    continue
                return None
            if len(segment) > 1:
                found = match_complex(segment, path[index])
                if found is None:
                    return None
                values.update(found)
            elif isinstance(first, Literal):
                if first.folded != folded[index]:
                    return None
            elif first.catch_all:
                # An empty segment inside a catch-all is kept; one before it matches nothing.
                if not path[index]:
                    return None
                values[first.name] = "/".join(path[index:])
                return values
            elif not path[index]:
                return None
            else:
                values[first.name] = path[index]
        return values if len(path) <= len(self.segments) else None


def make_route(function: str, template: str, methods: Iterable[str] | None, prefix: str = "") -> Route:
    """A route as the host registers it, with the prefix of host.json. HEAD is a method like others."""
    verbs = None if methods is None else {method.upper() for method in methods}
    full = f"{prefix.strip('/')}/{template}" if prefix.strip("/") else template
    return Route(function, full, None if verbs is None else frozenset(verbs), parse_template(full))


def parse_template(template: str) -> tuple[Segment, ...]:
    if template.startswith(("/", "~")) or "?" in re.sub(r"\{[^{}]*\}", "", template):
        raise RouteError(f"route {template!r}: must not start with '/' or '~', nor contain '?'")
    texts = template.split("/") if template else []
    segments = tuple(_parse_segment(template, text) for text in texts)
    parameters = [part for segment in segments for part in segment if isinstance(part, Parameter)]
    names = [parameter.name.lower() for parameter in parameters]
    if len(set(names)) != len(names):
        raise RouteError(f"route {template!r}: a parameter name appears twice")
    if any(parameter.catch_all for parameter in parameters[:-1]) or (
        parameters and parameters[-1].catch_all and not isinstance(segments[-1][0], Parameter)
    ):
        raise RouteError(f"route {template!r}: a catch-all parameter must be the last segment")
    return segments


def _parse_segment(template: str, text: str) -> Segment:
    parts: list[Part] = []
    for piece in re.split(r"(\{[^{}]*\})", text):
        if not piece:
            continue
        if not (piece.startswith("{") and piece.endswith("}")):
            if "{" in piece or "}" in piece:
                raise RouteError(f"route {template!r}: braces do not match in {text!r}")
            parts.append(Literal(piece, fold(piece)))
            continue
        inner = piece[1:-1]
        if ":" in inner or "=" in inner:
            raise RouteError(f"route {template!r}: this host knows no constraints or defaults ({piece})")
        name = inner.lstrip("*").removesuffix("?")
        if not _NAME.fullmatch(name):
            raise RouteError(f"route {template!r}: {piece} is not a parameter")
        if parts and isinstance(parts[-1], Parameter):
            raise RouteError(f"route {template!r}: two parameters in a row in {text!r}")
        parts.append(Parameter(name, inner.startswith("*"), inner.endswith("?")))
    if not parts:
        raise RouteError(f"route {template!r}: a segment is empty")
    if len(parts) > 1 and any(isinstance(part, Parameter) and (part.catch_all or part.optional) for part in parts):
        raise RouteError(f"route {template!r}: {text!r} mixes literals with a catch-all or optional parameter")
    return tuple(parts)


def match_complex(parts: Segment, text: str) -> dict[str, str] | None:
    """A segment of literals and parameters, read from the right: each literal is taken at its last occurrence."""
    folded = fold(text)
    values: dict[str, str] = {}
    end = len(text)
    pending: Parameter | None = None
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Parameter):
            pending = part
            if index == 0:
                if end == 0:
                    return None
                values[part.name] = text[:end]
                end = 0
            continue
        # A parameter to the right needs at least one character.
        limit = end - 1 if pending else end
        at = folded.rfind(part.folded, 0, limit) if limit > 0 else -1
        if at < 0 or (index == len(parts) - 1 and at + len(part.text) != len(text)):
            return None
        if pending:
            value = text[at + len(part.text) : end]
            if not value:
                return None
            values[pending.name] = value
            pending = None
        end = at
    return values if end == 0 else None


def fold(text: str) -> str:
    """Lower case, character by character, so that positions stay the same."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def decode_path(raw: str) -> str | None:
    """The path as the platform's web server hands it on: decoded once, but `%2F` stays; None if it is refused."""
    if "%" in raw:
        if "%00" in raw:
            return None
        raw = _ESCAPES.sub(_decode_run, raw)
    if _has_dots(raw):
        kept: list[str] = []
        segments = raw.split("/")[1:]
        for position, segment in enumerate(segments):
            if segment == "..":
                if kept:
                    kept.pop()
            elif segment != ".":
                kept.append(segment)
                continue
            if position == len(segments) - 1:
                kept.append("")
        raw = "/" + "/".join(kept)
    return raw


def has_dot_segments(raw: str) -> bool:
    """Whether the host takes something out of this path: `.` and `..` as segments."""
    return _has_dots(_ESCAPES.sub(_decode_run, raw)) if "%" in raw else _has_dots(raw)


def _has_dots(path: str) -> bool:
    return "/." in path and any(segment in (".", "..") for segment in path.split("/"))


def _decode_run(match: re.Match[str]) -> str:
    run = match.group()
    pieces = re.split(r"(%2[Ff])", run)
    decoded = []
    for piece in pieces:
        if piece[:3].upper() == "%2F" or not piece:
            decoded.append(piece)
            continue
        try:
            decoded.append(bytes.fromhex(piece.replace("%", "")).decode())
        except UnicodeDecodeError:
            decoded.append(piece)
    return "".join(decoded)


def rebuild_path(decoded: str) -> str:
    """A decoded path as the host writes it into the address that it hands over (ASP.NET Core's `PathString`): what
    looks like an escape stays, though it may be text."""
    return "".join(
        part if _ESCAPES.fullmatch(part) else quote(part, safe="/!$&'()*+,;=:@~") for part in _SPLIT.split(decoded)
    )


class Router:
    """Finds the function for a method and a decoded path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: Final = sorted(routes, key=lambda route: route.function.upper())
        self._open_ended = [route for route in self.routes if _open_ended(route)]
        self._candidates: dict[tuple[str, int], list[Route]] = {}

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """Function name and route values, or None when no route fits."""
        segments = path[1:].split("/") if len(path) > 1 else []
        if segments and not segments[-1]:
            segments.pop()  # one trailing slash is nothing to the host
        if segments and not segments[0]:
            return None
        folded = [fold(segment) for segment in segments]
        for route in self._for(method, len(segments)):
            values = route.match(segments, folded)
            if values is not None:
                return route.function, values
        return None

    def _for(self, method: str, length: int) -> list[Route]:
        candidates = self._candidates.get((method, length))
        if candidates is None:
            candidates = [
                route
                for route in self.routes
                if route.allows(method) and (len(route.segments) == length or route in self._open_ended)
            ]
            if len(self._candidates) < 512:  # methods and lengths are the caller's: keep it small
                self._candidates[method, length] = candidates
        return candidates


def _open_ended(route: Route) -> bool:
    last = route.segments[-1][0] if route.segments else None
    return isinstance(last, Parameter) and (last.catch_all or last.optional)


def unreachable(routes: Iterable[Route]) -> list[str]:
    """Messages about routes that can never be taken because an earlier one takes all their requests."""
    messages = []
    ordered = Router(routes).routes
    for index, route in enumerate(ordered):
        for earlier in ordered[:index]:
            if not _covers(earlier.segments, route.segments):
                continue
            if earlier.methods is None:
                hidden = route.methods or frozenset({"every method"})
            else:
                hidden = earlier.methods & (route.methods or earlier.methods)
            if hidden:
                messages.append(
                    f"{earlier.function} ({earlier.template}) hides {route.function} ({route.template}) "
                    f"for {', '.join(sorted(hidden))}: routes are tried in alphabetical order of function names"
                )
    return messages


def _covers(wide: tuple[Segment, ...], narrow: tuple[Segment, ...]) -> bool:
    for index, segment in enumerate(wide):
        first = segment[0]
        if len(segment) == 1 and isinstance(first, Parameter):
            if first.catch_all:
                return True
            if index >= len(narrow):
                return first.optional
            other = narrow[index][0]
            if len(narrow[index]) == 1 and isinstance(other, Parameter) and other.catch_all:
                return False
            continue
        if index >= len(narrow) or not _same(segment, narrow[index]):
            return False
    return len(wide) == len(narrow)


def _same(one: Segment, other: Segment) -> bool:
    return len(one) == len(other) and all(
        (isinstance(a, Parameter) and isinstance(b, Parameter))
        or (isinstance(a, Literal) and isinstance(b, Literal) and a.folded == b.folded)
        for a, b in zip(one, other, strict=True)
    )
