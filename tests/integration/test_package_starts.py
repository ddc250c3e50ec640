"""What is deployed starts with its own dependencies alone."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from scripts import build_package
from tests.unit.infra.conftest import ROOT

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
