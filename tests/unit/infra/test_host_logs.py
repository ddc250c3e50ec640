"""What the Functions host sends of its own about each invocation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_hosts_two_messages_an_invocation_are_filtered_for_every_function() -> None:
    """In OpenTelemetry mode the host's own filter `Function.*` wins over `logLevel`; only a longer category beats it."""
    code = "import function_app; print(*(one.get_function_name() for one in function_app.app.get_functions()))"
    names = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    levels = json.loads((ROOT / "host.json").read_text())["logging"]["OpenTelemetry"]["logLevel"]
    prefixes = [category.removesuffix("*") for category, level in levels.items() if level == "Warning"]
    assert all(category.endswith("*") and len(category) > len("Function.*") for category in levels)
    assert len(names.split()) > 40
    for name in names.split():
        assert any(f"Function.{name}".startswith(prefix) for prefix in prefixes), name
    for prefix in prefixes:
        assert any(f"Function.{name}".startswith(prefix) for name in names.split()), f"{prefix} is for no function"
