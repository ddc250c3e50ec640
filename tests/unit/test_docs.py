"""The documents keep their word: settings, commands, links, and the states of a job."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from router.models.jobs import JOB_LIFE_DAYS
from router.models.selectors import MAX_SELECTORS
from router.models.sizes import LARGEST_NOTED, LARGEST_WRITTEN
from router.models.types import MAX_LABELS
from router.models.workers import MAX_CHANNELS, MAX_QUEUES
from router.settings import SETTINGS
from router.wire.parse import MAX_BODY_BYTES
from scripts import state_diagram

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "testkit" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: `docs/behaviour.md, "Offers"`, of which there may be several: `docs/behaviour.md, "Workers" and "Offers"`.
_CITED = re.compile(r'docs/behaviour\.md((?:,?\s(?:#:? )?(?:and )?"[^"\n]+")+)')
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return set(re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def test_the_page_has_every_setting_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(setting.name for setting in SETTINGS)


def test_the_page_names_what_is_required() -> None:
    rows = dict(
        re.findall(r"^\| `([A-Z_]+)` \| (.*) \|$", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    )
    for setting in SETTINGS:
        if setting.required:
            assert "required" in rows[setting.name].lower(), setting.name


def test_the_limits_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    cells = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE))
    told = {name: [int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*", text)] for name, text in cells.items()}
    assert told["a job's life"] == [JOB_LIFE_DAYS]
    assert "MiB" in cells["body of a request"]
    assert told["body of a request"] == [MAX_BODY_BYTES // 2**20]
    assert told["what is written of a job, worker, queue or policy"] == [LARGEST_WRITTEN, LARGEST_NOTED]
    assert MAX_LABELS == MAX_SELECTORS
    assert told["labels, tags, selectors"] == [MAX_LABELS, MAX_QUEUES, MAX_CHANNELS]


def test_the_sample_has_every_setting() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    assert {setting.name for setting in SETTINGS} <= sample.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    # As the reader must type it: the modules are in .venv alone.
    typed = r"(?<!\.venv/bin/)(?<!\w)python[\d.]* -m (?:router|scripts|local|jobrouter|bench|tests)\b"
    assert re.findall(typed, text) == []
    # In code only: prose may make things.
    code = [match[0] for match in _FENCE.finditer(text)] + re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))
    for command in code:
        for target in re.findall(r"(?:^|[\s`(])make ([a-z-]+)", command, re.MULTILINE):
            assert target in targets, f"make {target}"
        for module in re.findall(r"python[\d.]* -m ((?:router|scripts|local|jobrouter|bench|tests)[\w.]*)", command):
            path = ROOT.joinpath(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert target.is_relative_to(ROOT)
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name} links to {link}"


def test_the_states_of_a_job_are_those_of_the_code() -> None:
    page = state_diagram.PAGE.read_text(encoding="utf-8")
    assert state_diagram.shown(page) == state_diagram.diagram(), "python -m scripts.state_diagram --write"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {
        (ROOT / link.partition("#")[0]).resolve() for link in _LINK.findall((ROOT / "README.md").read_text("utf-8"))
    }
    missing = [page.name for page in PAGES if page.parent.name == "docs" and page not in linked]
    assert not missing


def test_the_first_screen_tells_why_what_and_how_to_try_it() -> None:
    """Before any picture: what a reader sees without scrolling."""
    text = (ROOT / "README.md").read_text("utf-8")
    first = text[: text.index("![")]
    assert len(first.splitlines()) <= 25
    places = [
        first.index(words)
        for words in (
            "retiring",
            "acs-retirement-and-breaking-changes-guide",
            "self-hosted",
            "make start",
            "quickstart.py",
        )
    ]
    assert places == sorted(places)
    assert "retir" in first[: first.index(".")], "why it exists, first sentence"


def test_the_pictures_are_pictures() -> None:
    from xml.etree import ElementTree

    pictures = list((ROOT / "docs" / "images").glob("*.svg"))
    assert pictures
    for picture in pictures:
        root = ElementTree.parse(picture).getroot()
        assert root.tag.endswith("svg")
        assert root.find("{http://www.w3.org/2000/svg}title") is not None, "a title for those who cannot see it"


def _sources() -> list[Path]:
    folders = ("router", "local", "jobrouter", "scripts", "bench", "examples", "tests", "docs")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found = [path for path in (*found, *ROOT.glob("*")) if path.suffix in (".py", ".md", ".mjs")]
    return [path for path in found if path != Path(__file__)]


def test_citations_of_the_behaviour_page_lead_to_its_headings() -> None:
    cited = {
        (str(path.relative_to(ROOT)), name)
        for path in _sources()
        for names in _CITED.findall(path.read_text(encoding="utf-8"))
        for name in re.findall(r'"([^"]+)"', names)
    }
    known = headings(ROOT / "docs" / "behaviour.md")
    assert cited
    assert [one for one in sorted(cited) if one[1] not in known] == []


def test_nothing_cites_a_text_that_is_not_here() -> None:
    gone = re.compile(r"[Cc]ontract\W+sections?\b")
    citing = [str(path.relative_to(ROOT)) for path in _sources() if gone.search(path.read_text(encoding="utf-8"))]
    assert citing == []
