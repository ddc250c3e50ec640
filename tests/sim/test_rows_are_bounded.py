"""What always fails leaves no more rows behind with each try, is tried ever more rarely, and has an end that is told."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from router.errors import TooLarge
from router.models.jobs import JobStatus
from router.storage.port import Entity, StorageUnavailable
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import explain
from router.usecases import settings as setting_usecases
from tests.memory_router import Process, Tables, in_virtual_time

FAILURES: dict[str, Callable[[], Exception]] = {
    "too large": lambda: TooLarge("It does not fit.", code="ResourceTooLarge"),
    "a fault": lambda: ZeroDivisionError("a fault"),
    "storage": lambda: StorageUnavailable("500"),
}


class Refusing:
    """Storage that never takes the row of a cancelled job."""

    def __init__(self, process: Process, failure: Callable[[], Exception]) -> None:
        self.tries: list[float] = []
        self.is_on = True
        rows = process.tables.of("jobs")
        replace = rows.replace

        def refuse(entity: Entity) -> str:
            if self.is_on and '"cancelled"' in str(entity.columns.get("Doc0", "")):
                self.tries.append(asyncio.get_running_loop().time())
                raise failure()
            return replace(entity)

        rows.replace = refuse  # type: ignore[method-assign]


async def _with_rule(process: Process) -> None:
    await process.queue()
    actions = [{"kind": "cancel", "note": "n"}]
    rule = {"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": 2}, "actions": actions}
    for kind, id, document in (
        ("ExceptionPolicy", "e", {"exceptionRules": [rule]}),
        ("Queue", "q", {"distributionPolicyId": "q", "exceptionPolicyId": "e"}),
    ):
        await setting_usecases.upsert(
            process.parts, kind, id, functools.partial(_wanted, document), lambda etag, modified: None
        )


def _wanted(document: dict[str, Any], current: Any) -> dict[str, Any]:
    return document


async def _ticks(process: Process) -> None:
    runner, loop = DeadlineRunner(process.parts), asyncio.get_running_loop()
    while True:
        await runner.tick()
        await asyncio.sleep(1 - loop.time() % 1)


def _timed(process: Process) -> int:
    """Deadlines that stand, without the log behind them."""
    return sum("Kind" in one.columns for one in process.tables.of("deadlines").all())


@pytest.mark.parametrize("kind", FAILURES)
def test_an_action_that_always_fails_owns_a_few_rows_and_is_tried_rarely(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "router.upkeep.deadlines")

    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await _with_rule(process)
        refusing = Refusing(process, FAILURES[kind])
        timer = asyncio.create_task(_ticks(process))
        await asyncio.sleep(0.3712)
        await process.job("j")
        most = 0
        for _ in range(60):
            await asyncio.sleep(10)
            most = max(most, _timed(process))
        assert most <= 6
        assert len(process.tables.of("members")) == len(process.tables.of("backlog")) == 1
        # What will fail again is tried at last every five minutes; storage may be back at any time.
        assert len(refusing.tries) <= (20 if kind != "storage" else 300)
        refusing.is_on = False
        await asyncio.sleep(700)
        assert (await process.read_job("j")).status is JobStatus.CANCELLED
        assert _timed(process) == 0
        timer.cancel()
        with suppress(asyncio.CancelledError):
            await timer

    story()


def test_what_fails_for_more_than_an_hour_is_given_up_and_told(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await _with_rule(process)
        refusing = Refusing(process, FAILURES["a fault"])
        timer = asyncio.create_task(_ticks(process))
        await process.job("j")
        await asyncio.sleep(3 * 3600)
        told = (await explain.explain(process.parts, "j", 10, None)).summary
        assert "times and is not tried again: a fault" in told
        assert len(refusing.tries) < 60
        before = len(refusing.tries)
        await asyncio.sleep(3600)
        assert len(refusing.tries) <= before + 1
        timer.cancel()
        with suppress(asyncio.CancelledError):
            await timer

    story()
    assert "is given up" in caplog.text


@in_virtual_time
async def test_a_worker_who_registers_again_and_again_owns_a_few_rows() -> None:
    process = Process(Tables())
    await process.queue()
    runner = DeadlineRunner(process.parts)

    async def later(seconds: float) -> None:
        await asyncio.sleep(seconds)
        await runner.tick()
        await runner.drain()

    for hours in range(12):
        for available in (True, False) * 20:
            await process.worker("w", available_for_offers=available)
            await asyncio.sleep(1)
        await later(hours * 3600)
    assert len(await process.deadlines("idle")) <= 5
    await process.worker("w", available_for_offers=True)
    await later(6.5 * 86_400)
    await later(0.5 * 86_400 - 60)
    assert (await process.read_worker("w")).worker.available_for_offers
    await later(120)
    assert not (await process.read_worker("w")).worker.available_for_offers


@in_virtual_time
async def test_rules_that_change_again_and_again_leave_a_row_for_each_who_waits() -> None:
    process = Process(Tables())
    timer = asyncio.create_task(_ticks(process))
    await process.queue()

    async def rules(*seconds: float) -> None:
        some = [
            {
                "id": f"r{number}",
                "trigger": {"kind": "waitTime", "thresholdSeconds": one},
                "actions": [{"kind": "manualReclassify", "priority": number}],
            }
            for number, one in enumerate(seconds)
        ]
        wanted = functools.partial(_wanted, {"exceptionRules": some})
        await setting_usecases.upsert(process.parts, "ExceptionPolicy", "e", wanted, lambda etag, modified: None)

    await rules(3600)
    queue = functools.partial(_wanted, {"distributionPolicyId": "q", "exceptionPolicyId": "e"})
    await setting_usecases.upsert(process.parts, "Queue", "q", queue, lambda etag, modified: None)
    await asyncio.sleep(0.3712)
    for number in range(3):
        await process.job(f"j{number}")
    for number in range(30):
        await rules(*(3600 + 100 * number + one for one in range(100)))
        await asyncio.sleep(20)
        assert len(await process.deadlines("wait")) <= 3
    # The rules as they are now fire when they are due, each at its time.
    await rules(2000, 900, 902, 903, 904)
    await asyncio.sleep(899 - 600.3712)
    assert (await process.read_job("j0")).job.priority == 1
    for seconds, priority in ((2.5, 1), (1, 2), (1, 3), (1, 4), (1090, 4), (10, 0)):
        await asyncio.sleep(seconds)
        assert (await process.read_job("j0")).job.priority == priority, seconds
    timer.cancel()
    with suppress(asyncio.CancelledError):
        await timer
