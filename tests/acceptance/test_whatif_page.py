"""The page that `jobrouter whatif` writes, as a browser shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobrouter.command import main
from tests.acceptance.chromium import Page, page
from tests.unit.whatif.whatif_days import profile, worker

_AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_LIGHT = (
    "(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g); return r > 200; })()"
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Of a day of twelve hours, with a change whose name is no HTML."""
    made, change, html = tmp_path / "profile.json", tmp_path / "change.json", tmp_path / "page.html"
    made.write_text(json.dumps(profile(hours=12, rate=20)), "utf-8")
    more = {"id": "x", "resource": worker(french=True), "from": "08:00", "to": "19:00"}
    named = "one more <img src=https://example.org/x.png>"
    change.write_text(json.dumps({"name": named, "workers": {"add": [more]}}), "utf-8")
    given = ["--generate", str(made), "--change", str(change), "--replications", "2", "--html", str(html)]
    assert main(["whatif", *given]) == 0
    return html


async def faults(tab: Page) -> list[str]:
    """What axe finds."""
    await tab.run(_AXE.read_text("utf-8") + ";0")
    found = await tab.run(
        "axe.run(document, {preload: false, resultTypes: ['violations']}).then((found) => found.violations"
        ".map((one) => `${one.id}: ${one.nodes[0].html}`))"
    )
    return list(found)


async def test_the_page_is_read_in_any_browser_window(written: Path) -> None:
    async with page() as tab:
        asked: list[str] = []

        def asks(event: dict[str, Any]) -> None:
            asked.append(event["request"]["url"])

        tab.on("Network.requestWillBeSent", asks)
        await tab.send("Network.enable")
        for scheme, width in (("light", 1200), ("dark", 1200), ("light", 360), ("dark", 360)):
            await tab.scheme(scheme)
            await tab.size(width, 900)
            await tab.open(f"{written.as_uri()}?{scheme}-{width}")
            await tab.until(f"location.search === '?{scheme}-{width}' && document.readyState === 'complete'")
            assert await tab.run("document.querySelectorAll('svg').length") == 3
            assert await tab.run(_LIGHT) is (scheme == "light")
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), "only what is wide scrolls"
            assert await faults(tab) == [], (scheme, width)
        plots = await tab.run("[...document.querySelectorAll('svg')].map((one) => one.getAttribute('aria-label'))")
        assert [one.partition(" by hour")[0] for one in plots] == ["service level", "wait p80", "occupancy"]
        await tab.press("Tab")
        assert await tab.run("document.activeElement.matches('.wide')"), "what scrolls can be reached"
        assert [one for one in asked if not one.startswith(("file:", "data:"))] == []
        assert tab.complaints == []
