"""The Metrics page in a real browser: choosing, filtering, splitting, the keyboard, both colour schemes, the drawn line."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from local.metrics import Collector, mount, start
from local.metrics.envelopes import MetricPoint
from tests.acceptance.chromium import Page, page

pytestmark = pytest.mark.timeout(600)  # a fresh machine installs the browser first

URL = str  # the page as the local host serves it


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    running = await start()
    yield running
    await running.close()


@pytest.fixture
async def url(collector: Collector) -> AsyncIterator[URL]:
    """The page mounted in a host, as `python -m local.host --mount` does it."""
    app = web.Application()
    mount(app, collector.url)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics-explorer"
    await runner.cleanup()


@pytest.fixture
async def tab() -> AsyncIterator[Page]:
    async with page() as opened:
        yield opened
        assert opened.complaints == []


def feed(collector: Collector, operation: str, status: int, count: int, seconds_ago: float = 0) -> None:
    dimensions = (
        ("ApiVersion", "2023-11-01"),
        ("Operation", operation),
        ("StatusCode", str(status)),
        ("StatusSubClass", f"{status // 100}xx"),
    )
    moment = time.time() - seconds_ago
    collector.history.add([MetricPoint(moment, "one", "JobRouter", "ApiRequestRouter", dimensions, count, count, 1, 1)])


def feed_hour(collector: Collector) -> None:
    for seconds_ago in range(60, 3400, 60):
        feed(collector, "GetJob", 200, 20, seconds_ago)
        feed(collector, "UpsertJob", 201, 10, seconds_ago)
        feed(collector, "UpsertJob", 409, 5, seconds_ago)


LIVE = "document.querySelector('#state').dataset.state === 'live'"
ROWS = "[...document.querySelectorAll('#table tbody tr')].map((row) => [...row.cells].slice(0, 2).map((cell) => cell.textContent))"


async def test_the_portals_metrics_tab_in_small(collector: Collector, url: URL, tab: Page) -> None:
    feed_hour(collector)
    await tab.open(url)
    await tab.until(LIVE)
    assert await tab.run(ROWS) == [["ApiRequestRouter", "1,960"]]

    # Split by each of the four dimensions.
    for dimension, rows in {
        "Operation": [["GetJob", "1,120"], ["UpsertJob", "840"]],
        "ApiVersion": [["2023-11-01", "1,960"]],
        "StatusCode": [["200", "1,120"], ["201", "560"], ["409", "280"]],
        "StatusSubClass": [["2xx", "1,680"], ["4xx", "280"]],
    }.items():
        await choose(tab, "split", dimension)
        await tab.until(f"document.querySelector('#chart-title').textContent.endsWith('by {dimension}')")
        assert await tab.run(ROWS) == rows

    # Filter by one: clicks on the drop-down, a check box, and back to all.
    await tab.click("#filters details[data-dimension=Operation] summary")
    await tab.click("#filters input[value=UpsertJob]")
    await tab.until("document.querySelector('#table tbody').textContent.includes('560')")
    assert await tab.run(ROWS) == [["2xx", "560"], ["4xx", "280"]]
    await tab.press("Escape")
    assert await tab.run("document.querySelectorAll('#filters details[open]').length") == 0
    await tab.click("#filters details[data-dimension=StatusCode] summary")
    await tab.click("#filters input[value='409']")
    await tab.until("document.querySelectorAll('#table tbody tr').length === 1")
    assert await tab.run(ROWS) == [["4xx", "280"]]

    # The address keeps the question: a reload shows the same.
    shown = await tab.run("location.href")
    assert "split=StatusSubClass" in shown
    await tab.send("Page.reload")
    await tab.until(LIVE)
    assert await tab.run(ROWS) == [["4xx", "280"]]


async def test_it_updates_live(collector: Collector, url: URL, tab: Page) -> None:
    await tab.open(url)
    await tab.until(LIVE)
    assert await tab.run("document.querySelector('#empty').hidden") is False
    feed(collector, "GetJob", 200, 7)
    await tab.until("document.querySelector('#table tbody').textContent.includes('7')")
    feed(collector, "GetJob", 200, 5)
    await tab.until("document.querySelector('#table tbody').textContent.includes('12')")
    assert await tab.run("document.querySelector('#empty').hidden") is True

    await tab.click("#pause")
    feed(collector, "GetJob", 200, 100)
    await tab.until("document.querySelector('#state').textContent === 'Paused'")
    assert (await tab.run(ROWS)) == [["ApiRequestRouter", "12"]]
    await tab.click("#pause")
    await tab.until("document.querySelector('#table tbody').textContent.includes('112')")


async def test_a_click_that_outlasts_an_update_counts(collector: Collector, url: URL, tab: Page) -> None:
    feed(collector, "GetJob", 200, 7)
    feed(collector, "GetWorker", 200, 3)
    await tab.open(f"{url}#split=Operation")
    await tab.until("document.querySelectorAll('#table .toggle').length === 2")
    x, y, width, height = await tab.box("#table tr[data-label=GetJob] .toggle")
    middle = (x + width / 2, y + height / 2)
    await tab.mouse("mousePressed", *middle)
    feed(collector, "GetJob", 200, 5)
    await tab.until("document.querySelector('#table tr[data-label=GetJob]').textContent.includes('12')")
    await tab.mouse("mouseReleased", *middle)
    await tab.until("document.querySelector('#table tr[data-label=GetJob] .toggle').ariaPressed === 'false'")

    first = await tab.run("document.querySelector('.tile[aria-pressed=false]').dataset.metric")
    tile = f".tile[data-metric='{first}']"
    x, y, width, height = await tab.box(tile)
    await tab.mouse("mousePressed", x + width / 2, y + height / 2)
    feed(collector, "GetJob", 200, 5)
    await tab.until("document.querySelector('#table tr[data-label=GetJob]').textContent.includes('17')")
    await tab.mouse("mouseReleased", x + width / 2, y + height / 2)
    await tab.until(f'document.querySelector("{tile}").ariaPressed === "true"')


async def test_a_collector_that_is_gone_is_told(collector: Collector, url: URL, tab: Page) -> None:
    await tab.open(url)
    await tab.until(LIVE)
    await collector.close()
    await tab.until("document.querySelector('#state').dataset.state === 'lost'")
    tab.complaints.clear()  # the browser itself logs each answer of 503


async def test_routing_metrics_are_there(collector: Collector, url: URL, tab: Page) -> None:
    now = time.time()
    collector.history.add(
        [
            MetricPoint(now, "one", "JobRouter", "router.offers", (("router.outcome", "issued"),), 6, 6, 1, 1),
            MetricPoint(now, "one", "JobRouter", "router.offers", (("router.outcome", "declined"),), 2, 2, 1, 1),
            MetricPoint(now, "one", "JobRouter", "router.offer.time_to_offer", (), 0.5, 2, 0.1, 0.4),
            MetricPoint(now, "one", "JobRouter", "router.queue.length", (("router.queue.id", "support"),), 4, 1, 4, 4),
        ]
    )
    await tab.open(url)
    await tab.until(LIVE)
    tiles = await tab.run(
        "Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [tile.dataset.metric, tile.querySelector('b').textContent]))"
    )
    assert tiles["router.offers"] == "8"
    assert tiles["router.offer.time_to_offer"] == "250 ms"
    assert tiles["router.queue.length"] == "4"
    assert tiles["router.outbox.age"] == "–"
    await tab.click(".tile[data-metric='router.offers']")
    await tab.until("document.querySelector('#chart-title').textContent === 'Count of router.offers'")
    await choose(tab, "split", "router.outcome")
    await tab.until("document.querySelectorAll('#table tbody tr').length === 2")
    assert await tab.run(ROWS) == [["issued", "6"], ["declined", "2"]]


async def test_the_keyboard_alone_is_enough(collector: Collector, url: URL, tab: Page) -> None:
    feed_hour(collector)
    await tab.open(url)
    await tab.until(LIVE)
    await focus(tab, "document.activeElement.id === 'split'")
    await tab.press("o", "o")  # a select takes the first option of that letter
    await tab.until("document.querySelector('#chart-title').textContent.endsWith('by Operation')")
    await focus(tab, "document.activeElement.closest('details')?.dataset.dimension === 'StatusCode'")
    await tab.press("Enter")
    await tab.until("document.querySelector('details[data-dimension=StatusCode]').open")
    await focus(tab, "document.activeElement.value === '409'")
    await tab.press("Space")
    await tab.until("document.querySelectorAll('#table tbody tr').length === 1")
    assert await tab.run(ROWS) == [["UpsertJob", "280"]]
    await tab.press("Escape")
    assert await tab.run("document.activeElement.tagName") == "SUMMARY"
    await focus(tab, "document.activeElement.className === 'toggle'")
    await tab.press("Space")
    await tab.until("document.querySelector('.toggle').getAttribute('aria-pressed') === 'false'")
    # The table is drawn anew every two seconds; the focus stays where it was.
    feed(collector, "UpsertJob", 409, 1)
    await tab.until("document.querySelector('#table tbody').textContent.includes('281')")
    assert await tab.run("document.activeElement.className") == "toggle"


async def test_everything_has_a_name_for_screen_readers(collector: Collector, url: URL, tab: Page) -> None:
    feed_hour(collector)
    await tab.open(f"{url}#split=Operation")
    await tab.until(LIVE)
    tree = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
    controls = [
        (node["role"]["value"].replace("img", "image"), node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored")
        and node["role"]["value"].replace("img", "image")
        in ("button", "combobox", "checkbox", "image", "table", "region")
    ]
    roles = {role for role, _ in controls}
    assert {"button", "combobox", "image", "table"} <= roles
    assert [control for control in controls if not control[1].strip()] == []
    assert {name for role, name in controls if role == "combobox"} == {
        "Metric",
        "Aggregation",
        "Split by",
        "Time grain",
    }
    words = await tab.run("document.querySelector('#chart-words').textContent")
    assert words == "2 lines: GetJob 1,120, UpsertJob 840"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_lines_are_drawn(collector: Collector, url: URL, tab: Page, scheme: str) -> None:
    """A screenshot has each line's colour across the chart, the hidden line's no more, and text that can be read."""
    feed_hour(collector)
    await tab.scheme(scheme)
    await tab.open(f"{url}#split=Operation")
    await tab.until(LIVE)
    await tab.until("document.querySelectorAll('.swatch').length === 2")
    first, second = await tab.run(
        "[...document.querySelectorAll('#table .swatch')].map((swatch) => getComputedStyle(swatch).backgroundColor)"
    )
    chart = await tab.box("#chart .u-over")
    picture = await tab.picture()
    for colour in (rgb(first), rgb(second)):
        # The fed hour fills the chart; a flat line two pixels thick meets nearly every column.
        assert len(picture.columns(colour, chart)) > chart[2] * 0.8
    assert luminance(picture.at(3, 3)) > 0.8 if scheme == "light" else luminance(picture.at(3, 3)) < 0.1
    text, card = await tab.run(
        "[getComputedStyle(document.body).color, getComputedStyle(document.querySelector('.card')).backgroundColor]"
    )
    assert contrast(rgb(text), rgb(card)) > 7
    assert all(contrast(rgb(colour), rgb(card)) > 3 for colour in (first, second))

    await tab.click("#table tbody tr[data-label=GetJob] .toggle")
    await tab.until("document.querySelector('#table .toggle').getAttribute('aria-pressed') === 'false'")
    picture = await tab.picture()
    assert picture.count(rgb(first), chart) == 0
    assert len(picture.columns(rgb(second), chart)) > chart[2] * 0.8


async def test_the_pointer_reads_out_values(collector: Collector, url: URL, tab: Page) -> None:
    feed_hour(collector)
    await tab.open(f"{url}#split=Operation")
    await tab.until(LIVE)
    x, y, width, height = await tab.box("#chart .u-over")
    await tab.hover(x + width / 2, y + height / 2)
    read = await tab.until("!document.querySelector('.readout').hidden && document.querySelector('.readout').innerText")
    assert re.search(r"GetJob\s+20\s", read)
    assert re.search(r"UpsertJob\s+15$", read)


async def choose(tab: Page, select: str, value: str) -> None:
    await tab.run(
        f"(() => {{ const select = document.getElementById({select!r}); select.value = {value!r};"
        " select.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


async def focus(tab: Page, reached: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(60):
        if await tab.run(reached):
            return
        await tab.press("Tab")
    raise AssertionError(f"the Tab key never reached {reached}")


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return red, green, blue


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, as WCAG has it."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
