"""`python -m jobrouter.launcher`: writes `.venv/bin/jobrouter`, which works in any folder. Nothing is installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from local.options import ROOT

# -P: a folder of the caller's must not come before this one, whatever it has in it.
_CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from jobrouter.command import main; sys.exit(main(sys.argv[1:]))"
)


def write(folder: Path, python: Path | None = None, root: Path = ROOT) -> Path:
    """The launcher in a folder; it starts `python`, or the Python of that folder."""
    path = folder / "jobrouter"
    command = [str(python or folder / "python"), "-P", "-c", _CODE, str(root)]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    write(Path(sys.prefix) / "bin")
