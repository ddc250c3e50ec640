"""What is deployed: the app, whole, and nothing else; and that alone starts."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from scripts import build_package
from scripts.deployment import package
from tests.unit.infra.conftest import ROOT, replace


def test_the_app_is_deployed_whole_and_nothing_else() -> None:
    assert list(package.problems(ROOT)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tests/\n", "", "tests would be deployed"),
        ("local/\n", "", "local would be deployed"),
        ("local.settings.json\n", "", "local.settings.json would be deployed"),
        ("pyproject.toml\n", "notes.txt\n", "pyproject.toml would be deployed"),
        ("bench/\n", "models/\n", "router/models/types.py would not be deployed"),
        ("*.pyc\n", "*.txt\n", "requirements.txt would not be deployed"),
        ("bench/\n", "!bench/\n", "more than a plain pattern"),
        ("bench/\n", "/bench/\n", "more than a plain pattern"),
    ],
)
def test_a_wrong_ignore_file_is_seen(project: Path, old: str, new: str, said: str) -> None:
    for name in ("tests", "local", "bench"):
        (project / name).mkdir()
        (project / name / "some.py").touch()
    for name in ("local.settings.json", "pyproject.toml"):
        (project / name).touch()
    assert list(package.problems(project)) == []
    replace(project / ".funcignore", f"\n{old}", f"\n{new}")
    found = list(package.problems(project))
    assert any(said in problem for problem in found), found


def test_a_new_file_at_the_root_needs_a_decision(project: Path) -> None:
    (project / "passwords.txt").touch()
    assert list(package.problems(project)) == [
        ".funcignore: passwords.txt would be deployed, and nothing says that it should be"
    ]


def test_the_same_files_give_the_same_package(tmp_path: Path) -> None:
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    build_package.build(ROOT, first, None)
    build_package.build(ROOT, second, None)
    assert first.read_bytes() == second.read_bytes()


def wheel(folder: Path, name: str, *requires: str, python: str = ">=3.8") -> None:
    """A package of one empty module."""
    info = f"{name}-1.0.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", f"Requires-Python: {python}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.11", {"below", "one", "inner_below", "on_linux"}),
        ("3.12", {"below", "one", "inner_below", "on_linux"}),
        ("3.13", {"from_there", "one", "inner_from", "on_linux"}),
    ],
)
def test_markers_are_answered_for_the_apps_python_and_not_for_the_one_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, expected: set[str]
) -> None:
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    wheels.mkdir()
    wheel(wheels, "from_there", python=">=3.13")
    for name in ("below", "inner_below", "inner_from", "on_linux", "elsewhere"):
        wheel(wheels, name)
    wheel(wheels, "one", 'inner_below; python_version < "3.13"', 'inner_from; python_full_version >= "3.13"')
    (tmp_path / "requirements.txt").write_text(
        'one\nbelow; python_version < "3.13"\nfrom_there; python_version >= "3.13"\n'
        'on_linux; sys_platform == "linux"\nelsewhere; platform_system == "Windows"\n'
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    build_package.install(tmp_path / "requirements.txt", target, version)
    assert {path.stem for path in target.glob("*.py")} == expected


INDEX = """
import importlib, json, pkgutil, sys
import function_app
modules = sorted({name.partition(".")[0] for name in sys.modules})
# What the app imports later, on first use, must be there as well. The migration is a developer's tool.
import router
for module in pkgutil.walk_packages(router.__path__, "router."):
    if not module.name.startswith("router.migrate"):
        importlib.import_module(module.name)
functions = {f.get_function_name(): f.get_trigger().get_dict_repr()["type"] for f in function_app.app.get_functions()}
print(json.dumps({"functions": functions, "modules": modules}))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_package_imports_and_indexes_with_only_its_own_dependencies(tmp_path: Path) -> None:
    """As the Python worker does it: the package's folder first, its packages behind it, nothing else."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    built = tmp_path / "package.zip"
    build_package.build(ROOT, built, version)
    root = tmp_path / "wwwroot"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(root)
    venv.create(tmp_path / "venv", with_pip=False)
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", INDEX],
        cwd=root,
        env={"PYTHONPATH": str(root / build_package.PACKAGES), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    functions = answer["functions"]
    assert {"UpsertJob", "GetWorkers", "AcceptJobOffer", "Health", "OpenApi"} <= set(functions)
    assert functions["OnJobEvent"] == functions["OnWorkerEvent"] == functions["OnExceptionEvent"] == "eventGridTrigger"
    assert functions["OnDeadlines"] == "timerTrigger"
    assert not {"local", "tests", "scripts", "pytest"} & set(answer["modules"])
