"""The files of the page (docs/behaviour.md, "Console"), read once: what is not among them is not served."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_OTHER: Final = "text/plain; charset=utf-8"
#: These are packed already.
_PACKED: Final = frozenset({".ico", ".png", ".woff2"})


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is answered. `zipped` is None where gzip saves nothing; each of the two forms has its own ETag."""

    content: bytes
    zipped: bytes | None
    type: str
    etag: str

    @property
    def zipped_etag(self) -> str:
        return f"{self.etag}-gzip"


def read_files(folder: Path = STATIC) -> Mapping[str, StaticFile]:
    """All files below the folder by their path within it, `/` between its parts. Hidden ones and links that lead out
    of the folder are left out; a folder that is not there has none."""
    root = folder.resolve()
    found: dict[str, StaticFile] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.resolve().is_relative_to(root) and not _is_hidden(name):
            found[name.as_posix()] = _read(path)
    return found


def _is_hidden(name: Path) -> bool:
    return any(part.startswith((".", "__")) for part in name.parts)


def _read(path: Path) -> StaticFile:
    content, suffix = path.read_bytes(), path.suffix.lower()
    # Without a time in it: the same file has the same bytes in every process.
    zipped = None if suffix in _PACKED else gzip.compress(content, mtime=0)
    if zipped is not None and len(zipped) >= len(content):
        zipped = None
    return StaticFile(content, zipped, _TYPES.get(suffix, _OTHER), hashlib.sha256(content).hexdigest()[:32])
