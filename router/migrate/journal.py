"""The state file: which jobs have been written, which moved and which workers made available, a line each. A job that
has meanwhile been served and deleted on the other side is not moved a second time, and a worker that has left is not
called back. Everything else is seen by comparing the two sides."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Literal

from router.migrate.failure import MigrationError


class Journal:
    """Appends a line after each acknowledged write. A line that was cut by a kill is as good as none."""

    def __init__(self, path: Path, source: str, target: str) -> None:
        self._path = path
        self._header = {"from": source, "to": target}
        self._file: IO[str] | None = None
        text = self._read()
        lines = self._lines(text)
        # On a line of its own, whatever a kill left behind.
        self._beginning = "\n" if text and not text.endswith("\n") else ""
        self._beginning += "" if lines else json.dumps(self._header) + "\n"
        self.done = frozenset(str(line["job"]) for line in lines if "job" in line)
        #: Written, suspended, and not yet queued when the run ended.
        self.left = frozenset(str(line["written"]) for line in lines if "written" in line) - self.done
        self.activated = frozenset(str(line["worker"]) for line in lines if "worker" in line)

    @staticmethod
    def default_path(source: str, target: str) -> Path:
        digest = hashlib.sha256(f"{source}\n{target}".encode()).hexdigest()[:12]
        return Path(f".migrate-{digest}.jsonl")

    def open(self) -> None:
        """Before anything is written that must be remembered: a file that cannot be kept ends the run here."""
        try:
            self._file = self._path.open("a", encoding="utf-8")
            self._write(self._beginning)
        except OSError as error:
            raise self._unusable(error) from None

    def add(self, what: Literal["written", "job", "worker"], id: str) -> None:
        try:
            self._write(json.dumps({what: id}) + "\n")
        except OSError as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        assert self._file is not None
        self._file.write(text)
        self._file.flush()

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._unusable(error) from None

    def _lines(self, text: str) -> list[dict[str, str]]:
        lines: list[dict[str, str]] = []
        for line in text.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                lines.append(found)
        if lines and lines[0] != self._header:
            raise MigrationError(f"The state file {self._path} belongs to another move; name another with --state.")
        return lines

    def _unusable(self, error: OSError) -> MigrationError:
        return MigrationError(f"The state file {self._path} cannot be used: {error}")
