"""Check that a deployment fits together: templates, azd, package and code agree on every name.

    python -m scripts.check_deployment [--root FOLDER]

Prints one line for each broken reference, and fails if there is one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.deployment import app, package, project, properties, references, runbook, templates


def problems(root: Path) -> list[str]:
    """Everything that is broken in the project under `root`."""
    root = root.resolve()
    found = [
        *templates.problems(root),
        *properties.problems(root),
        *project.problems(root),
        *package.problems(root),
        *runbook.problems(root),
    ]
    answer = app.ask(root)
    if isinstance(answer, str):
        return [*found, f"function_app.py cannot be imported: {answer}"]
    return [*found, *references.problems(root, answer)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m scripts.check_deployment", description="Check that a deployment fits together."
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args(arguments).root
    if not root.is_dir():
        parser.error(f"--root: {root} is no folder")
    found = problems(root)
    for problem in found:
        print(problem)
    print(f"{len(found)} problems" if found else "The deployment fits together.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
