"""`make fuzz` is the long run of both: bad requests, and requests made from the OpenAPI document."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from local.options import ROOT
from tests.fuzz import __main__ as command

VARIABLES = ("FUZZ_SEED", "FUZZ_REQUESTS", "FUZZ_EXAMPLES")
#: What a make hands on to a make that it runs.
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def line(**environment: str) -> list[str]:
    """The last line that make would run, in words."""
    inherited = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, *OF_MAKE)}
    made = subprocess.run(
        ["make", "-n", "fuzz"], cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, check=True
    )
    return shlex.split(made.stdout.strip().splitlines()[-1])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the tests of this folder would be asked for, once the command has run."""
    found: dict[str, str] = {}
    for name in VARIABLES:
        monkeypatch.setenv(name, "1")  # and put back afterwards: the command sets them

    def main(arguments: list[Any]) -> int:
        assert str(arguments[-1]) == str(ROOT / "tests" / "fuzz")
        found.update({name: os.environ[name] for name in VARIABLES})
        return 0

    monkeypatch.setattr(pytest, "main", main)
    return found


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on PATH")
def test_make_fuzz_is_the_long_run_of_both(asked: dict[str, str]) -> None:
    python, option, module, *arguments = line()
    assert (python, option, module) == (".venv/bin/python", "-m", "tests.fuzz")
    assert command.main(arguments) == 0
    assert int(asked["FUZZ_REQUESTS"]) >= 10_000
    assert int(asked["FUZZ_EXAMPLES"]) >= 50
    assert int(asked["FUZZ_SEED"]) > 0


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on PATH")
def test_a_run_can_be_had_again(asked: dict[str, str]) -> None:
    given = {"FUZZ_SEED": "7", "FUZZ_REQUESTS": "20", "FUZZ_EXAMPLES": "3"}
    assert command.main(line(**given)[3:]) == 0
    assert asked == given
