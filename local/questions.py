"""Whether a process lives, asked by whoever has started it on a socket that both have from its start.

A process that listens nowhere is asked too, and of those that share a port each one. A question is a byte, and so is
its answer; the answer comes from the event loop that does the work."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

_QUESTION: Final = b"?"
_ANSWER: Final = b"!"
_ASKED_SECONDS: Final = 1.0


class Questions:
    """The side of whoever asks. `theirs` is for the process; `close_theirs` when it has it."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.theirs: Final = self._theirs.fileno()

    def close_theirs(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    async def until_silent(self, seconds: int) -> None:
        """Asks once a second and returns when that many questions in a row had no answer. Who has not answered yet is
        starting. Seconds in which this process stood still itself do not count."""
        silent: int | None = None
        while silent is None or silent < seconds:
            with contextlib.suppress(OSError):  # full: it does not read; or gone: whoever waits for its end knows
                self._ours.send(_QUESTION)
            await asyncio.sleep(_ASKED_SECONDS)
            try:
                answered = bool(self._ours.recv(4096))
            except OSError:
                answered = False
            if answered:
                silent = 0
            elif silent is not None:
                silent += 1


def answer_on(number: int) -> None:
    """The side of the process, in its event loop."""
    loop = asyncio.get_running_loop()
    ours = socket.socket(fileno=number)
    ours.setblocking(False)

    def answer() -> None:
        try:
            asked = ours.recv(4096)
            if asked:
                ours.send(_ANSWER)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        loop.remove_reader(ours)
        ours.close()

    loop.add_reader(ours, answer)
