"""Secrets of rules. No router shows them, so they are supplied anew: from a file, or by whoever is asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from router.migrate.failure import MigrationError
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, Document, Kind
from router.migrate.own import is_own
from router.rules.secrets import MASK

Path_ = tuple[str | int, ...]
#: By kind of rule: the object of its credentials, and the secrets in it.
_PLACES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "function": ("credential", ("functionKey", "appKey")),
    "webhook": ("clientCredential", ("clientSecret",)),
}
#: What has rules that may have secrets.
HOLDING: Final = (DISTRIBUTION, CLASSIFICATION)


class Secrets:
    """Secrets by where they belong: `ClassificationPolicy/<id>/prioritizationRule/credential/functionKey`. An empty
    one says that there is none."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})

    @classmethod
    def read(cls, file: str) -> Secrets:
        try:
            known = json.loads(Path(file).read_text(encoding="utf-8-sig"))
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
            if any(name in shown for name in names):
                missing += [places[name] for name in names if name in shown and name not in (*holder, *said)]
            elif _needs(rule) and not said and not any(name in holder for name in names):
                missing.append(places[names[0]])
            if holder:
                rule[holder_name] = holder
            else:
                rule.pop(holder_name, None)
        return filled, missing

    def touches(self, kind: Kind, id: str, document: Document) -> bool:
        """Whether a secret of this policy is supplied: it is written even if all else is equal."""
        return any(self._known.get(place) for place in _places(kind, id, document))

    def unknown(self, policies: Iterable[tuple[Kind, str, Document]]) -> list[str]:
        """The places that no rule of these policies has, misspelt perhaps. What does not look like a place may be a
        secret that stands in the wrong column: it is told by its number."""
        known = {place for policy in policies for place in _places(*policy)}
        return [
            place if _looks_like_a_place(place) else f"entry {number} of the file"
            for number, place in enumerate(self._known, 1)
            if place not in known
        ]


def lost(kind: Kind, id: str, document: Document, there: Document) -> list[str]:
    """The places of the secrets that a policy shows, masked, and that are not there on the other side."""
    return sorted(_shown(kind, id, document) - _shown(kind, id, there))


def _shown(kind: Kind, id: str, document: Document) -> set[str]:
    return {place for place, value in _places(kind, id, document).items() if value}


def _places(kind: Kind, id: str, document: Document) -> dict[str, Any]:
    """Where a policy's rules may have secrets, and what they show there."""
    return {
        _text(kind, id, (*path, holder, name)): (rule.get(holder) or {}).get(name)
        for path, rule in _rules(document, ())
        for holder, names in (_PLACES[str(rule["kind"])],)
        for name in names
    }


def _looks_like_a_place(text: str) -> bool:
    parts = text.split("/")
    names = {name for _, names in _PLACES.values() for name in names}
    return len(parts) > 2 and (parts[0] in {kind.name for kind in HOLDING} or parts[-1] in names)


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
        items = [(name, item) for name, item in value.items() if not is_own(value, name)]
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
