"""What has happened is in the reports within a minute, whoever did it and whether that process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any

import pytest

from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions, RouterJobInput
from router.models.selectors import RouterWorkerSelector
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases.reports import Asked, documents, of_queues, of_workers
from tests.memory_router import START, Process, Tables, in_virtual_time

#: As the timer: each second.
_TICK = 1.0
WITHIN = 60
#: A job that nobody can take.
_RARE = RouterWorkerSelector(key="rare", label_operator="equal", value=True)
HELD = RouterJobInput(channel_id="voice", queue_id="q", requested_worker_selectors=[_RARE])


async def _timer(process: Process) -> None:
    runner = DeadlineRunner(process.parts)
    while True:
        await asyncio.sleep(_TICK)
        await runner.tick()


@pytest.mark.parametrize("phase", [0, 3.7, 7.4, 11.1, 14.9])
@pytest.mark.parametrize("lives", [True, False], ids=["lives", "dies"])
def test_facts_are_there_a_minute_after_they_happened(phase: float, lives: bool) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables(), drives=lives)
        loop = asyncio.get_running_loop()
        timer = loop.create_task(_timer(Process(process.tables, process.topic, seed=2)))
        await asyncio.sleep(phase)
        await process.queue()
        await process.worker("w")

        async def there(column: str, of: Callable[[Asked], Awaitable[list[dict[str, Any]]]]) -> None:
            for _ in range(WITHIN + 1):
                now = process.parts.clock.now()
                if sum(row[column] for row in await of(Asked(START, now + timedelta(seconds=1), "1h", UTC))):
                    return
                await asyncio.sleep(1)
            raise AssertionError(f"{column} is not there after {WITHIN} s")

        async def queues(asked: Asked) -> list[dict[str, Any]]:
            return documents(await of_queues(process.parts, asked, "q"), asked)

        async def workers(asked: Asked) -> list[dict[str, Any]]:
            return await of_workers(process.parts, asked, "w")

        watches: list[asyncio.Task[None]] = []

        def both(column: str) -> None:
            watches.extend(loop.create_task(there(column, of)) for of in (queues, workers))

        await process.job("j")
        offers: list[Any] = []
        for _ in range(300):
            offers = offers or (await process.read_worker("w")).worker.offers
            await asyncio.sleep(0 if offers else 0.1)
        both("offered")
        await asyncio.sleep(5)
        _, assignment = await offer_usecases.accept(process.parts, "w", offers[0].offer_id)
        both("accepted")
        await asyncio.sleep(5)
        await job_usecases.complete(process.parts, "j", assignment, CompleteJobOptions())
        both("completed")
        await asyncio.sleep(5)
        await job_usecases.close(process.parts, "j", assignment, CloseJobOptions())
        both("closed")
        await job_usecases.upsert(process.parts, "k", lambda _: HELD, lambda etag, modified: None)
        await asyncio.sleep(20)
        await job_usecases.cancel(process.parts, "k", CancelJobOptions())
        watches.append(loop.create_task(there("cancelledWhileWaiting", queues)))
        await asyncio.gather(*watches)
        timer.cancel()

    story()
