"""The version is the same wherever it stands, and `make clean` takes away all that is made here."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from router.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
#: Not made by these commands alone, or worth more than a new installation: settings, environments of azd, the state of a
#: move that goes on where it was.
KEPT = {"local.settings.json", ".azure/", ".migrate-*.jsonl"}


def test_it_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION
    assert f"template: job-router@{VERSION}\n" in (ROOT / "azure.yaml").read_text("utf-8")


def test_make_clean_takes_away_what_git_does_not_keep() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (recipe,) = re.findall(r"^clean:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    removed = set(re.findall(r"[\w./*-]+", recipe.replace("./", "")))
    ignored = [line.strip() for line in (ROOT / ".gitignore").read_text("utf-8").splitlines() if line.strip()]
    left = [
        one
        for one in ignored
        if one not in KEPT and not any(fnmatch(name, f"*{one.rstrip('/')}") for name in removed) and one != "*.pyc"
    ]
    assert left == []
