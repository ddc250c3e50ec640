"""What it shows to whom: without a network, without motion, in the reader's own language and time."""

from __future__ import annotations

import pytest

from tests.acceptance.console.tab import Console
from tests.acceptance.desk import Desk

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def offline(tab: Console, *, really: bool) -> None:
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await tab.page.send("Network.emulateNetworkConditions", offline=really, **conditions)


async def test_a_computer_without_a_network_is_told_so(tab: Console, desk: Desk) -> None:
    """What was seen stays, from a time that is named; it goes on by itself."""
    job = desk.queued(desk.queue())
    await tab.enter()
    await tab.sees(f"tr[data-id='{job}']")
    await offline(tab, really=True)
    await tab.reads(".contact", "Offline")
    await tab.reads(".silence", "This computer is offline. What you see is from")
    await tab.sees(f"tr[data-id='{job}']")
    assert await tab.faults() == []
    await offline(tab, really=False)
    await tab.reads(".contact", "Live")
    await tab.misses(".silence")


async def test_nothing_moves_for_whom_motion_is_too_much(tab: Console, desk: Desk) -> None:
    job = desk.queued(desk.queue())
    moving = (
        "[...document.querySelectorAll('*')].flatMap((one) => ['', '::before', '::after'].map((part) => getComputedStyle(one, part)))"
        ".filter((style) => (style.animationName !== 'none' && parseFloat(style.animationDuration) > 0.01)"
        " || style.transitionDuration.split(',').some((time) => parseFloat(time) > 0.01)).length"
    )
    await tab.enter()
    await tab.spoil(f"/jobs/{job}", "is late")
    await tab.go(f"/job/{job}")
    await tab.sees(".loading .bars")
    assert await tab.page.run(moving) > 0, "what is being read is shown by motion"
    await tab.page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert await tab.page.run(moving) == 0
    await tab.page.run("window.letCome = true")
    await tab.reads("main h1", job)


async def test_numbers_and_times_are_the_readers(tab: Console) -> None:
    agent = await tab.page.run("navigator.userAgent")
    await tab.page.send("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="de-DE")
    await tab.page.send("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    await tab.open()
    await tab.sees("#key")
    told = await tab.page.run(
        "import('/console/format.js').then((module) => [module.number(1234), module.percent(0.5),"
        " module.timeOfDay(Date.parse('2026-03-04T20:00:00Z'))])"
    )
    assert [one.replace("\xa0", " ") for one in told] == ["1.234", "50 %", "01:30:00"]
