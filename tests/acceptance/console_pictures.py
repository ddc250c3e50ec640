"""The pictures of docs/console.md: a floor with people at work, as the console shows it.

.venv/bin/python -m tests.acceptance.console_pictures"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from functools import partial
from pathlib import Path

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter import models as m

from tests.acceptance.chromium import browser
from tests.acceptance.console.tab import console
from tests.acceptance.service import PREVIEW, local_service, send
from tests.eventually import eventually
from tests.local_router import LocalRouter

FOLDER = Path(__file__).parents[2] / "docs" / "images"
LARGEST_BYTES = 120_000
QUEUES = {
    "support": "Customer support",
    "sales": "Sales",
    "returns": "Returns and repairs",
    "billing": "Billing questions",
    "night": "Night line",
}
WORKERS = {
    "ada": (["support", "sales"], "fr", True),
    "grace": (["support", "returns"], "en", True),
    "linus": (["sales", "billing"], "en", True),
    "margaret": (["returns", "support"], "de", True),
    "edsger": (["support"], "nl", False),
    "barbara": (["billing", "sales"], "en", True),
}
JOBS = [
    ("support", "fr", 1),
    ("support", "en", 1),
    ("returns", "de", 1),
    ("sales", "en", 1),
    ("support", "fr", 9),
    ("support", "nl", 5),
    ("returns", "de", 1),
    ("night", "en", 1),
    ("support", "fr", 1),
    ("returns", "en", 1),
]


def furnish(administration: JobRouterAdministrationClient, client: JobRouterClient) -> None:
    """Queues, people and jobs of which some are worked on."""
    administration.upsert_distribution_policy("fair", offer_expires_after_seconds=600, mode=m.LongestIdleMode())
    rule = m.ExceptionRule(
        id="long-wait",
        trigger=m.WaitTimeExceptionTrigger(threshold_seconds=1800),
        actions=[m.ManualReclassifyExceptionAction(priority=20)],
    )
    administration.upsert_exception_policy("patience", name="Waits too long", exception_rules=[rule])
    for id, name in QUEUES.items():
        policies = {"distribution_policy_id": "fair", "exception_policy_id": "patience"}
        administration.upsert_queue(id, m.RouterQueue(name=name, **policies))
    for id, (queues, language, available) in WORKERS.items():
        channels = [m.RouterChannel(channel_id="chat", capacity_cost_per_job=1)]
        worker = m.RouterWorker(
            queues=queues,
            capacity=1,
            channels=channels,
            labels={"language": language},
            available_for_offers=available,
        )
        client.upsert_worker(id, worker)
    numbers = itertools.count(1041)
    for queue, language, priority in JOBS:
        language_needed = m.RouterWorkerSelector(key="language", label_operator="equal", value=language)
        job = m.RouterJob(
            channel_id="chat",
            queue_id=queue,
            priority=priority,
            labels={"language": language, "topic": "espresso machine"},
            tags={"customer": "4711"},
            requested_worker_selectors=[language_needed],
            notes=[m.RouterJobNote(message="Was cut off before")],
        )
        client.upsert_job(f"case-{next(numbers)}", job)
    for id in ("ada", "margaret"):
        offers = eventually(partial(_offers, client, id), f"an offer for {id}")
        client.accept_job_offer(id, offers[0].offer_id)
    administration.upsert_queue("night", m.RouterQueue(name="Night and weekends", labels={"serviceLevelSeconds": 120}))


def work(client: JobRouterClient) -> None:
    """What reports tell: offers accepted and done, and one who gave up."""
    for id in ("grace", "linus", "ada", "margaret"):
        for _ in range(2):
            held = client.get_worker(id).assigned_jobs
            if not held:
                offers = client.get_worker(id).offers
                if not offers:
                    break
                client.accept_job_offer(id, offers[0].offer_id)
                held = client.get_worker(id).assigned_jobs
            assert held
            client.complete_job(held[0].job_id, held[0].assignment_id)
            client.close_job(held[0].job_id, held[0].assignment_id)
    client.cancel_job("case-1048")


def _reported(client: JobRouterClient) -> bool:
    rows = send(client, "GET", "routing/reports/queues", version=PREVIEW).json()["value"]
    return sum(int(row["completed"]) for row in rows) > 3 and any(row["cancelledWhileWaiting"] for row in rows)


def _offers(client: JobRouterClient, worker_id: str) -> list[m.RouterJobOffer] | None:
    return client.get_worker(worker_id).offers


async def pictures(router: LocalRouter, client: JobRouterClient) -> dict[str, bytes]:
    async with browser() as running, console(running, router, 1280, 800) as tab:
        await tab.page.send("Emulation.setScrollbarsHidden", hidden=True)
        await tab.page.scheme("light")
        await tab.enter()
        await tab.sees("tr[data-id=support]")
        # The lines of the last minutes need some minutes; here some seconds will do.
        await asyncio.sleep(13)
        made = {"console-now": await tab.page.png()}
        await tab.page.scheme("dark")
        await tab.page.size(1120, 700)
        await tab.job("case-1045")
        await tab.sees(".why li")
        await tab.sees(".line .ahead")
        made["console-job"] = await tab.page.png()
        await tab.page.size(1280, 720)
        await tab.enter(query="?wall")
        await tab.sees(".wall .tiles li")
        made["console-wall"] = await tab.page.png()
        await asyncio.to_thread(work, client)
        await asyncio.to_thread(eventually, partial(_reported, client), "it is counted", 90)
        await tab.page.scheme("light")
        await tab.page.size(1280, 760)
        await tab.enter("/reports")
        await tab.sees("main .plot canvas")
        made["console-reports"] = await tab.page.png()
        await tab.page.size(1120, 640)
        await tab.enter("/changes")
        await tab.sees(".changes tbody tr")
        made["console-changes"] = await tab.page.png()
        return made


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        router = LocalRouter(Path(folder))
        try:
            service = local_service(router)
            with service.administration() as administration, service.client() as client:
                furnish(administration, client)
                made = asyncio.run(pictures(router, client))
            for name, picture in made.items():
                if len(picture) > LARGEST_BYTES:
                    raise SystemExit(f"{name} has {len(picture)} bytes, more than {LARGEST_BYTES}.")
                (FOLDER / f"{name}.png").write_bytes(picture)
        finally:
            router.end()


if __name__ == "__main__":
    main()
