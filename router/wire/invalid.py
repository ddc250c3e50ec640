"""The refusal of a document goes with the document: what it names is looked up too, so that one answer tells all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from router.errors import BadRequest, ErrorDetail

Document = dict[str, Any]


class InvalidDocument(BadRequest):
    """The 400 for a document with invalid fields. It goes along, so that references in the others are looked up too."""

    def __init__(self, refused: BadRequest, document: Document) -> None:
        super().__init__(refused.message, target=refused.target, details=refused.details)
        self.document = document

    def with_missing(self, missing: Sequence[ErrorDetail]) -> BadRequest:
        """The 400 that names these too."""
        if not missing:
            return self
        details = [*self.details, *missing]
        return BadRequest(f"{len(details)} fields are invalid; see details.", details=details)
