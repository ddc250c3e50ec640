"""Secrets of rules. No router shows them, so they are supplied anew: from a file, or by whoever is asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from router.migrate.failure import MigrationError
from router.migrate.kinds import Document, Kind
from router.rules.secrets import MASK

Path_ = tuple[str | int, ...]
#: By kind of rule: the object of its credentials, and the secrets in it.
_PLACES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "function": ("credential", ("functionKey", "appKey")),
    "webhook": ("clientCredential", ("clientSecret",)),
}


class Secrets:
    """Secrets by where they belong: `ClassificationPolicy/<id>/prioritizationRule/credential/functionKey`. An empty
    one says that there is none."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})

    @classmethod
    def read(cls, file: str) -> Secrets:
        try:
            known = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MigrationError(f"The secrets file {file} cannot be read: {error}") from None
        if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
            raise MigrationError(f"The secrets file {file} must hold one JSON object of places and secrets.")
        return cls(known)

    def add(self, place: str, secret: str) -> None:
        self._known[place] = secret

    def fill(self, kind: Kind, id: str, body: Document, there: Mapping[str, Any] | None) -> tuple[Document, list[str]]:
        """The policy with the secrets that are known, and the places of those that are missing. What the other side
        has already stays there: written as the mask, it means "unchanged"."""
        filled = copy.deepcopy(body)
        missing: list[str] = []
        for path, rule in _rules(filled, ()):
            holder_name, names = _PLACES[str(rule["kind"])]
            kept = _at(there, (*path, holder_name)) or {}
            shown = rule.get(holder_name) or {}
            holder = {name: value for name, value in shown.items() if name not in names or not _hidden(value)}
            places = {name: _text(kind, id, (*path, holder_name, name)) for name in names}
            said = {name: self._known[place] for name, place in places.items() if place in self._known}
            for name in names:
                if said.get(name):
                    holder[name] = said[name]
                elif name not in said and kept.get(name) == MASK:
                    holder[name] = MASK
            if not said and not any(name in holder for name in names):
                expected = [name for name in names if name in shown] or [names[0]]
                if expected[0] in shown or _needs(rule):
                    missing += [places[name] for name in expected]
            if holder:
                rule[holder_name] = holder
            else:
                rule.pop(holder_name, None)
        return filled, missing

    def touches(self, kind: Kind, id: str) -> bool:
        """Whether a secret of this policy is supplied: it is written even if all else is equal."""
        return any(place.startswith(f"{kind.name}/{id}/") and secret for place, secret in self._known.items())


def _needs(rule: Mapping[str, Any]) -> bool:
    """A rule that shows no credential may have one: a function rule often, a webhook with its own login always."""
    return rule.get("kind") == "function" or bool(rule.get("authorizationServerUri"))


def _hidden(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip("*")


def _rules(value: Any, path: Path_) -> Iterator[tuple[Path_, Document]]:
    items: Sequence[tuple[str | int, Any]]
    if isinstance(value, list):
        items = list(enumerate(value))
    elif isinstance(value, dict):
        if value.get("kind") in _PLACES:
            yield path, value
        items = [
            (name, item) for name, item in value.items() if not (value.get("kind") == "static" and name == "value")
        ]
    else:
        return
    for name, item in items:
        yield from _rules(item, (*path, name))


def _at(document: Any, path: Path_) -> Any:
    for name in path:
        if isinstance(document, list) and isinstance(name, int) and name < len(document):
            document = document[name]
        elif isinstance(document, Mapping):
            document = document.get(str(name))
        else:
            return None
    return document


def _text(kind: Kind, id: str, path: Path_) -> str:
    return "/".join([kind.name, id, *map(str, path)])
