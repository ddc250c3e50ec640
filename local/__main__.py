"""`python -m local`: the router with its parts on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local import malformed
from local.options import ROOT, LocalError, make_data_dir, read_options
from local.supervisor import start_app_alone, start_everything

_DESCRIPTION: Final = "The router with its parts on this machine, until Ctrl-C."


def main(arguments: Sequence[str] | None = None, program: str = "python -m local") -> int:
    """`program` is what its help calls it."""
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--app-only", action="store_true", help="only the app, against the parts that run")
    which.add_argument("--func", action="store_true", help="the app under Azure Functions Core Tools")
    which.add_argument("--debug", action="store_true", help="the app has this terminal, and starts anew on a change")
    parser.add_argument("--app-dir", type=Path, default=ROOT, help="folder of function_app.py and host.json")
    chosen = parser.parse_args(arguments)
    app_dir = chosen.app_dir.resolve()
    malformed.tell_briefly()
    made: Path | None = None
    try:
        options = read_options()
        if chosen.app_only:
            asyncio.run(start_app_alone(options, app_dir))
        else:
            made = None if options.data_dir.exists() else options.data_dir
            make_data_dir(options.data_dir)
            asyncio.run(start_everything(options, app_dir, core_tools=chosen.func, debug=chosen.debug))
    except LocalError as error:
        print(error, file=sys.stderr)
        _leave_nothing(made)
        return 1
    except OSError as error:
        print(_told(error), file=sys.stderr)
        _leave_nothing(made)
        return 1
    return 0


def _leave_nothing(made: Path | None) -> None:
    """Of a start that was refused: the folder that was made for it, if nothing is in it."""
    if made is not None:
        with contextlib.suppress(OSError):
            made.rmdir()


def _told(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}. Make room, or set DATA_DIR to a folder on another disk."
    return f"The router cannot go on: {error.strerror or error}{where}."


if __name__ == "__main__":
    sys.exit(main())
