"""The files that the console takes from npm: made from the packages, pinned, with their licences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts import vendor_console
from scripts.vendor_console import PARTS, ROOT, VENDOR, differences, vendored, write


def test_the_folder_is_what_the_packages_hold() -> None:
    assert differences() == []


def test_versions_are_pinned_and_locked() -> None:
    wanted = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    for package in {part.package for part in PARTS}:
        assert re.fullmatch(r"\d+\.\d+\.\d+", wanted[package])
        assert locked[f"node_modules/{package}"]["version"] == wanted[package]


def test_modules_find_each_other_by_address_and_licences_are_named() -> None:
    files = vendored()
    for name, text in files.items():
        for imported in re.findall(r'\bfrom"([^"]+)"', text) if name in ("preact.js", "hooks.js", "htm.js") else []:
            assert imported.removeprefix("./") in files
        assert "sourceMappingURL" not in text
    for part in PARTS:
        assert part.package in files["licences.txt"]
        assert part.name in files["licences.txt"]


def test_what_differs_is_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert differences(tmp_path) == []
    (tmp_path / "preact.js").write_text("changed", "utf-8")
    (tmp_path / "htm.js").unlink()
    (tmp_path / "another.js").write_text("", "utf-8")
    assert differences(tmp_path) == [
        "htm.js is missing.",
        "preact.js is not what its package holds.",
        "another.js comes from no package.",
    ]
    write(tmp_path)
    assert differences(tmp_path) == []
    assert vendor_console.main(["--check"]) == 0
    assert "those of their packages" in capsys.readouterr().out


def test_another_version_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    for part in PARTS:
        folder = tmp_path / "node_modules" / part.package
        (folder / part.source).parent.mkdir(parents=True, exist_ok=True)
        (folder / part.source).write_text("", "utf-8")
        (folder / "LICENSE").write_text("", "utf-8")
        (folder / "package.json").write_text('{"version": "1.0.0", "license": "MIT"}', "utf-8")
    pinned = {part.package: "1.0.1" for part in PARTS}
    (tmp_path / "package.json").write_text(json.dumps({"devDependencies": pinned}), "utf-8")
    with pytest.raises(ValueError, match=r"1\.0\.0 is installed, 1\.0\.1 is wanted"):
        vendored(tmp_path)


STATIC = VENDOR.parent


def test_the_page_names_every_file_that_its_first_view_needs() -> None:
    """So that the browser asks for all at once, and for none that is not there."""
    page = (STATIC / "index.html").read_text("utf-8")
    preloaded = set(re.findall(r'rel="modulepreload" href="/console/([^"]+)"', page))
    needed: set[str] = set()
    ahead = ["app.js"]
    while ahead:
        path = STATIC / ahead.pop()
        for imported in re.findall(r'^import [^;]*?from "(\.[^"]+)";', path.read_text("utf-8"), re.MULTILINE):
            name = (path.parent / imported).resolve().relative_to(STATIC).as_posix()
            if name not in needed:
                needed.add(name)
                ahead.append(name)
    # The vendored files import each other without spaces; hooks alone does, of preact.
    assert preloaded == needed
    assert [name for name in re.findall(r'="/console/([^"]+)"', page) if not (STATIC / name).is_file()] == []


def test_nothing_in_the_page_is_run_or_styled_from_within() -> None:
    for path in STATIC.glob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\bstyle=|\bon\w+=", text), path.name
        assert all("src=" in one for one in re.findall(r"<script[^>]*>", text)), path.name
    for path in (*STATIC.glob("*.js"), *STATIC.glob("views/*.js")):
        text = path.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bstyle=", text), (
            path.name
        )
        assert not re.search(r"localStorage|sessionStorage|document\.cookie|indexedDB", text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org)", text), path.name
