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
        lines = self._read()
        self.done = frozenset(str(line["job"]) for line in lines if "job" in line)
        #: Written, suspended, and not yet queued when the run ended.
        self.left = frozenset(str(line["written"]) for line in lines if "written" in line) - self.done
        self.activated = frozenset(str(line["worker"]) for line in lines if "worker" in line)

    @staticmethod
    def default_path(source: str, target: str) -> Path:
        digest = hashlib.sha256(f"{source}\n{target}".encode()).hexdigest()[:12]
        return Path(f".migrate-{digest}.jsonl")

    def add(self, what: Literal["written", "job", "worker"], id: str) -> None:
        if self._file is None:
            new = not self._path.exists() or not self._path.stat().st_size
            self._file = self._path.open("a", encoding="utf-8")
            # A line of its own, whatever a kill left behind.
            self._file.write(json.dumps(self._header) + "\n" if new else "\n")
        self._file.write(json.dumps({what: id}) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        lines: list[dict[str, str]] = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                lines.append(found)
        if lines and lines[0] != self._header:
            raise MigrationError(f"The state file {self._path} belongs to another move; name another with --state.")
        return lines
