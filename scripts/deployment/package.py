"""Which files are deployed: the project less what .funcignore names."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

#: Without these the Functions host finds no app.
NEEDED: Final = ("function_app.py", "host.json", "requirements.txt", "router/__init__.py", "router/settings.py")
#: Nothing of these belongs into the cloud.
FORBIDDEN: Final = (
    ".azure", ".ci", ".data", ".git", ".venv", "bench", "docs", "examples", "infra", "local", "node_modules",
    "scripts", "tests", "local.settings.json", "azure.yaml", "pyproject.toml", "requirements-dev.txt",
)  # fmt: skip


def patterns(root: Path) -> list[str]:
    """The lines of .funcignore. Only names and *-patterns are used, for files or, with a slash behind, for folders."""
    lines = [line.strip() for line in (root / ".funcignore").read_text().splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for pattern in found:
        if pattern.startswith("!") or "/" in pattern.rstrip("/"):
            raise ValueError(f".funcignore: {pattern} is more than a plain pattern")
    return found


def deployed(root: Path) -> Iterator[Path]:
    """The deployed files, relative to the root, in order."""
    ignored = patterns(root)
    yield from _below(root, root, ignored)


def _below(root: Path, folder: Path, ignored: list[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if any(_matches(path, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from _below(root, path, ignored)
        else:
            yield path.relative_to(root)


def _matches(path: Path, pattern: str) -> bool:
    if pattern.endswith("/"):
        return path.is_dir() and fnmatchcase(path.name, pattern[:-1])
    return fnmatchcase(path.name, pattern)


def problems(root: Path) -> Iterator[str]:
    """What is deployed and should not be, or should be and is not."""
    if not (root / ".funcignore").is_file():
        yield ".funcignore does not exist"
        return
    try:
        files = {path.as_posix() for path in deployed(root)}
    except ValueError as error:
        yield str(error)
        return
    for name in NEEDED:
        if name not in files:
            yield f".funcignore: {name} would not be deployed"
    for path in sorted((root / "router").rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and "__pycache__" not in name and not name.endswith(".md") and name not in files:
            yield f".funcignore: {name} would not be deployed"
    for name in sorted({path.split("/")[0] for path in files} & set(FORBIDDEN)):
        yield f".funcignore: {name} would be deployed"
    # Whatever is new at the root is looked at by someone: it is either the app's or ignored.
    for name in sorted({path.split("/")[0] for path in files} - {need.split("/")[0] for need in NEEDED}):
        if name not in FORBIDDEN:
            yield f".funcignore: {name} would be deployed, and nothing says that it should be"
