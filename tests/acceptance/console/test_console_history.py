"""What was: timelines, service levels, reports, changes."""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from azure.communication.jobrouter import models as m

from jobrouter.command import make_parser, parse
from local.parts import load_parts
from router.models.types import format_time, parse_time
from router.storage.azure import AzureTables
from router.storage.shadows import ShadowStore
from tests.acceptance.console.floor import COUNTED_SECONDS, SETTLED_SECONDS, Floor
from tests.acceptance.console.tab import Console
from tests.acceptance.desk import Desk
from tests.acceptance.service import PREVIEW, send
from tests.eventually import eventually

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_jobs_timeline_tells_who_did_what(tab: Console, desk: Desk) -> None:
    """From the router's history: each change, by whom, and still there when the job is not."""
    queue = desk.queue(expires=300)
    worker = desk.worker(queue)
    job = desk.job(queue, tags={"ticket": "1"})
    first = desk.offer(worker, job)
    await tab.enter()
    await tab.job(job)
    await tab.reads(".line li:first-child", "Received")
    await tab.reads(".line li:first-child", "by the primary key")
    await tab.reads(".line", "Came into the queue")
    await tab.reads(".line li", worker)
    await tab.reads(".line li", "Offered")
    await tab.reads(".line li .who", f"{worker} · distribution policy ")
    desk.client.accept_job_offer(worker, first.offer_id)
    await tab.reads(".line li", "Accepted", 60)
    desk.client.upsert_job(job, m.RouterJob(tags={"ticket": "2"}, notes=[m.RouterJobNote(message="Called back")]))
    await tab.reads(".line li", "Changed", 60)
    await tab.reads(".line li", "tags · by the primary key", 60)
    await tab.reads(".line .who", "Called back", 60)
    await tab.act("unassign")
    await tab.confirm()
    await tab.reads(".line li", "Unassigned", 60)
    desk.client.cancel_job(job, m.CancelJobOptions(disposition_code="gone"))
    await tab.reads(".line .who", "gone · by the primary key", 60)
    shown = await tab.page.run("[...document.querySelectorAll('.line li b')].map((one) => one.textContent)")
    told = ["Received", "Came into the queue", "Offered", "Accepted", "Changed", "Note", "Unassigned"]
    assert [one for one in shown if one in told][: len(told)] == told
    assert await tab.faults() == []
    desk.client.delete_job(job)
    await tab.reads(".facts", "Deleted", 60)
    await tab.reads(".line li:first-child", "Received", 60)
    assert await tab.offered_acts() == []


async def test_a_workers_timeline_tells_its_shift(floor: Floor, tab: Console, desk: Desk) -> None:
    """Its own changes and what jobs did to it, the newest first, each with its job and by whom."""
    queue = desk.queue(expires=300)
    worker = desk.worker(queue)
    job = desk.job(queue)
    accepted = desk.client.accept_job_offer(worker, desk.offer(worker, job).offer_id)
    await tab.enter()
    await tab.worker(worker)
    await tab.reads(".life li:last-child", "Logged in")
    await tab.reads(".life li:last-child", "by the primary key")
    await tab.reads(".life li", "Accepted")
    # What happens while one looks: it stands above what was.
    desk.client.complete_job(job, accepted.assignment_id)
    desk.client.close_job(job, accepted.assignment_id)
    desk.client.upsert_worker(worker, m.RouterWorker(capacity=7))
    await tab.reads(".life li", "capacity", 60)
    await tab.reads(".life li", "Closed", 60)
    await tab.act("logOut")
    await tab.confirm()
    await tab.reads(".life li:first-child", "Logged out")
    lines = await tab.page.run(
        "[...document.querySelectorAll('.life li')].map((one) => [one.querySelector('b').textContent, one.querySelector('a')?.textContent ?? null])"
    )
    of_jobs = [(what, named) for what, named in reversed(lines) if named is not None]
    assert of_jobs == [(what, job) for what in ("Offered", "Accepted", "Completed", "Closed")]
    # A longer time stands in the address.
    await tab.fill("#last", "168")
    await tab.page.until("location.hash.includes('last=168')")
    await tab.reads(".life li:last-child", "Logged in")
    # What it declined is told when it is in the log.
    past = floor.past
    await tab.worker(past.picky)
    await asyncio.to_thread(floor.later, SETTLED_SECONDS)
    await tab.reads(".life li", "Declined", 60)
    shown = "[...document.querySelectorAll('.life li')].map((one) => one.querySelector('b').textContent + (one.querySelector('a')?.textContent ?? ''))"
    assert f"Declined{past.declined}" in await tab.page.run(shown)


async def test_the_service_level_of_the_last_minutes_is_shown(floor: Floor, tab: Console) -> None:
    queue = floor.past.queue
    await tab.enter()
    await asyncio.to_thread(floor.later, COUNTED_SECONDS)
    await tab.reads(f"tr[data-id='{queue}'] td", "50", 90)
    assert "Served within 10m" in await tab.page.run(
        f"document.querySelector(\"tr[data-id='{queue}'] span[title^=Served]\").title"
    )


