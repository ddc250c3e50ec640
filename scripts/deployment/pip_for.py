"""pip for the app's Python on the platform's Linux, whatever Python runs it and wherever.

pip chooses files for another Python, but asks its own what a marker such as `python_version < "3.13"` says, of the
requirements and of what these require, and which Python it installs for. So it is told the platform's answers."""

from __future__ import annotations

import json
import sys
from typing import Final

_PIP: Final = """
import json, sys
from pip._vendor.packaging import markers
answers = {**markers.default_environment(), **json.loads(sys.argv.pop(1))}
markers.default_environment = lambda: dict(answers)
from pip._internal.resolution.resolvelib import factory
candidate = factory.RequiresPythonCandidate
version = tuple(int(part) for part in answers["python_full_version"].split("."))
factory.RequiresPythonCandidate = lambda _: candidate(version)
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def pip_install(python: str, platforms: tuple[str, ...], *options: str) -> list[str]:
    """The command: `pip install` for this Python ("3.13"). Wheels only: nothing is compiled."""
    chosen = ("--only-binary", ":all:", "--implementation", "cp", "--python-version", python)
    where = [part for platform in platforms for part in ("--platform", platform)]
    quiet = ("--quiet", "--disable-pip-version-check")
    return [sys.executable, "-c", _PIP, json.dumps(_answers(python)), "install", *quiet, *chosen, *where, *options]


def _answers(python: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
