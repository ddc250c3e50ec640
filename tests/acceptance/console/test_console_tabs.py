"""Two tabs of one browser: what they share and what they do not, and which of them asks."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.console.floor import Floor
from tests.acceptance.console.tab import Console, console
from tests.acceptance.desk import Desk
from tests.eventually import eventually_async

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]

#: What the page does in its rhythm it does when that is let go.
_HOLD = """
((real) => {
  window.held = [];
  window.setTimeout = (then, ms = 0, ...more) => (ms >= 400 ? window.held.push(then) : real(then, ms, ...more));
  window.letGo = () => { window.setTimeout = real; for (const then of window.held) then(); };
})(window.setTimeout);
"""


def _asked(tab: Console, path: str) -> int:
    return sum(path in url for url in tab.asked)


async def _asks(tab: Console, path: str, after: int) -> None:
    async def more() -> bool:
        return _asked(tab, path) > after

    await eventually_async(more, f"it asks again for {path}")


async def _answered(tab: Console) -> None:
    """Whatever it has asked for, and what it asked for then."""

    async def none_left() -> bool:
        before = len(tab.asked)
        if tab.under_way:
            return False
        await tab.page.run("new Promise((go) => setTimeout(go, 100))")
        return not tab.under_way and len(tab.asked) == before

    await eventually_async(none_left, "all that it has asked for is answered")


async def _to_the_front(tab: Console) -> None:
    await tab.page.send("Page.bringToFront")
    await tab.page.until("document.visibilityState === 'visible'")


async def test_a_tab_that_is_behind_another_does_not_ask(floor: Floor, desk: Desk) -> None:
    """In front again it asks at once, and shows what has come to be meanwhile. Each tab signs in by itself."""
    job = desk.queued(desk.queue())
    async with (
        console(floor.browser, floor.router, always_seen=False, quick=True) as first,
        console(floor.browser, floor.router, always_seen=False, quick=True) as second,
    ):
        first.hurries = second.hurries = False
        await _to_the_front(first)
        await first.enter()
        await first.job(job)
        # A job's page asks for the floor, and for the job beside it. The next questions are half a second away.
        await first.sees("#why-title")
        await _asks(first, "/routing/live", _asked(first, "/routing/live"))
        await _to_the_front(second)
        await first.page.until("document.hidden")
        await second.open()
        await second.sees("#key")
        assert _asked(second, "/routing/") == 0, "it has signed itself in"
        await _answered(first)
        all, floor_asked, job_asked = len(first.asked), _asked(first, "/routing/live"), _asked(first, f"/jobs/{job}")
        await second.enter(key=floor.router.key)
        await second.job(job)
        await second.act("prioritise", priority=33)
        await second.confirm()
        await asyncio.sleep(1.1)  # twice as long as it pauses
        assert len(first.asked) == all

        # At once, whatever its rhythm.
        await first.page.run(_HOLD)
        await _to_the_front(first)
        await _asks(first, "/routing/live", floor_asked)
        await _asks(first, f"/jobs/{job}", job_asked)
        await first.reads(".facts", "Priority 33")
        # From then on in its rhythm.
        await first.page.until("window.held.length >= 2")
        floor_asked = _asked(first, "/routing/live")
        await first.page.run("window.letGo()")
        await _asks(first, "/routing/live", floor_asked)


async def test_what_is_done_in_one_tab_is_seen_in_the_other(floor: Floor, tab: Console, desk: Desk) -> None:
    """Side by side. To sign out of one leaves the other as it is."""
    queue, other = desk.queue(), desk.queue(name="Across")
    job, worker = desk.queued(queue), desk.worker(other)
    async with console(floor.browser, floor.router, quick=True) as second:
        tab.hurries = second.hurries = False
        for one in (tab, second):
            await one.enter()
            await one.job(job)
        await tab.act("prioritise", priority=44)
        await tab.confirm()
        await second.reads(".facts", "Priority 44")
        await second.go("/now")
        await second.reads(f"tr[data-id='{worker}'] .state", "Available")
        await tab.worker(worker)
        await tab.act("logOut")
        await tab.confirm()
        await second.reads(f"tr[data-id='{worker}'] .state", "Logged out")
        await tab.page.click("header button")
        await tab.sees("#key")
        asked = _asked(second, "/routing/live")
        await _asks(second, "/routing/live", asked)
        await second.reads(".contact", "Live")
