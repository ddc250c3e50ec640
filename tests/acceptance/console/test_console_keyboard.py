"""With keys alone: what has the focus is seen, keeps it while things change, and gets it back after a dialog."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from azure.communication.jobrouter import models as m

from tests.acceptance.console.floor import Floor
from tests.acceptance.console.tab import Console
from tests.acceptance.console.tenant import Tenant
from tests.acceptance.desk import Desk, selector

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]

_ACTIVE = "document.activeElement"
#: An outline, or what stands in its place.
_SEEN = f"((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== 'none')(getComputedStyle({_ACTIVE}))"


@dataclass
class Hands:
    """On the keyboard of a tab."""

    tab: Console

    async def reach(self, selector: str) -> None:
        """By the Tab key; where the focus is can be seen, and is in the window."""
        await self.tab.sees(selector)
        await self.tab.tab_to(selector)
        assert await self.tab.page.run(_SEEN), f"the focus on {selector} is not seen"
        within = f"((box) => box.bottom > 0 && box.top < innerHeight)({_ACTIVE}.getBoundingClientRect())"
        assert await self.tab.page.run(within), f"{selector} is out of the window"

    async def press(self, selector: str, key: str = "Enter") -> None:
        await self.reach(selector)
        await self.tab.page.press(key)

    async def choose(self, value: str) -> None:
        """Of the choice that has the focus, by the arrows."""
        for _ in range(await self.tab.page.run(f"{_ACTIVE}.options.length")):
            if await self.tab.page.run(f"{_ACTIVE}.value") == value:
                return
            await self.tab.page.press("ArrowDown")
        raise AssertionError(f"{value} cannot be chosen")

    async def open(self, act: str, of: str = "main") -> None:
        """The dialog of an act."""
        await self.press(f"{of} [data-act={act}]")
        await self.tab.sees("dialog[open]")
        assert await self.tab.page.run(f"!!{_ACTIVE}.closest('dialog')")

    async def leave(self, act: str) -> None:
        """Without a change: the focus is where it was, from where the other key opens it again."""
        await self.tab.page.press("Escape")
        await self.tab.misses("dialog")
        assert await self.tab.page.run(f"{_ACTIVE}.dataset.act") == act
        await self.tab.page.press("Space")
        await self.tab.sees("dialog[open]")

    async def confirm(self) -> None:
        """The focus is in the page afterwards: on the act where it is there still, or at the top of the view."""
        await self.press("dialog [type=submit]")
        await self.tab.misses("dialog")
        assert await self.tab.page.run(f"!!{_ACTIVE}.closest('main')")

    async def act(self, name: str, of: str = "main") -> None:
        await self.open(name, of)
        await self.confirm()


@pytest.fixture
def hands(tab: Console) -> Hands:
    return Hands(tab)


async def test_a_supervisor_needs_no_mouse(hands: Hands, tab: Console, desk: Desk) -> None:
    """From the sign-in through every act; the router has done each."""
    french = [selector("language", "equal", "fr")]
    queue, other = desk.queue(name="By keyboard", expires=300), desk.queue(named="letters")
    worker, second = desk.worker(queue), desk.worker(queue, available_for_offers=False)
    job = desk.queued(queue, requested_worker_selectors=french)
    await tab.open()
    await hands.reach("#key")
    await tab.page.type(tab.router.key)
    await tab.page.press("Enter")
    # The first view is where the focus is.
    await tab.page.until(f"{_ACTIVE}.id === 'main'")

    # The tables: a queue is chosen, its lines are found and stay under the focus while figures change.
    await hands.press(f".queues tr[data-id='{queue}'] a")
    await tab.reads("#jobs-title", "By keyboard")
    await hands.press(".sorter", "Space")
    await tab.page.until("location.hash.includes('sort=name')")
    await hands.reach("#find")
    await tab.page.type(job)
    await hands.reach(f"tr[data-id='{job}'] a")
    desk.queued(queue, requested_worker_selectors=french, priority=90)
    await tab.reads(f"tr[data-id='{job}'] td", "2")
    assert await tab.page.run(f"{_ACTIVE}.textContent") == job
    await tab.page.press("Enter")
    await tab.reads("main h1", job)
    assert await tab.page.run(f"{_ACTIVE}.id") == "main"

    await hands.open("prioritise")
    assert await tab.page.run(f"{_ACTIVE}.id") == "field-priority"
    await tab.page.run(f"{_ACTIVE}.select()")
    await tab.page.type("70")
    # Somebody was first: what is shown then is answered by the same key.
    desk.client.upsert_job(job, m.RouterJob(priority=60))
    await hands.press("dialog [type=submit]")
    await tab.reads("dialog .trouble", "It has changed since you looked.")
    await tab.page.until(f"{_ACTIVE}.textContent === 'Go on from what is there now'")
    await tab.page.press("Enter")
    await hands.confirm()
    assert desk.client.get_job(job).priority == 70
    await hands.open("move")
    await hands.leave("move")
    await hands.choose(other)
    await hands.confirm()
    assert desk.client.get_job(job).queue_id == other
    await hands.open("cancel")
    await tab.page.type("by keyboard")
    await hands.confirm()
    assert desk.client.get_job(job).disposition_code == "by keyboard"

    # An offer goes on to who has come meanwhile, and what it accepts is taken from it.
    held = desk.job(queue)
    desk.offer(worker, held)
    await hands.reach("#open")
    await tab.page.type(held)
    await tab.page.press("Enter")
    await tab.reads("main h1", held)
    desk.client.upsert_worker(second, m.RouterWorker(available_for_offers=True))
    await hands.open("takeBack", f".why [data-worker='{worker}']")
    await hands.choose("1800")
    await hands.confirm()
    desk.client.accept_job_offer(second, desk.offer(second, held).offer_id)
    assert not desk.client.get_worker(worker).offers
    await hands.open("unassign")
    await hands.press("dialog input[type=checkbox]", "Space")
    await hands.confirm()
    assert desk.until(held, "waitingForActivation").assignments == {}

    await hands.reach("#open")
    await tab.page.type(worker)
    await hands.press(".open button[type=button]", "Space")
    await tab.reads("main h1", worker)
    await hands.act("logOut")
    assert desk.client.get_worker(worker).available_for_offers is False
    await hands.act("logIn")
    assert desk.client.get_worker(worker).available_for_offers is True
    await hands.open("assignWork")
    await hands.press(f"dialog input[value='{other}']", "Space")
    await hands.reach("dialog #field-capacity")
    await tab.page.press("ArrowUp")
    await hands.confirm()
    changed = desk.client.get_worker(worker)
    assert (changed.capacity, set(changed.queues or [])) == (2, {queue, other})

    # What is only read.
    await hands.press("nav a[href='#/settings']")
    await hands.press(f".node[data-name='queues/{queue}']")
    await tab.reads("#chosen-title", "By keyboard")
    await hands.press("nav a[href='#/reports']")
    await hands.reach("#span")
    await tab.page.press("ArrowDown")
    await tab.page.until("location.hash.includes('span=week')")
    await hands.press("nav a[href='#/changes']")
    await hands.press("summary")
    await tab.sees("details[open] pre")
    await hands.press("header button")
    await tab.sees("#key")


async def test_an_agent_needs_no_mouse(hands: Hands, floor: Floor, tab: Console, tenant: Tenant, desk: Desk) -> None:
    """Signs in with Microsoft, and does its day's work."""
    queue = desk.queue(expires=300)
    tenant.person, tenant.roles = desk.id("person"), ("Router.Agent",)
    tab.others = (tenant.authority,)
    worker = desk.worker(queue, tags={"entraObjectId": tenant.person}, available_for_offers=False)
    await tab.open()
    await tab.page.until("!!window.msal")
    await hands.press(".ways button[type=button]")
    await tab.reads("main h1", worker)
    await hands.act("logIn")
    assert desk.client.get_worker(worker).available_for_offers is True
    unwanted = desk.job(queue)
    desk.offer(worker, unwanted)
    await hands.act("decline", f"[data-offer='{unwanted}']")
    assert not desk.client.get_worker(worker).offers
    desk.client.cancel_job(unwanted)
    job = desk.job(queue)
    desk.offer(worker, job)
    await hands.open("accept", f"[data-offer='{job}']")
    await hands.leave("accept")
    await hands.confirm()
    desk.until(job, "assigned")
    await hands.open("complete", f"[data-assignment='{job}']")
    await tab.page.type("Settled")
    await hands.confirm()
    assert [note.message for note in desk.until(job, "completed").notes or []] == ["Settled"]
    await hands.open("close", f"[data-assignment='{job}']")
    await tab.page.type("solved")
    await hands.confirm()
    assert desk.until(job, "closed").disposition_code == "solved"
    await hands.act("logOut")
    assert desk.client.get_worker(worker).available_for_offers is False
