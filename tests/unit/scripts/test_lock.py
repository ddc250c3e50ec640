"""The lock is what is installed, names all that the app needs with hashes, and nothing of development."""

from __future__ import annotations

import sys
from dataclasses import replace

from scripts import lock

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKED = lock.read(lock.LOCK.read_text(encoding="utf-8"))


def test_the_lock_is_what_is_installed() -> None:
    assert lock.main(["--check"]) == 0


def test_every_line_of_the_requirements_is_locked_for_every_python() -> None:
    for python in lock.PYTHONS:
        locked = {one.name: one.version for one in LOCKED if one.is_for(python)}
        for requirement in lock.requirements(python):
            name = lock.canonicalize_name(requirement.name)
            assert str(requirement.specifier) == f"=={locked[name]}", (python, name)
        assert lock.for_python(python).count("--hash=sha256:") >= len(locked)
        assert ";" not in lock.for_python(python)


def test_nothing_of_development_is_deployed() -> None:
    names = {one.name for one in LOCKED}
    for tool in ("pytest", "mypy", "ruff", "hypothesis", "schemathesis", "coverage", "azure-communication-jobrouter"):
        assert tool not in names


def test_what_differs_is_said() -> None:
    needed = lock.needed_by([one.name for one in lock.requirements(PYTHON)])
    installed = {one.name: one.version for one in LOCKED if one.is_for(PYTHON)}

    def said(locked: list[lock.Locked], more: set[str] = frozenset(), **versions: str) -> str:  # type: ignore[assignment]
        return "\n".join(lock.problems(locked, PYTHON, {**installed, **versions}, needed | more))

    assert said(LOCKED) == ""
    assert "lark is needed and not in the lock" in said([one for one in LOCKED if one.name != "lark"])
    assert "idna is needed and not in the lock" in said([one for one in LOCKED if one.name != "idna"])
    assert "lark 9 is installed" in said(LOCKED, lark="9")
    assert "new is needed and not in the lock" in said(LOCKED, {"new"})
    more = [*LOCKED, replace(LOCKED[0], name="pytest")]
    assert "pytest is in the lock and nothing needs it" in said(more)
    assert "has no hash" in said([replace(LOCKED[0], hashes=()), *LOCKED[1:]])
    older = [replace(one, version="1") if one.name == "lark" else one for one in LOCKED]
    assert "requirements.txt has lark==" in said(older)


def test_a_version_that_differs_between_pythons_is_marked() -> None:
    def report(*installs: tuple[str, str, str]) -> dict[str, object]:
        return {
            "install": [
                {
                    "metadata": {"name": name, "version": version},
                    "download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}},
                }
                for name, version, digest in installs
            ]
        }

    locked = lock.merged(
        {
            "3.12": report(("One", "1", "a"), ("two", "1", "b")),
            "3.13": report(("One", "1", "c"), ("two", "2", "d")),
        }
    )
    assert [(one.name, one.version, one.marker) for one in locked] == [
        ("one", "1", ""),
        ("two", "1", 'python_version == "3.12"'),
        ("two", "2", 'python_version == "3.13"'),
    ]
    assert locked[0].hashes == ("a" * 64, "c" * 64)
    assert lock.read("\n".join(one.line() for one in locked)) == locked
