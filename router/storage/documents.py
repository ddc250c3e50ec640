"""JSON documents in columns: cut into pieces that fit a property, refused when an entity cannot hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.models.sizes import LARGEST_WRITTEN, check_size, units

#: A string property holds 32 Ki UTF-16 units; a character outside the basic plane takes two.
_PIECE: Final = 16_000


def write_document(prefix: str, document: str, *, limit: int = LARGEST_WRITTEN) -> dict[str, str]:
    """Columns `<prefix>0`, `<prefix>1`, ... Raises TooLarge (413)."""
    if len(document) > limit // 6:
        check_size(units(document), limit)
    return {
        f"{prefix}{number}": document[start : start + _PIECE]
        for number, start in enumerate(range(0, len(document), _PIECE))
    }


def read_document(prefix: str, columns: Mapping[str, Any]) -> str:
    """The document that `write_document` cut; empty if there is none."""
    first = columns.get(f"{prefix}0", "")
    if f"{prefix}1" not in columns:
        return str(first)
    pieces = [str(first)]
    number = 1
    while (piece := columns.get(f"{prefix}{number}")) is not None:
        pieces.append(str(piece))
        number += 1
    return "".join(pieces)
