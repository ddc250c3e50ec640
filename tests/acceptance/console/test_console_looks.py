"""For whom and on what it can be used: keyboard, screen readers, screens, the wall."""

from __future__ import annotations

import pytest

from tests.acceptance.console.tab import Console
from tests.acceptance.desk import Desk, selector

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_the_keyboard_alone_is_enough(tab: Console, desk: Desk) -> None:
    queue, other = desk.queue(name="By keyboard"), desk.queue()
    worker = desk.worker(queue)
    job = desk.queued(queue, requested_worker_selectors=[selector("language", "equal", "fr")])
    await tab.open()
    await tab.sees("#key")
    await tab.tab_to("#key")
    await tab.page.type(tab.router.key)
    await tab.page.press("Enter")
    await tab.sees("#find")
    await tab.tab_to("#find")
    await tab.page.type(job)
    await tab.sees(f"tr[data-id='{job}']")
    await tab.tab_to(f"tr[data-id='{job}'] a")
    # What has the focus keeps it while the figures change.
    desk.queued(queue, requested_worker_selectors=[selector("language", "equal", "fr")], priority=90)
    await tab.reads(f"tr[data-id='{queue}'] .strong", "2")
    await tab.reads(f"tr[data-id='{job}'] td", "2")
    assert await tab.page.run("document.activeElement.textContent") == job
    await tab.page.press("Enter")
    await tab.reads("main h1", job)

    await tab.tab_to("[data-act=move]")
    await tab.page.press("Enter")
    await tab.sees("dialog[open]")
    # Escape goes back without a change, and the focus to where it was.
    await tab.page.press("Escape")
    await tab.misses("dialog")
    await tab.page.until("document.activeElement.dataset.act === 'move'")
    await tab.page.press("Enter")
    await tab.sees("dialog[open]")
    assert await tab.page.run("document.activeElement.id") == "field-queueId"
    while await tab.page.run("document.activeElement.value") != other:
        await tab.page.press("ArrowDown")
    await tab.page.press("Tab")
    await tab.tab_to("dialog [type=submit]")
    await tab.page.press("Enter")
    await tab.misses("dialog")
    assert desk.client.get_job(job).queue_id == other

    await tab.tab_to("#open")
    await tab.page.type(worker)
    await tab.tab_to(".open button[type=button]")
    await tab.page.press("Enter")
    await tab.reads("main h1", worker)
    for act in ("logOut", "logIn", "assignWork"):
        await tab.tab_to(f"[data-act={act}]")
        await tab.page.press("Enter")
        await tab.sees("dialog[open]")
        await tab.tab_to("dialog [type=submit]")
        await tab.page.press("Enter")
        await tab.misses("dialog")
    await tab.tab_to("nav a[href='#/settings']")
    await tab.page.press("Enter")
    await tab.tab_to(f".node[data-name='queues/{queue}']")
    await tab.page.press("Enter")
    await tab.reads("#chosen-title", "By keyboard")

    await tab.tab_to("nav a[href='#/reports']")
    await tab.page.press("Enter")
    await tab.sees("#span")
    await tab.tab_to("#span")
    await tab.page.press("ArrowDown")
    await tab.page.until("location.hash.includes('span=week')")
    await tab.tab_to("nav a[href='#/changes']")
    await tab.page.press("Enter")
    await tab.sees("summary")
    await tab.tab_to("summary")
    await tab.page.press("Enter")
    await tab.sees("details[open] pre")


async def test_everybody_can_read_it(tab: Console, desk: Desk) -> None:
    """axe finds nothing serious on any view, light and dark; and everything that can be used has a name."""
    queue = desk.queue(name="Read aloud", exception_policy_id=desk.exceptions())
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
    await tab.sees("main .plot")
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
    await tab.go("/settings")
    await tab.sees(".node")
    await fits()
    for view in ("/reports", "/changes"):
        await tab.go(view)
        await tab.sees(".filters")
        await tab.sees("main .card, main .empty")
        await fits()
