"""The Metrics page in a real browser: choosing, filtering, splitting, the keyboard, both colour schemes, the drawn line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

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
    assert await tab.run(ROWS) == [["Requests", "1,960"]]

    # Split by each of the four dimensions.
    for dimension, (words, rows) in {
        "Operation": ("operation", [["GetJob", "1,120"], ["UpsertJob", "840"]]),
        "ApiVersion": ("api version", [["2023-11-01", "1,960"]]),
        "StatusCode": ("status", [["200", "1,120"], ["201", "560"], ["409", "280"]]),
        "StatusSubClass": ("status class", [["2xx", "1,680"], ["4xx", "280"]]),
    }.items():
        await choose(tab, "split", dimension)
        await tab.until(f"document.querySelector('#chart-title').textContent.endsWith(', by {words}')")
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
    assert (await tab.run(ROWS)) == [["Requests", "12"]]
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

    first = await tab.run("document.querySelector('#tiles .tile[aria-pressed=false]').dataset.metric")
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
        "Object.fromEntries([...document.querySelectorAll('#tiles .tile')].map((tile) => [tile.dataset.metric, tile.querySelector('b').textContent]))"
    )
    assert re.fullmatch(
        r"(7\.\d\d|8)/min|4[0-8]/min", tiles["router.offers"]
    )  # of a minute, or of a collector's first seconds
    assert tiles["router.offer.time_to_offer"] == "250 ms"
    assert tiles["router.queue.length"] == "4"
    assert tiles["router.outbox.age"] == "–"
    await tab.click(".tile[data-metric='router.offers']")
    await tab.until("document.querySelector('#chart-title').textContent === 'Offers, per minute'")
    await choose(tab, "split", "router.outcome")
    await tab.until("document.querySelectorAll('#table tbody tr').length === 2")
    assert await tab.run(ROWS) == [["issued", "6"], ["declined", "2"]]


async def test_the_keyboard_alone_is_enough(collector: Collector, url: URL, tab: Page) -> None:
    feed_hour(collector)
    await tab.open(url)
    await tab.until(LIVE)
    await focus(tab, "document.activeElement.id === 'split'")
    await tab.press("o", "o")  # a select takes the first option of that letter
    await tab.until("document.querySelector('#chart-title').textContent.endsWith('by operation')")
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
        "Shown as",
        "Split by",
        "A point for each",
    }
    words = await tab.run("document.querySelector('#chart-words').textContent")
    assert re.fullmatch(r"2 lines: GetJob (20|19\.\d)/min, UpsertJob (15|14\.\d)/min", words)


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
    assert re.search(r"GetJob\s+20/min\s", read)
    assert re.search(r"UpsertJob\s+15/min$", read)


async def test_nought_is_read_out_too(collector: Collector, url: URL, tab: Page) -> None:
    feed(collector, "GetJob", 200, 5, 3000)  # and nothing since
    await tab.open(url)
    await tab.until(LIVE)
    x, y, width, height = await tab.box("#chart .u-over")
    await tab.hover(x + width / 2, y + height / 2)
    read = await tab.until("!document.querySelector('.readout').hidden && document.querySelector('.readout').innerText")
    assert re.search(r"^\d\d:\d\d\s+Requests\s+0/min$", read)


async def test_no_line_before_the_router_existed(collector: Collector, url: URL, tab: Page) -> None:
    """Thirty minutes of an hour: the line begins in the middle, and before it the readout says why."""
    for seconds_ago in range(60, 1800, 60):
        feed(collector, "GetJob", 200, 20, seconds_ago)
    await tab.open(url)
    await tab.until(LIVE)
    x, y, width, height = await tab.box("#chart .u-over")
    colour = rgb(await tab.run("getComputedStyle(document.querySelector('#table .swatch')).backgroundColor"))
    columns = (await tab.picture()).columns(colour, (x, y, width, height))
    assert x + width * 0.47 < min(columns) < x + width * 0.56
    await tab.hover(x + width / 4, y + height / 2)
    read = await tab.until("!document.querySelector('.readout').hidden && document.querySelector('.readout').innerText")
    assert read.endswith("Nothing measured")


ANSWERS = "Object.fromEntries([...document.querySelectorAll('.answer')].map((card) => [card.firstChild.textContent, [...card.children].slice(1).map((part) => part.textContent)]))"


async def test_an_operators_questions_come_first(collector: Collector, url: URL, tab: Page) -> None:
    await tab.open(url)
    await tab.until(LIVE)
    assert await tab.run(ANSWERS) == {
        "Jobs waiting": ["–", "not measured in the last minute"],
        "Longest wait": ["–", "not measured in the last minute"],
        "Time to offer": ["–", "no offer in the last hour"],
        "Failed requests": ["0", "no request in the last hour"],
    }
    feed_hour(collector)
    feed(collector, "CloseJob", 503, 3)
    feed_routing(collector)
    await tab.until("document.querySelector('[data-answer=waiting] b').textContent === '9'")
    assert await tab.run(ANSWERS) == {
        "Jobs waiting": ["9", "now, in 2 queues"],
        "Longest wait": ["6 min 40 s", "now, in queue sales"],
        "Time to offer": ["250 ms", "average of the last hour, 400 ms at most"],
        "Failed requests": ["3", "of 1,963 in the last hour; 280 refused (4xx)"],
    }
    assert await tab.run("document.querySelector('.answer').getBoundingClientRect().bottom < 400")
    # Each charts what it is made of.
    for answer, title, rows in (
        ("waiting", "Jobs waiting, most, by queue", ["sales", "support"]),
        ("longest", "Longest wait, most, by queue", ["sales", "support"]),
        ("offer", "Time to offer, average", ["Time to offer"]),
        ("failed", "Requests, per minute, by operation", ["CloseJob"]),
    ):
        await tab.click(f"[data-answer={answer}]")
        await tab.until(f"document.querySelector('#chart-title').textContent === {title!r}")
        named = "[...document.querySelectorAll('#table tbody th')].map((head) => head.textContent)"
        assert sorted(await tab.run(named)) == rows
        assert await tab.run(f"document.querySelector('[data-answer={answer}]').ariaPressed") == "true"


@pytest.mark.parametrize(
    ("window", "words", "counted"), [("900", "15 minutes", 1), ("3600", "hour", 3), ("21600", "6 hours", 7), ("86400", "24 hours", 15)]
)  # fmt: skip
async def test_windows(collector: Collector, url: URL, tab: Page, window: str, words: str, counted: int) -> None:
    for seconds_ago, count in ((300, 1), (2000, 2), (15_000, 4), (80_000, 8)):
        feed(collector, "GetJob", 200, count, seconds_ago)
    await tab.open(url)
    await tab.until(LIVE)
    await tab.click(f"#windows input[value='{window}']")
    await tab.until(f"document.querySelector('#table-title').textContent === 'Each line over the last {words}'")
    assert await tab.run(ROWS) == [["Requests", str(counted)]]
    failed = await tab.run("document.querySelector('[data-answer=failed]').lastChild.textContent")
    assert failed == f"of {counted} in the last {words}; 0 refused (4xx)"
    await tab.send("Page.reload")
    await tab.until(LIVE)
    assert await tab.run("document.querySelector('#windows input:checked').value") == window
    assert await tab.run(ROWS) == [["Requests", str(counted)]]


async def test_the_time_zone_is_told(collector: Collector, url: URL, tab: Page) -> None:
    await tab.send("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    await tab.open(url)
    await tab.until(LIVE)
    assert await tab.run("document.querySelector('#zone').textContent") in (
        "Times are in Asia/Kolkata (UTC+05:30).",
        "Times are in Asia/Calcutta (UTC+05:30).",
    )


CLIPPED = """[...document.querySelectorAll('body *')].filter((element) => {
    const box = element.getBoundingClientRect();
    if (!box.width || element.closest('.visually-hidden, .skip, [hidden]')) return false;
    const style = getComputedStyle(element);
    const cut = style.overflowX !== 'visible' && element.scrollWidth > element.clientWidth + 1;
    return cut || box.right > innerWidth + 0.5 || box.left < -0.5;
  }).map((element) => element.outerHTML.slice(0, 120))"""
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_clipped_and_axe_finds_nothing_serious(
    collector: Collector, url: URL, width: int, scheme: str
) -> None:
    """Empty, with the longest names, with a list of check boxes open and with the readout shown."""
    async with page(width, 900) as tab:
        await tab.scheme(scheme)
        await tab.open(url)
        await tab.until(LIVE)
        await tab.run(AXE.read_text(encoding="utf-8") + "; 0")
        assert await findings(tab) == []
        assert await tab.run(CLIPPED) == []
        feed_hour(collector)
        feed(collector, "UpsertClassificationPolicy", 503, 1_234_567)
        feed_routing(collector, "a-queue-with-a-name-that-is-as-long-as-they-come-" + "x" * 40)
        for asked in (
            "split=Operation&window=86400",
            "metric=router.queue.longest_wait&aggregation=max&split=router.queue.id",
            "metric=router.offer.time_to_offer&aggregation=avg",
        ):
            metric = "document.querySelector('#metric').value"
            wanted = re.search(r"metric=([\w.]+)", asked)
            name = wanted[1] if wanted else "ApiRequestRouter"
            # Asked for until it is there: the page writes its own address too, when a choice of before is drawn.
            await tab.until(f"(location.hash = {asked!r}, {metric} === {name!r})")
            await tab.until("document.querySelectorAll('#table tbody tr').length > 0")
            x, y, over, height = await tab.box("#chart .u-over")
            for part in (0.1, 0.5, 0.95):
                await tab.hover(x + over * part, y + height / 2)
                await tab.until("!document.querySelector('.readout').hidden")
                assert await tab.run(CLIPPED) == []
            assert await findings(tab) == []
        for details in range(await tab.run("document.querySelectorAll('#filters details').length")):
            await tab.click(f"#filters details:nth-child({details + 1}) summary")
            assert await tab.run(CLIPPED) == []
        assert await findings(tab) == []
        assert tab.complaints == []


async def findings(tab: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    found = json.loads(await tab.run("axe.run().then((told) => JSON.stringify(told.violations))"))
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def feed_routing(collector: Collector, queue: str = "sales") -> None:
    now = time.time()

    def point(name: str, total: float, count: int, *series: tuple[str, str]) -> MetricPoint:
        return MetricPoint(now, "one", "JobRouter", name, series, total, count, total / count, total / count)

    collector.history.add(
        [
            point("router.queue.length", 4, 1, ("router.queue.id", "support")),
            point("router.queue.length", 5, 1, ("router.queue.id", queue)),
            point("router.queue.longest_wait", 30, 1, ("router.queue.id", "support")),
            point("router.queue.longest_wait", 400, 1, ("router.queue.id", queue)),
            MetricPoint(now, "one", "JobRouter", "router.offer.time_to_offer", (), 0.5, 2, 0.1, 0.4),
        ]
    )


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
