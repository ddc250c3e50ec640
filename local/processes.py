"""Child processes with a pid file each: started in a session of their own, ended gently, then by force."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from local.options import LocalError

_PR_SET_PDEATHSIG = 1
#: What `Part.ended` says of a process that somebody has asked to end: that it has done so, or could not listen yet.
ENDED_GENTLY = frozenset({"ended with code 0", "was ended by SIGTERM"})


class Part:
    """One running process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, pid_file: Path, gently: signal.Signals) -> None:
        self.name = name
        self._process = process
        self._pid_file = pid_file
        self._gently = gently
        draft = pid_file.with_suffix(".pid.new")
        draft.write_text(f"{process.pid}\n")
        draft.replace(pid_file)  # whoever reads it finds a whole number

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ended(self) -> str:
        """Waits for the end and says how it came about."""
        code = await self._process.wait()
        self._forget()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def kill(self) -> None:
        """For one that does not listen any more."""
        if self.running:
            self._process.kill()

    async def end(self, seconds: float) -> None:
        if self.running:
            self._process.send_signal(self._gently)
            try:
                await asyncio.wait_for(self._process.wait(), seconds)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._forget()

    def _forget(self) -> None:
        # Only our own note: a newer process may have written its pid meanwhile.
        if read_pid(self._pid_file) == self.pid:
            self._pid_file.unlink(missing_ok=True)


async def start_part(
    name: str,
    command: Sequence[str],
    pid_file: Path,
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    gently: signal.Signals = signal.SIGTERM,
    attached: bool = False,
    inherits: Sequence[int] = (),
) -> Part:
    """Starts a process that does not see the terminal's Ctrl-C, and that does not outlive this one (on Linux).
    `attached`: it has the terminal, as this one has it. `inherits`: files that stay open in it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=environment,
        stdin=None if attached else asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=not attached,
        preexec_fn=_die_with_parent(gently),
        pass_fds=inherits,
    )
    return Part(name, process, pid_file, gently)


class Pauses:
    """How long to wait before a process that has ended is started again: not at all, then longer and longer while it
    ends soon."""

    _FIRST_SECONDS = 0.5
    _LONGEST_SECONDS = 10.0
    #: Who has lived as long as this has not ended because it was started.
    _LIVED_SECONDS = 3.0

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._started = elapsed()
        self._pause = 0.0

    def next(self) -> float:
        """After an end; the next life is counted from the end of the pause."""
        now = self._elapsed()
        if now - self._started >= self._LIVED_SECONDS:
            self._pause = 0.0
        pause = self._pause
        self._pause = min(max(2 * pause, self._FIRST_SECONDS), self._LONGEST_SECONDS)
        self._started = now + pause
        return pause


def _die_with_parent(gently: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(gently))

    return ask_kernel


def last_words(log: Path) -> str:
    """A sentence with the last line that a part has written: why it ended, mostly."""
    try:
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"It said last: {lines[-1].strip()}" if lines else "It said nothing."


def read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def refuse_second_run(data_dir: Path, names: Sequence[str]) -> None:
    """Pid files of processes that are gone are cleared away; a process that still runs is one clear message."""
    for name in names:
        pid_file = data_dir / f"{name}.pid"
        pid = read_pid(pid_file)
        if pid is not None and is_ours(pid):
            raise LocalError(
                f"{name} of an earlier start still runs (process {pid}) in {data_dir}. "
                f"End that run, or `kill {pid}`, or set DATA_DIR and PORT for a second router."
            )
        pid_file.unlink(missing_ok=True)


def runs(data_dir: Path, names: Sequence[str]) -> bool:
    """Whether one of these parts of an earlier start runs."""
    pids = [read_pid(data_dir / f"{name}.pid") for name in names]
    return any(pid is not None and is_ours(pid) for pid in pids)


def is_ours(pid: int) -> bool:
    """Whether the process lives and is a part of a local router; process numbers are used again."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no /proc on this system: believe the pid file
    return any(word in command for word in (b"azurite", b"local.topic", b"local.host", b"func"))
