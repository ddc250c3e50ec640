"""Progress in plain text on standard error: a bar that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30
_LINE_EVERY = 5.0


class Progress:
    """One bar. Use it as a context manager; `step` counts one."""

    def __init__(self, label: str, total: int, out: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._out = out if out is not None else sys.stderr
        self._terminal = self._out.isatty()
        self._began = time.monotonic()
        self._shown = self._began if not self._terminal else 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._total:
            self._show(end="\n")

    def step(self) -> None:
        self._done += 1
        if time.monotonic() - self._shown > (0.1 if self._terminal else _LINE_EVERY):
            self._show(end="" if self._terminal else "\n")

    def _show(self, end: str) -> None:
        self._shown = time.monotonic()
        full = _WIDTH * self._done // max(self._total, 1)
        rate = self._done / max(self._shown - self._began, 0.001)
        bar = "#" * full + "." * (_WIDTH - full)
        start = "\r" if self._terminal else ""
        self._out.write(f"{start}{self._label:<24} [{bar}] {self._done}/{self._total}  {rate:.0f}/s{end}")
        self._out.flush()


class Counter:
    """For reading, where nobody knows how much is to come."""

    def __init__(self, label: str, out: TextIO | None = None) -> None:
        self._label = label
        self._out = out if out is not None else sys.stderr
        self._counts: dict[str, int] = {}

    def seen(self, plural: str, count: int) -> None:
        self._counts[plural] = count
        if self._out.isatty():
            self._out.write(f"\rreading {self._label}: {sum(self._counts.values())}")
            self._out.flush()

    def end(self) -> None:
        told = ", ".join(f"{count} {plural}" for plural, count in self._counts.items()) or "nothing"
        self._out.write(f"{chr(13) if self._out.isatty() else ''}read {self._label}: {told}\n")
