"""What is in use is not deleted (docs/behaviour.md, "Deleting what is in use")."""

from __future__ import annotations

from tests.eventually import eventually_async
from tests.raw_wire import RawWire


async def test_a_queue_that_a_worker_names_even_an_inactive_one(wire: RawWire) -> None:
    queue = await wire.queue()
    worker = await wire.worker(queue)
    other = await wire.queue()
    error = (await wire.delete(f"/routing/queues/{queue}")).refused(409, "Conflict")
    assert worker.rpartition("/")[2] in error["message"]
    (await wire.delete(f"/routing/queues/{other}")).expect(204)
    (await wire.patch(worker, {"queues": []})).expect(200)
    (await wire.delete(f"/routing/queues/{queue}")).expect(204)


async def test_a_queues_refusal_names_every_reason(wire: RawWire) -> None:
    queue = await wire.queue()
    await wire.worker(queue)
    await wire.job(queue, matchingMode={"kind": "suspend"})
    await wire.make("ClassificationPolicy", {"fallbackQueueId": queue})
    error = (await wire.delete(f"/routing/queues/{queue}")).refused(409, "Conflict")
    assert [one["code"] for one in error["details"]] == [
        "ActiveJobInQueueExist",
        "ClassificationPolicyWithFallbackQueueExist",
        "AssignedWorkerToQueueExist",
    ]


async def test_a_worker_with_work_in_hand(wire: RawWire) -> None:
    queue = await wire.queue()
    channels = [{"channelId": "v", "capacityCostPerJob": 1}]
    worker = await wire.worker(queue, channels=channels, availableForOffers=True)
    job = await wire.job(queue, channelId="v")

    async def offer() -> str | None:
        offers = (await wire.get(worker)).expect(200)["offers"]
        return offers[0]["offerId"] if offers else None

    accepted = (await wire.post(f"{worker}/offers/{await eventually_async(offer)}:accept")).expect(200)
    assignment = f"{job}/assignments/{accepted['assignmentId']}"
    assert "assigned" in (await wire.delete(worker)).refused(409, "Conflict")["message"]
    (await wire.post(f"{assignment}:complete")).expect(200)
    (await wire.delete(worker)).refused(409, "Conflict")
    (await wire.post(f"{assignment}:close")).expect(200)
    (await wire.delete(worker)).expect(204)
    (await wire.delete(worker)).expect(204)
