"""A request leaves no circles of garbage: a look for them walks over all that is alive, and others wait for it."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Answer, Caller


@pytest.fixture(autouse=True)
def _looks_when_asked() -> Iterator[None]:
    gc.disable()
    gc.collect()
    gc.freeze()  # what is there by now is not looked at
    yield
    gc.unfreeze()
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


class _Steps:
    def __init__(self) -> None:
        self.caller = Caller()
        self.left: dict[str, Counter[str]] = {}

    async def __call__(self, status: int, name: str, *ids: str, **options: Any) -> Answer:
        gc.collect()
        answer = await self.caller(name, *ids, **options)
        await asyncio.sleep(1)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        if found := Counter(type(one).__name__ for one in gc.garbage):
            self.left[f"{name}, {answer.status}"] = found
        gc.garbage.clear()
        assert answer.status == status, (name, answer.raw)
        return answer


async def _life(step: _Steps, end: str) -> None:
    """A job's life and what may be refused in it."""
    worker, job = f"w{end}", f"j{end}"
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    await step(
        201,
        "UpsertWorker",
        worker,
        body={"capacity": 1, "queues": ["q"], "channels": channels, "availableForOffers": True},
    )
    await step(201, "UpsertJob", job, body={"channelId": "voice", "queueId": "q"})
    for answered in ("DeclineJobOffer", "AcceptJobOffer"):
        found = (await step(200, "GetWorker", worker)).body["offers"]
        retry = {"retryOfferAt": "2024-03-04T08:00:00Z"} if answered == "DeclineJobOffer" else {}
        assignment = (await step(200, answered, worker, found[0]["offerId"], body=retry)).body
    await step(404, "AcceptJobOffer", worker, "none", body={})
    await step(200, "CompleteJob", job, assignment["assignmentId"], body={})
    await step(200, "CloseJob", job, assignment["assignmentId"], body={})
    await step(409, "CloseJob", job, assignment["assignmentId"], body={})
    await step(200, "ExplainJob", job)
    await step(200, "GetJobTimeline", job)
    await step(200, "GetJobs")
    await step(412, "UpsertJob", job, body={"priority": 3}, headers={"if-match": '"x"'})
    await step(204, "DeleteJob", job)
    await step(404, "GetJob", job)
    await step(204, "DeleteWorker", worker)


async def _refusals(step: _Steps) -> None:
    wrong = {"key": "", "value": []}
    await step(400, "UpsertJob", "j", body={"channelId": 5, "requestedWorkerSelectors": [wrong] * 100})
    await step(400, "UpsertJob", "j", body={"channelId": "voice", "queueId": "none"})
    await step(400, "UpsertJob", "j", raw=b"{")
    await step(400, "UpsertWorker", "w", body={"labels": {f"k{number}": [] for number in range(300)}})
    await step(400, "UpsertQueue", "other", body={"distributionPolicyId": "none"})
    await step(400, "DeleteDistributionPolicy", "q")
    await step(401, "GetJob", "j", key="YWJj" * 11)


@in_virtual_time
async def test_no_request_leaves_circles() -> None:
    step = _Steps()
    await step.caller.settings()
    for end in ("1", "2"):  # what is made once, and kept, is made by the first
        step.left.clear()
        await _life(step, end)
        await _refusals(step)
    assert step.left == {}
