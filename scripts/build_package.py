"""Build the zip that is deployed: the app's files, with the dependencies for Linux or without.

python -m scripts.build_package                     # dependencies included: deployed as it is
python -m scripts.build_package --remote-build      # without: Azure installs requirements.txt
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts import lock
from scripts.deployment import package
from scripts.deployment.pip_for import pip_install

ROOT: Final = Path(__file__).resolve().parent.parent
#: Where the Python worker looks for packages that were not installed remotely.
PACKAGES: Final = ".python_packages/lib/site-packages"
#: One fixed time for every entry: the same files give the same zip.
_TIMESTAMP: Final = (2024, 1, 1, 0, 0, 0)
#: Written by pip for itself; of no use to a running app.
_NOT_NEEDED: Final = {"__pycache__", "bin"}


def build(root: Path, target: Path, python_version: str | None) -> int:
    """Write the zip, with dependencies for that Python if one is given; returns the number of files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as scratch,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        entries = [(root / path, path.as_posix()) for path in package.deployed(root)]
        if python_version is not None:
            locked = Path(scratch) / "requirements.txt"
            locked.write_text(lock.for_python(python_version, root), encoding="utf-8")
            install(locked, Path(folder), python_version)
            installed = _installed(Path(folder))
            entries += [(path, f"{PACKAGES}/{path.relative_to(folder).as_posix()}") for path in installed]
        for path, name in sorted(entries, key=lambda entry: entry[1]):
            _add(archive, path, name)
        return len(entries)


def install(requirements: Path, folder: Path, python_version: str) -> None:
    """Install what is locked, with the hashes that it has there, for the platform's Linux, whatever this machine is."""
    chosen = ("--require-hashes", "--no-deps", "--requirement", str(requirements))
    where = ("--target", str(folder), "--no-compile")
    subprocess.run(pip_install(python_version, lock.PLATFORMS, *chosen, *where), check=True)


def _installed(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and _NOT_NEEDED.isdisjoint(path.relative_to(folder).parts):
            yield path


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, path.read_bytes())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m scripts.build_package", description="Build the deployment package.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "job-router.zip")
    parser.add_argument("--python-version", default="3.13", help="Python of the Function App (default: %(default)s)")
    parser.add_argument("--remote-build", action="store_true", help="leave the dependencies to Azure")
    options = parser.parse_args(arguments)
    try:
        count = build(ROOT, options.output, None if options.remote_build else options.python_version)
    except subprocess.CalledProcessError:
        print("error: The requirements cannot be installed; pip says above why.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: The package cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {count} files, {options.output.stat().st_size / 1_000_000:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
