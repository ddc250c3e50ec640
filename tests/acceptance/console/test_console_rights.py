"""Who signs in how, and what they see; secrets and scripts."""

from __future__ import annotations

import json

import pytest
from azure.communication.jobrouter import models as m

from tests.acceptance.console.floor import READ_KEY, Floor
from tests.acceptance.console.tab import Console
from tests.acceptance.desk import Desk, selector

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_key_that_reads_is_offered_no_act(floor: Floor, tab: Console, desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.queued(desk.queue())
    await tab.enter(key=READ_KEY)
    await tab.reads(".who", "May read")
    await tab.job(job)
    await tab.sees(".answer")
    assert await tab.offered_acts() == []
    await tab.worker(worker)
    assert await tab.offered_acts() == []
    for view, head in {"/reports": "Reports", "/changes": "Changes"}.items():
        await tab.go(view)
        await tab.reads("main h1", head)
        await tab.sees("main .card, main .empty")
        await tab.page.until("!document.querySelector('main .empty')?.textContent.includes('rights')")


async def test_an_agent_sees_only_its_own(floor: Floor, tab: Console, desk: Desk) -> None:
    queue = desk.queue(expires=300)
    person = "5d0b2ad0-0d3c-4c60-9f42-0d7a3f7a0001"
    own = desk.worker(queue, tags={"entraObjectId": person})
    job = desk.job(queue)
    desk.offer(own, job)
    strangers = desk.worker(desk.queue())
    elses = desk.queued(desk.queue())

    await tab.open()
    await tab.sees("#key")
    token = json.dumps(floor.tenant.token(person, "Router.Agent"))
    await tab.page.run(
        f"import('/console/session.js').then((session) => session.signInWithToken(async () => async () => {token}))"
    )
    await tab.reads("main .kind", "Your work")
    await tab.reads("main h1", own)
    assert (
        await tab.page.run(
            'document.querySelectorAll(\'nav a[href="#/now"], nav a[href="#/reports"], nav a[href="#/changes"], #open, .totals\').length'
        )
        == 0
    )
    assert sorted(await tab.offered_acts()) == ["accept", "decline", "logOut"]
    await tab.act("accept")
    await tab.confirm()
    await tab.sees(f"[data-assignment='{job}']")
    assert desk.client.get_job(job).status == "assigned"
    await tab.act("complete", note="Settled")
    await tab.confirm()
    assert desk.client.get_job(job).status == "completed"
    await tab.act("close", dispositionCode="solved")
    await tab.confirm()
    await tab.misses(f"[data-assignment='{job}']")
    assert desk.client.get_job(job).disposition_code == "solved"
    await tab.act("logOut")
    await tab.confirm()
    await tab.reads(".facts", "Logged out")

    # What is not its own is refused, and told so.
    await tab.go(f"/worker/{strangers}")
    await tab.reads("main .empty", "Your rights do not show")
    await tab.go(f"/job/{elses}")
    await tab.reads("main .empty", "Your rights do not show")


async def test_text_is_shown_as_text(tab: Console, desk: Desk) -> None:
    script = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
    queue = desk.queue(name=script)
    job = desk.id("job", "<b onclick=alert(1)>'\"&`${x}")
    desk.client.upsert_job(
        job,
        m.RouterJob(
            channel_id="voice",
            queue_id=queue,
            labels={script: script},
            tags={"tag": script},
            notes=[m.RouterJobNote(message=script)],
            requested_worker_selectors=[selector("skill", "equal", script)],
        ),
    )
    desk.until(job, "queued")
    worker = desk.worker(queue, labels={"name": script})
    await tab.enter()
    await tab.reads(".queues table", script)
    await tab.reads("#app", job)
    await tab.job(job)
    await tab.reads(".pairs", script)
    await tab.reads(".line", script)
    await tab.worker(worker)
    await tab.reads(".pairs", script)
    await tab.go("/settings")
    await tab.reads(".node", script)
    assert await tab.page.run("window.ran ?? 0") == 0
    assert await tab.page.run("document.querySelectorAll('main img, main script, main b[onclick]').length") == 0
