"""A copy of the project that a test may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PARTS = (
    "infra",
    "scripts",
    "router",
    "docs",
    "azure.yaml",
    ".funcignore",
    "host.json",
    "requirements.txt",
    "function_app.py",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the checker reads, copied."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, tmp_path / part)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    """Change a file of the copy; the text must be there, or the test would break nothing."""
    text = path.read_text()
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new))
