"""Check that a deployment fits together: templates, azd, package and code agree on every name.

    python -m scripts.check_deployment [--root FOLDER] [--write]

Microsoft's Bicep compiler builds and lints the templates and compares them with their format and their snapshots, where
there is one: `bicep` on PATH, or what `az bicep install` has brought. --write puts format and snapshots right.
Prints one line for each broken reference, and fails if there is one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.deployment import app, compiler, package, project, references, runbook, templates


def problems(root: Path, bicep: compiler.Compiler | None) -> list[str]:
    """Everything that is broken in the project under `root`; of the templates only with a compiler."""
    root = root.resolve()
    found = [*project.problems(root), *package.problems(root), *runbook.problems(root)]
    answer = app.ask(root)
    if isinstance(answer, str):
        found.append(f"function_app.py cannot be imported: {answer}")
    else:
        found += references.problems(root, answer)
    if bicep is not None:
        found += templates.problems(root, bicep, None if isinstance(answer, str) else answer)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m scripts.check_deployment", description="Check that a deployment fits together."
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--write", action="store_true", help="format the templates and write their snapshots anew")
    options = parser.parse_args(arguments)
    root: Path = options.root.resolve()
    if not root.is_dir():
        parser.error(f"--root: {options.root} is no folder")
    program = compiler.find()
    if program is None:
        print("bicep is neither on PATH nor installed by az: the templates are not built, linted or compared.")
        return _end(problems(root, None))
    try:
        with compiler.Compiler(program) as bicep:
            found = [
                *templates.formats(root, bicep, options.write),
                *templates.snapshots(root, bicep, options.write),
            ]
            if options.write:
                print(*found, sep="\n")
                found = []
            version = bicep.version()
            found += problems(root, bicep)
    except compiler.CompilerFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Templates built, linted and compared by Bicep {version}.")
    return _end(found)


def _end(found: list[str]) -> int:
    for problem in found:
        print(problem)
    print(f"{len(found)} problems" if found else "The deployment fits together.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
