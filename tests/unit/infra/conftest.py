"""A copy of the project that a test may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.deployment import app, compiler

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


#: Without a compiler nothing can be said of the templates; scripts/check_deployment.py says so in each run of the tests.
collect_ignore = [] if compiler.find() else ["test_templates.py"]


@pytest.fixture(scope="session")
def the_app() -> app.App:
    answer = app.ask(ROOT)
    assert isinstance(answer, app.App), answer
    return answer


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


def plant(folder: Path, faults: list[tuple[str, str, str, str]]) -> None:
    """Make all of the changes, each given as file, old text, new text and what is said of it."""
    for file, old, new, _ in faults:
        replace(folder / file, old, new)
