"""Acts of supervisors, each told what comes of it."""

from __future__ import annotations

import pytest
from azure.communication.jobrouter import models as m

from tests.acceptance.console.floor import Floor
from tests.acceptance.console.tab import Console, console
from tests.acceptance.desk import Desk, selector

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_supervisors_story(tab: Console, desk: Desk) -> None:
    """From sign-in to a moved job and a logged-out worker."""
    queue, other = desk.queue(name="Telephone"), desk.queue(name="Second line")
    worker = desk.worker(queue, named="ada")
    job = desk.queued(
        queue,
        requested_worker_selectors=[selector("language", "equal", "fr")],
        labels={"topic": "invoice"},
        tags={"number": "42"},
    )

    await tab.open()
    await tab.sees("#key")
    await tab.fill("#key", tab.router.key)
    await tab.page.click("button[type=submit]")
    await tab.reads(f"tr[data-id='{queue}']", "Telephone")
    await tab.reads(".contact", "Live")

    # Find it by a label: the filter stands in the address.
    await tab.fill("#find", "language fr")
    await tab.reads(f"tr[data-id='{job}']", "language is fr")
    assert "find=language" in await tab.page.run("location.hash")
    await tab.fill("#find", "no such thing")
    await tab.misses(f"tr[data-id='{job}']")
    # The picture has no labels and tags of jobs: they are looked for when that is wanted.
    await tab.page.click("#labelled")
    await tab.reads(".by-labels .empty", "No active job has that")
    await tab.fill("#find", "topic=invoice number=42")
    await tab.page.click("#labelled")
    await tab.reads(".labelled", job)
    await tab.reads(".labelled", "topic=invoice, number=42")
    await tab.fill("#find", job)
    await tab.page.click(f"tr[data-id='{queue}'] a")
    await tab.reads("#jobs-title", "Telephone")
    await tab.page.click(f"tr[data-id='{job}'] a")

    # Why it waits, and what comes.
    await tab.reads(f".why [data-worker='{worker}']", "Lacks what it asks for")
    await tab.reads(".line .ahead", "Life ends")
    assert await tab.offered_acts() == ["prioritise", "move", "cancel"]
    await tab.act("prioritise", priority=50)
    await tab.confirm()
    await tab.reads(".facts", "Priority 50")
    assert desk.client.get_job(job).priority == 50
    await tab.act("move", queueId=other)
    await tab.confirm()
    await tab.reads(".said", other)
    await tab.reads(".facts", "Second line")
    assert desk.client.get_job(job).queue_id == other

    await tab.worker(worker)
    await tab.reads(".facts", "Available")
    assert await tab.offered_acts() == ["assignWork", "logOut"]
    await tab.act("logOut")
    await tab.confirm()
    await tab.reads(".facts", "Logged out")
    assert desk.client.get_worker(worker).available_for_offers is False
    await tab.page.run("history.back()")
    await tab.reads("main h1", job)


async def test_two_supervisors_on_one_job(floor: Floor, tab: Console, desk: Desk) -> None:
    """The second is told what the first has done, nothing is done, and it may go on from there."""
    queue, other = desk.queue(), desk.queue()
    job = desk.queued(queue)
    async with console(floor.browser, floor.router) as second:
        for one in (tab, second):
            await one.enter()
            await one.job(job)
        await second.act("cancel", dispositionCode="spam")
        await tab.act("move", queueId=other)
        await tab.confirm()
        await second.confirm(done=False)
        await second.reads("dialog .trouble", "It has changed since you looked.")
        told = await second.text("dialog .trouble dl")
        assert queue in told
        assert other in told
        assert desk.client.get_job(job).status == "queued"
        await second.page.click("dialog button[data-tone=primary]")
        await second.confirm()
        assert desk.client.get_job(job).disposition_code == "spam"

        # A change under a version that was seen is refused by the router itself.
        again = desk.queued(queue)
        await second.job(again)
        await second.act("prioritise", priority=7)
        desk.client.upsert_job(again, m.RouterJob(priority=3))
        await second.confirm(done=False)
        await second.reads("dialog .trouble", "Priority")
        assert desk.client.get_job(again).priority == 3


async def test_offers_assignments_and_what_a_worker_serves(tab: Console, desk: Desk) -> None:
    queue, other = desk.queue(expires=300), desk.queue(name="Letters")
    first, second = desk.worker(queue, capacity=2), desk.worker(queue, available_for_offers=False)
    job = desk.job(queue)
    desk.offer(first, job)
    await tab.enter()

    # Taken back from the one, offered anew: to the other, who has come meanwhile.
    await tab.job(job)
    await tab.reads(f".why [data-worker='{first}']", "Has it on offer")
    desk.client.upsert_worker(second, m.RouterWorker(available_for_offers=True))
    await tab.act("takeBack", again="1800")
    await tab.confirm()
    offer = desk.offer(second, job)
    await tab.reads(f".why [data-worker='{first}']", "Has declined it")

    # Accepted, then taken from its worker.
    desk.client.accept_job_offer(second, offer.offer_id)
    await tab.reads(".facts", "Assigned")
    await tab.reads(".withwhom", second)
    await tab.act("unassign")
    await tab.page.click("dialog input[type=checkbox]")
    await tab.confirm()
    await tab.reads(".facts", "Waits for activation")
    assert desk.client.get_job(job).assignments == {}
    await tab.act("cancel", dispositionCode="duplicate", note="Came twice")
    await tab.confirm()
    await tab.reads(".facts", "Cancelled")
    await tab.reads(".line", "Came twice")
    assert await tab.offered_acts() == []

    await tab.worker(first)
    await tab.act("assignWork", capacity=5)
    await tab.page.click(f"dialog input[value='{other}']")
    await tab.fill("[id='field-most:voice']", 3)
    await tab.confirm()
    changed = desk.client.get_worker(first)
    assert changed.capacity == 5
    assert set(changed.queues or []) == {queue, other}
    assert [one.max_number_of_jobs for one in changed.channels or []] == [3]
    await tab.reads(".details", "Letters")
