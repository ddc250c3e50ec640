"""How large things may be, counted as storage counts them: UTF-16 units of their JSON, or half the bytes in which that
travels, whichever is more. Letters that are not ASCII travel escaped: most of them count as three.

What a client writes is bounded when it is written, and leaves room in its row (LARGEST_ROW) for all that its life adds.
So what was accepted can be offered, accepted, completed, closed, cancelled and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from router.errors import TooLarge
from router.models.types import Model

#: What a client may write of a job, a worker, a queue or a policy.
LARGEST_WRITTEN: Final = 160_000
#: A job with the labels and selectors that policies and rules have added.
LARGEST_ROUTED: Final = 180_000
#: A job with the notes of its actions.
LARGEST_NOTED: Final = 230_000
#: Of the 512 Ki units of an entity; the rest is for its columns.
LARGEST_ROW: Final = 500_000
#: What a worker's row keeps for the jobs that it holds.
LARGEST_HELD: Final = 300_000
#: Live offers of one job, whatever its policy says.
MOST_OFFERS: Final = 50
#: What a job remembers of who declined it, of offers that ended, and of exception rules that are still to be run.
LARGEST_DECLINED: Final = 40_000
LARGEST_ENDED: Final = 40_000
LARGEST_TRIGGERED: Final = 30_000
#: Characters of JSON that a page of a list has together: one that would have more ends early, with a nextLink.
LARGEST_PAGE: Final = 4_000_000
#: Reasons that the router writes into a job.
LONGEST_REASON: Final = 2_000


def units(text: str) -> int:
    """The size of a text in storage."""
    if text.isascii():
        return len(text)
    return max(len(text.encode("utf-16-le", "surrogatepass")) // 2, (len(json.dumps(text)) - 1) // 2)


def json_units(value: Any) -> int:
    """The size of a value as JSON."""
    return units(to_json(value, inf_nan_mode="null").decode("utf-8", "surrogatepass"))


def written_units(model: Model, fields: Mapping[str, Any]) -> int:
    """The size of these fields of a model as JSON."""
    return units(model.model_dump_json(by_alias=True, exclude_none=True, include=set(fields)))


def id_units(id: str) -> int:
    """The size of an id, at most."""
    if not id.isascii():
        return 6 * len(id)
    return len(id) if '"' not in id and "\\" not in id else 2 * len(id)


#: What a note, a selector, an offer, an assignment takes to read and to write, beside its text: as much as so many
#: characters.
_OF_A_PART: Final = 200


def within_a_page(sizes: Sequence[int], most: int) -> int:
    """How many of the first things of these sizes a page shows: `most`, or as many as are together no larger than a
    page may be, and one in any case."""
    together = 0
    for number, size in enumerate(sizes[:most]):
        together += size
        if together > LARGEST_PAGE and number:
            return number
    return min(len(sizes), most)


def weight(*parts: Mapping[str, Any] | Collection[Any]) -> int:
    """About how many characters these have as JSON, worked out at once: of labels, tags and lists of parts."""
    found = 0
    for part in parts:
        values = part.values() if isinstance(part, Mapping) else part
        found += sum(len(value) for value in values if isinstance(value, str)) + 20 * len(part)
    return found


def parts_weight(parts: Collection[Any], text: Callable[[Any], Any] | None = None) -> int:
    """The same of parts that are models; `text` is what may be long in one."""
    found = _OF_A_PART * len(parts)
    if text is not None and parts:
        found += sum(len(value) for value in map(text, parts) if isinstance(value, str))
    return found


def check_size(size: int, limit: int, what: str = "The resource") -> None:
    """Raises TooLarge (413) for what would have this size as JSON."""
    if size > limit:
        raise TooLarge(
            f"{what} has {size} characters as JSON, as storage counts them; at most {limit} can be stored.",
            code="ResourceTooLarge",
        )
