"""Whether the data folder takes what is to be saved. Azurite keeps its rows in memory, writes a whole new file of them
every few seconds, beside the old one, and says nothing when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from local.options import LocalError

_LOOK_SECONDS: Final = 2.0
#: A draft that has not been written for so long is one that did not fit.
_GIVEN_UP_SECONDS: Final = 3.0
#: Logs, the topic's store and process numbers need some.
_LEAST_FREE: Final = 1_000_000


@contextlib.contextmanager
def sole_starter(data_dir: Path) -> Iterator[bool]:
    """Whether this process alone starts and ends parts in the folder; it is, for as long as this is open. The kernel
    takes the lock back from one that dies."""
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        yield _lock(folder)
    finally:
        os.close(folder)


def _lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: the process numbers have to do
    return True


def refuse_full_disk(data_dir: Path) -> None:
    """Before anything is written. Raises LocalError."""
    if shutil.disk_usage(data_dir).free < _LEAST_FREE:
        raise LocalError(full_disk(data_dir))


def full_disk(data_dir: Path) -> str:
    """Why a start does not come about."""
    return f"The disk of {data_dir} is full. Make room, or set DATA_DIR to a folder on another disk."


def forget_drafts(data_dir: Path) -> None:
    """What an Azurite that was killed has left half written. Nothing runs yet."""
    for draft in _drafts(data_dir):
        draft.unlink(missing_ok=True)


def could_not_save(data_dir: Path) -> str | None:
    """After Azurite's end: what to tell if its rows are not all in its file."""
    if not _drafts(data_dir):
        return None
    return (
        f"The end could not save: the disk of {data_dir} is full. What was answered since the last save is lost. "
        "Make room, or set DATA_DIR to a folder on another disk."
    )


def is_full(data_dir: Path) -> bool:
    """Whether Azurite has failed to save, or hardly anything more can be written."""
    try:
        if shutil.disk_usage(data_dir).free < _LEAST_FREE:
            return True
        return any(time.time() - draft.stat().st_mtime > _GIVEN_UP_SECONDS for draft in _drafts(data_dir))
    except OSError:  # renamed meanwhile: it was saved
        return False


async def watch_disk(data_dir: Path, tell: Callable[[str], None]) -> None:
    """Tells when the disk is full and when there is room again, until it is cancelled."""
    full = False
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if is_full(data_dir) == full:
            continue
        full = not full
        if full:
            tell(
                f"The disk of {data_dir} is full: nothing is saved, and what is answered now is lost at the end. "
                "Make room; then it is saved within some seconds."
            )
        else:
            tell(f"The disk of {data_dir} has room again.")


def _drafts(data_dir: Path) -> list[Path]:
    return list((data_dir / "azurite").glob("*.json~"))
