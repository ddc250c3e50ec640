"""What the console's page is made of beside the router's own files: taken from npm's packages as they are installed.

python -m scripts.vendor_console            writes router/console/static/vendor anew
python -m scripts.vendor_console --check    says where it differs from what the packages hold"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
VENDOR: Final = ROOT / "router" / "console" / "static" / "vendor"
LICENCES: Final = "licences.txt"


@dataclass(frozen=True)
class Part:
    """One file of a package, and what it is called here."""

    package: str
    source: str
    name: str
    #: What makes a module of a script.
    ending: str = ""


PARTS: Final = (
    Part("preact", "dist/preact.mjs", "preact.js"),
    Part("preact", "hooks/dist/hooks.mjs", "hooks.js"),
    Part("htm", "dist/htm.mjs", "htm.js"),
    # For reports, when the first plot is shown.
    Part("uplot", "dist/uPlot.iife.min.js", "uplot.js", "export default uPlot;\n"),
    Part("uplot", "dist/uPlot.min.css", "uplot.css"),
    # These two only where people sign in with Microsoft Entra ID.
    Part("@azure/msal-browser", "lib/msal-browser.min.js", "msal-browser.js"),
    Part("@azure/msal-browser", "lib/redirect-bridge/msal-redirect-bridge.min.js", "msal-redirect-bridge.js"),
)
#: A browser finds modules by address, not by a package's name.
_IMPORTS: Final = {'from"preact"': 'from"./preact.js"'}
_SOURCE_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$\n?", re.MULTILINE)


def vendored(root: Path = ROOT) -> dict[str, str]:
    """Each file's name and text, the licences among them. Raises FileNotFoundError where a package is not installed,
    ValueError where another version is."""
    wanted = json.loads((root / "package.json").read_text("utf-8"))["devDependencies"]
    files: dict[str, str] = {}
    heads: dict[str, str] = {}
    for part in PARTS:
        folder = root / "node_modules" / part.package
        told = json.loads((folder / "package.json").read_text("utf-8"))
        if told["version"] != wanted[part.package]:
            raise ValueError(f"{part.package} {told['version']} is installed, {wanted[part.package]} is wanted.")
        text = _SOURCE_MAP.sub("", (folder / part.source).read_text("utf-8"))
        for name, address in _IMPORTS.items():
            text = text.replace(name, address)
        files[part.name] = text.rstrip("\n") + "\n" + part.ending
        licence = "\n".join(line.rstrip() for line in (folder / "LICENSE").read_text("utf-8").splitlines())
        names = ", ".join(one.name for one in PARTS if one.package == part.package)
        heads[part.package] = f"{part.package} {told['version']} ({told['license']}): {names}\n\n{licence.strip()}\n"
    files[LICENCES] = f"\n{'-' * 80}\n\n".join(heads.values())
    return files


def differences(folder: Path = VENDOR, root: Path = ROOT) -> list[str]:
    """A line for each file that is not what the packages hold; none if all is as it should be."""
    wanted = vendored(root)
    found = {path.name: path.read_text("utf-8") for path in folder.iterdir()} if folder.exists() else {}
    lines = [f"{name} is missing." for name in wanted if name not in found]
    lines += [
        f"{name} is not what its package holds." for name in wanted if found.get(name, wanted[name]) != wanted[name]
    ]
    return lines + [f"{name} comes from no package." for name in found if name not in wanted]


def write(folder: Path = VENDOR, root: Path = ROOT) -> None:
    """Writes all files, and removes what is not among them."""
    wanted = vendored(root)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.vendor_console", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if something differs")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    found = differences()
    print("\n".join(found) or "The console's files are those of their packages.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
