"""What the code itself says it has: its functions, settings, tables, metrics. Read in a process of its own, so that any
copy of the project can be asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_QUESTIONS: Final = """
import json, sys
import function_app
from router import settings
from router.models.event_catalogue import EVENT_TYPE_PREFIX, EventName
from router.models.operations import OPERATIONS
from router.storage.azure import TABLES
from router.telemetry import names

functions = {}
for function in function_app.app.get_functions():
    trigger = function.get_trigger()
    functions[function.get_function_name()] = trigger.get_dict_repr() if trigger else {}
print(json.dumps({
    "functions": functions,
    "settings": {setting.name: setting.required for setting in settings.SETTINGS},
    "secrets": [setting.name for setting in settings.SETTINGS if setting.secret],
    "tables": list(TABLES),
    "events": [EVENT_TYPE_PREFIX + name for name in EventName],
    "metrics": sorted(names.METRICS),
    "dimensions": [value for key, value in vars(names).items() if key.startswith(("DIMENSION_", "ATTRIBUTE_"))],
    "spans": [operation.name for operation in OPERATIONS] + [names.event_span(name) for name in EventName],
}, default=str))
"""


@dataclass(frozen=True)
class App:
    """Functions with their triggers, settings with whether they must be set, and the names of everything else."""

    functions: dict[str, dict[str, object]]
    settings: dict[str, bool]
    tables: list[str]
    events: set[str]
    metrics: set[str]
    spans: set[str]
    dimensions: set[str]
    secrets: set[str]


def ask(root: Path, python: str = sys.executable) -> App | str:
    """The app under `root`, or why it cannot be imported."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ROUTER_", "AZURE_"))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [python, "-c", _QUESTIONS],
        cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer"
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    names = {name: set(answer.pop(name)) for name in ("events", "metrics", "spans", "dimensions", "secrets")}
    return App(answer["functions"], answer["settings"], answer["tables"], **names)
