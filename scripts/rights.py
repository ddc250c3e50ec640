"""Writes the table of rights in docs/security.md from the code: python -m scripts.rights"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from router.models.operations import OPERATIONS
from router.models.rights import Reach, Right, reaches
from scripts.made_part import with_part

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "security.md"
BEGIN: Final = "<!-- rights: made by .venv/bin/python -m scripts.rights -->\n"
END: Final = "<!-- end of rights -->\n"
_SHOWN: Final = {Reach.ALL: "yes", Reach.OWN: "own", Reach.NONE: ""}


def table() -> str:
    """One row for all operations with the same rights, in the order of the operations."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for operation in OPERATIONS:
        row = reaches(operation.name)
        alike.setdefault(tuple(_SHOWN[row[right]] for right in Right), []).append(f"`{operation.name}`")
    lines = ["| operation | " + " | ".join(Right) + " |", "| --- |" + " --- |" * len(Right)]
    lines += [f"| {', '.join(names)} | {' | '.join(cells)} |" for cells, names in alike.items()]
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """The page with the table as it is now."""
    return with_part(text, BEGIN, END, table())


def main() -> int:
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
