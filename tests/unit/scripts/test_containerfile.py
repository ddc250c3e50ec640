"""The container file, as far as it can be read without a container engine."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from local.options import read_options

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Containerfile").read_text("utf-8")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").split()


def values(instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.partition(" ")[0] == instruction]


def test_every_line_is_an_instruction() -> None:
    known = {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "CMD"}
    assert {line.partition(" ")[0] for line in LINES} == known
    assert LINES[0].startswith("FROM ")
    assert not any(line.endswith("\\") for line in LINES)


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    copied = [one.split()[1:-1] for one in values("COPY") if "--from" not in one]
    assert copied[-1] == ["."]
    for path in (path for paths in copied[:-1] for path in paths):
        assert (ROOT / path).exists()
        assert not any(fnmatch(path.split("/")[0], pattern) for pattern in IGNORED)


def test_what_make_is_asked_for_are_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    asked = [word for one in values("RUN") if one.startswith("make ") for word in one.split()[1:]]
    assert asked == [".venv/.run", "node_modules/.run", "runtime"]
    assert set(asked) <= targets
    # What the first step needs is copied before it.
    needed = re.findall(r"^(?:\.venv|node_modules)/\.run: ([^|\n]+)", makefile, re.MULTILINE)
    first = values("COPY")[2].split()
    assert {name for names in needed for name in names.split()} <= set(first)


def test_it_starts_what_make_writes_with_settings_that_exist() -> None:
    (command,) = values("CMD")
    assert json.loads(command) == ["/router/.venv/bin/jobrouter", "start"]
    (settings,) = values("ENV")
    environment = dict(one.split("=") for one in settings.split())
    options = read_options({**environment, "ROUTER_ACCESS_KEYS": "b25l"})
    assert (options.listen, str(options.data_dir)) == ("0.0.0.0", "/data")
    assert values("EXPOSE") == [f"{options.port} {options.https_port}"]


@pytest.mark.parametrize("image", [one.split()[0] for one in values("FROM")])
def test_its_images_are_of_a_named_version(image: str) -> None:
    assert re.fullmatch(r"docker\.io/library/(?:node:(?:2[0-9])|python:3\.1[1-3])[\w.-]*", image)