async def test_reports_of_queues_and_workers(floor: Floor, tab: Console, desk: Desk) -> None:
    queue, worker = floor.past.queue, floor.past.worker

    def counted() -> bool:
        rows = send(desk.client, "GET", "routing/reports/queues", version=PREVIEW, params={"queueId": queue}).json()[
            "value"
        ]
        wanted = ("offered", "assigned", "completed", "cancelledWhileWaiting")
        return all(sum(row[name] for row in rows) == 1 for name in wanted)

    await asyncio.to_thread(floor.later, COUNTED_SECONDS)
    await asyncio.to_thread(eventually, counted, "it is counted", 90)
    await tab.enter()
    await tab.sees("nav a[href='#/reports']")
    await tab.page.click("nav a[href='#/reports']")
    await tab.reads(f"tr[data-id='{queue}'] th", "Reported")
    figures = (
        "[...document.querySelectorAll(\"tr[data-id='%s'] td\")].map((one) => one.firstChild.data ?? one.innerText)"
    )
    wanted = "1,1,1,50%"
    await tab.page.until(f"{figures % queue}.slice(0, 4).map((text) => text.trim()).join() === '{wanted}'")
    # Alone, over a week: the plot says what the table says; the address has what is chosen.
    await tab.page.click(f"tr[data-id='{queue}'] a")
    await tab.sees(".chip")
    await tab.fill("#span", "week")
    await tab.reads("#by-slot-title", "By day")
    await tab.reads(".plot .quiet", "a week before")
    label = await tab.page.run("document.querySelector('.plot [role=img]').getAttribute('aria-label')")
    assert label == "Assigned: 1; a week before: 0"
    await _plot_tells_of_its_last_bar(tab)
    assert "span=week" in await tab.page.run("location.hash")
    await tab.page.click("#compare")
    await tab.page.until("!document.querySelector('.plot .quiet')")
    await tab.fill("#span", "month")
    await tab.reads(".choice", "four weeks before")

    # What would have been is told by commands, for the days that are shown.
    await tab.sees(".what-if summary")
    await tab.page.run("document.querySelector('.what-if summary').click()")
    lines = str(await tab.page.run("document.querySelector('.what-if pre').textContent")).splitlines()
    export, *plays = [parse(make_parser(), shlex.split(line)[1:]) for line in lines]
    assert parse_time(export.until) - parse_time(export.since) == timedelta(days=28)
    assert {str(one.history) for one in plays} == {str(export.file)}

    # As a file: the request is signed like the others.
    await tab.page.run(
        "URL.createObjectURL = (blob) => (blob.text().then((text) => (window.saved = text)), 'blob:none'),"
        " HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; }"
    )
    await tab.page.run("document.querySelector('#csv').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    await tab.page.until("!!window.saved")
    head, row, *_ = str(await tab.page.run("window.saved")).splitlines()
    assert head.startswith("from,to,queueId,channelId,offered,accepted")
    assert row.split(",")[2:6] == [queue, "voice", "1", "1"]
    assert str(await tab.page.run("window.savedAs")).startswith("queues-")

    await tab.go(f"/reports?of=workers&id={worker}")
    await tab.reads(f"tr[data-id='{worker}'] td", "1")
    shown = await tab.page.run(figures % worker)
    assert shown[1].strip() == "1"
    await tab.reads(".plot figcaption", "Completed")
    # A day on which nothing was.
    await tab.go(f"/reports?on=2020-02-03&id={queue}")
    await tab.reads("main .empty", "Nothing happened")


async def test_a_report_says_where_told_waits_held_too_seldom(floor: Floor, tab: Console) -> None:
    """Told waits take hours to come by: the router's answer is given some."""
    queue = floor.past.queue
    await tab.enter()
    await tab.page.run(
        "window.toldWaits = [25, 10]; window.realFetch = window.fetch; window.fetch = async (...asked) => {"
        " const answer = await window.realFetch(...asked);"
        " if (!String(asked[0].url ?? asked[0]).includes('/routing/reports/queues')) return answer;"
        " const body = await answer.json();"
        f" for (const row of body.value) if (row.queueId === '{queue}') [row.waitsTold, row.waitsHeld] = window.toldWaits;"
        " return new Response(JSON.stringify(body), { status: answer.status, headers: answer.headers }); }"
    )
    await tab.page.click("nav a[href='#/reports']")
    await tab.reads(".held", "Reported: of 25 jobs that were told a wait it held for only 40%.", 90)
    assert str(
        await tab.page.run(f"document.querySelector(\"tr[data-id='{queue}']\").lastElementChild.innerText")
    ).startswith("40%")
    # Of few, or where it holds, nothing is said.
    await tab.page.run("window.toldWaits = [10, 2]")
    await tab.fill("#span", "week")
    await tab.page.until(
        f"document.querySelector(\"tr[data-id='{queue}']\").lastElementChild.innerText.startsWith('20%')"
    )
    assert not await tab.page.run("!!document.querySelector('.held')")


async def _plot_tells_of_its_last_bar(tab: Console) -> None:
    """Of the seven it is the only one that stands there; whoever points at it reads its figures."""
    over = ".plot .u-over"
    await tab.sees(over)
    await tab.page.scheme("light")
    x, y, width, height = await tab.page.box(over)
    picture = await tab.page.picture()
    accent = (0x0B, 0x5C, 0xAD)
    filled = picture.columns(accent, (x, y, width, height))
    assert filled
    assert min(filled) > x + width * 6 / 7, "a bar stands where nothing was"
    await tab.page.hover(x + width * 13 / 14, y + height / 2)
    await tab.reads(".plot .read", ": 1, a week before: 0")


@pytest.mark.parametrize(
    ("zone", "day", "hours", "first"),
    [
        ("Europe/Berlin", "2026-03-29", 23, "2026-03-28T23:00:00.000Z"),
        ("Europe/Berlin", "2026-10-25", 25, "2026-10-24T22:00:00.000Z"),
        ("Asia/Kolkata", "2026-10-25", 24, "2026-10-24T18:30:00.000Z"),
    ],
)
async def test_days_of_a_report_are_as_long_as_they_are(
    tab: Console, zone: str, day: str, hours: int, first: str
) -> None:
    await tab.page.send("Emulation.setTimezoneOverride", timezoneId=zone)
    await tab.open()
    await tab.sees("#key")
    asked = f"module.spanOf('%s', module.dayOf('{day}'))"
    told = (
        f"import('/console/report.js').then((module) => [module.ZONE, module.slotsOf({asked % 'day'}).length,"
        f" {asked % 'day'}.from.toISOString(), module.slotsOf({asked % 'week'}).length,"
        f" module.dayText(module.before({asked % 'week'}).from), module.slotsOf({asked % 'month'}).length])"
    )
    monday = datetime.fromisoformat(day) - timedelta(days=13)
    zone_told, *rest = await tab.page.run(told)
    assert zone_told in (zone, "Asia/Calcutta")
    assert rest == [hours, first, 7, f"{monday:%Y-%m-%d}", 28]


async def test_changes_tell_who_changed_what(tab: Console, desk: Desk) -> None:
    queue = desk.queue(name="First name", labels={"floor": "one"})
    desk.administration.upsert_queue(queue, m.RouterQueue(name="Second name", labels={"floor": "two"}))
    rule = m.FunctionRouterRule(
        function_uri="https://rules.example.com/score", credential=m.FunctionRouterRuleCredential(function_key="hidden")
    )
    policy = desk.classification(prioritization_rule=rule)
    await tab.enter()
    await tab.sees("nav a[href='#/changes']")
    await tab.page.click("nav a[href='#/changes']")
    await tab.sees("#kind")
    await tab.fill("#find", queue)
    await tab.reads(f"[data-change='{queue}'] h2", "Changed", 60)
    rows = await tab.page.run(
        f"[...document.querySelectorAll(\"[data-change='{queue}'] tbody tr\")].map((row) => [...row.cells].map((one) => one.textContent))"
    )
    assert ["name", "First name", "Second name"] in rows
    assert ["labels.floor", "one", "two"] in rows
    await tab.reads(f"[data-change='{queue}'] .quiet", "by the primary key")
    # The newest first; what is new is told as it was made.
    heads = await tab.page.run("[...document.querySelectorAll('.changes h2')].map((one) => one.textContent)")
    assert [head.split(" ")[0] for head in heads] == ["Changed", "Created"]
    await tab.fill("#find", policy)
    await tab.fill("#kind", "ClassificationPolicy")
    await tab.reads(f"[data-change='{policy}'] h2", "Created", 60)
    await tab.page.click("summary")
    await tab.reads("details pre", "rules.example.com")
    assert "hidden" not in await tab.page.run("document.querySelector('details pre').textContent")


async def test_a_report_has_what_a_candidate_policy_would_have_done(floor: Floor, tab: Console) -> None:
    """The router plays the day before after midnight: what it has written then is put there."""
    queue = floor.past.queue
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sentence = "queue <b>'Reported'</b>: service level 71 to 79 % (+8.1 points, give or take 1.2)"
    yesterday = {"from": format_time(midnight - timedelta(days=1)), "to": format_time(midnight), "queueId": queue}
    told = {"distributionPolicyId": "fair", "candidatePolicyId": "best"}
    parts = load_parts(floor.router.data_dir)
    assert parts is not None
    tables = AzureTables.from_connection_string(parts.tables_connection_string)
    try:
        store = ShadowStore(tables.table("facts"), "UTC")
        await store.write(queue, midnight - timedelta(days=1), json.dumps({**yesterday, **told, "sentence": sentence}))
        reason = "The replay is not the day that was."
        refused = {**told, "queueId": "other", "from": format_time(midnight), "notPredicted": reason}
        await store.write("other", midnight, json.dumps(refused))
    finally:
        await tables.close()
    await tab.enter()
    await tab.page.click("nav a[href='#/reports']")
    await tab.reads(f".shadows [data-queue='{queue}']", sentence)
    await tab.reads(".shadows [data-queue='other']", f"other with best: not predicted. {reason}")
    await tab.go(f"/reports?id={queue}")
    await tab.misses(".shadows [data-queue='other']")
    await tab.sees(f".shadows [data-queue='{queue}']")
