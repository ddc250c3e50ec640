"""For whom and on what it can be used: screen readers, screens, the wall."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.console.floor import COUNTED_SECONDS, Floor
from tests.acceptance.console.tab import Console
from tests.acceptance.desk import Desk

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_everybody_can_read_it(floor: Floor, tab: Console, desk: Desk) -> None:
    """axe finds nothing serious on any view, light and dark; and everything that can be used has a name."""
    await asyncio.to_thread(floor.later, COUNTED_SECONDS)
    queue = desk.queue(name="Read aloud", expires=300, exception_policy_id=desk.exceptions())
    job = desk.job(queue)
    worker = desk.worker(queue, tags={"team": "one"})
    desk.offer(worker, job)
    waiting = desk.queued(queue, labels={"language": "fr"})

    async def both(view: str) -> None:
        for scheme in ("light", "dark"):
            await tab.page.scheme(scheme)
            # The schemes differ in nothing but colours.
            assert await tab.faults(colours_alone=scheme == "dark") == [], f"{view}, {scheme}"

    await tab.open()
    await tab.sees("#key")
    await both("sign-in")
    await tab.enter()
    await tab.sees(f"tr[data-id='{waiting}']")
    await tab.sees(f"tr[data-id='{worker}'] .held")
    await both("now")
    await tab.job(waiting)
    await tab.sees(".why li")
    await both("job")
    await tab.act("move")
    await both("dialog")
    await tab.page.press("Escape")
    await tab.worker(worker)
    await tab.sees("[data-offer]")
    await both("worker")
    await tab.go(f"/settings?of=queues/{queue}")
    await tab.sees("pre")
    await both("settings")
    await tab.go("/reports")
    await tab.reads("main .plot figcaption", "Assigned", 60)
    await tab.sees("main .plot canvas")
    await both("reports")
    await tab.go("/changes")
    await tab.sees(".changes li")
    await both("changes")
    await tab.go("/job/nobody")
    await tab.sees("main .empty")
    await both("a job that is not there")
    await tab.enter(query="?wall")
    await tab.sees(".wall .tiles li")
    await both("wallboard")


async def test_the_wall_has_no_controls(tab: Console, desk: Desk) -> None:
    queue = desk.queue(name="On the wall")
    for _ in range(3):  # it has room for those with the most who wait
        desk.queued(queue)
    await tab.page.size(1920, 1080)
    await tab.enter(query="?wall")
    await tab.reads(".tiles", "On the wall")
    assert await tab.page.run("document.querySelectorAll('a, button, input, select').length") == 0
    assert await tab.page.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [390, 768, 2560])
async def test_it_fits_screens(tab: Console, desk: Desk, width: int) -> None:
    queue = desk.queue(name="Fits")
    worker, job = desk.worker(queue, available_for_offers=False), desk.queued(queue, labels={"long": "x" * 200})
    served = desk.queue(expires=300)
    busy, offered = desk.worker(served), desk.job(served)
    desk.offer(busy, offered)
    await tab.page.size(width, 900)
    await tab.enter()

    async def fits() -> None:
        assert await tab.page.run("document.documentElement.scrollWidth <= innerWidth")

    await tab.sees(f"tr[data-id='{job}']")
    await fits()
    await tab.job(job)
    await tab.sees(".pairs")
    await fits()
    await tab.worker(worker)
    await fits()
    # Nothing of a table is cut off, nor pressed into a narrow column.
    for queue_id, row in ((queue, job), (served, busy)):
        await tab.go(f"/now?queue={queue_id}&find={row}")
        await tab.sees(f"tr[data-id='{row}']")
        wide = "[...document.querySelectorAll('.floor .scroll')].every((one) => one.scrollWidth <= one.clientWidth)"
        await tab.page.until(wide)
    await tab.job(offered)
    await tab.sees(".why .acts")
    assert await tab.page.run("document.querySelector('.why li > div').clientWidth > 200")
    await fits()
    await tab.go("/settings")
    # References are drawn where they can be seen without scrolling aside.
    await tab.sees(".edges path")
    await tab.page.until(
        "((shown) => shown.scrollWidth <= shown.clientWidth && [...document.querySelectorAll('.edges path')].every((one) =>"
        " one.getBoundingClientRect().right <= shown.getBoundingClientRect().right))(document.querySelector('.map').parentElement)"
    )
    await fits()
    for view in ("/reports", "/changes"):
        await tab.go(view)
        await tab.sees(".filters")
        await tab.sees("main .card, main .empty")
        await fits()
