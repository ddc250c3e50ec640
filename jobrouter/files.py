"""The configuration as files: one for each kind, an object of resources by id, in the order of their ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jobrouter import kinds
from jobrouter.failure import CommandError
from router.migrate import documents
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Document, Kind

#: In the order in which they can be written: a queue names policies, a worker names queues.
CONFIGURATION: Final = (DISTRIBUTION, EXCEPTION, QUEUE, CLASSIFICATION, WORKER)
_NAMES: Final[Mapping[Kind, str]] = {kind: f"{name}.json" for name, kind in kinds.MANY.items()}

Configuration = dict[Kind, dict[str, Document]]


def name_of(kind: Kind) -> str:
    return _NAMES[kind]


def shown(kind: Kind, document: Mapping[str, Any]) -> Document:
    """What stands in a file: what can be written, without what the router says itself. Secrets are masked."""
    return documents.writable(kind, document)


def write(folder: Path, configuration: Configuration) -> None:
    """Each file as a whole or not at all. Raises CommandError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, resources in configuration.items():
            text = json.dumps(resources, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            draft = folder / f".{name_of(kind)}.new"
            draft.write_text(text, encoding="utf-8")
            draft.replace(folder / name_of(kind))
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}.") from None


def read(folder: Path) -> Configuration:
    """The kinds that have a file. Raises CommandError, which names the file and what is wrong."""
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder of exported files.")
    found = {kind: _read(folder / name_of(kind)) for kind in CONFIGURATION if (folder / name_of(kind)).is_file()}
    if not found:
        raise CommandError(f"{folder} has none of {', '.join(map(name_of, CONFIGURATION))}.")
    return found


def _read(path: Path) -> dict[str, Document]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CommandError(f"{path} cannot be read: {error}.") from None
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise CommandError(f"{path} must hold one JSON object: ids, and a resource for each.")
    if "" in value:
        raise CommandError(f"{path} has a resource with an empty id.")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two resources under one id JSON keeps the last, and nobody would know."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found
