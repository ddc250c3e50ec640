"""Files as the router spells them: it takes names and enumerations in any case, and answers with its own.

What it would drop without a word is refused: a name that it does not know is a slip of whoever wrote the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from jobrouter import files, output
from jobrouter.failure import CommandError
from jobrouter.files import Configuration
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Kind
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.workers import RouterWorkerInput
from router.wire.names import canonicalise

_MODELS: Final[Mapping[Kind, type[BaseModel]]] = {
    DISTRIBUTION: DistributionPolicy,
    EXCEPTION: ExceptionPolicy,
    QUEUE: RouterQueue,
    CLASSIFICATION: ClassificationPolicy,
    WORKER: RouterWorkerInput,
}


def spelled(configuration: Configuration) -> Configuration:
    """The same in the router's spelling. Raises CommandError for a name that the router does not know."""
    found: Configuration = {kind: {} for kind in configuration}
    for kind, resources in configuration.items():
        for id, document in resources.items():
            written = files.shown(kind, document)
            found[kind][id] = canonicalise(written, _MODELS[kind])
            for name in _unknown(written, found[kind][id], ""):
                raise CommandError(
                    f"{files.name_of(kind)}: {output.clean(id)} has {output.clean(name)}, which no {kind.name} has."
                )
    return found


def unknown(written: Any, document: Any, model: type[BaseModel]) -> str | None:
    """The path of a name that stands in `written` and that the router would drop from `document`, which has it too."""
    return next(_unknown(written, canonicalise(document, model), ""), None)


def _unknown(written: Any, kept: Any, path: str) -> Iterator[str]:
    """The paths of what was dropped. A null says nothing, and may go."""
    if isinstance(written, Mapping) and isinstance(kept, Mapping):
        by_name = {name.lower(): value for name, value in kept.items()}
        for name, value in written.items():
            here = f"{path}.{name}" if path else name
            if name.lower() in by_name:
                yield from _unknown(value, kept[name] if name in kept else by_name[name.lower()], here)
            elif value is not None:
                yield here
    elif isinstance(written, list) and isinstance(kept, list):
        for number, (one, other) in enumerate(zip(written, kept, strict=True)):
            yield from _unknown(one, other, f"{path}[{number}]")
