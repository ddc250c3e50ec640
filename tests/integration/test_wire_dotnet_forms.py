"""What the .NET client sends, and what it cannot read (docs/sdks.md)."""

from __future__ import annotations

import re
from typing import Any

from tests.eventually import eventually_async
from tests.raw_wire import RawWire

#: .NET's default time stands for "now".
NEVER = "0001-01-01T00:00:00.0000000Z"
CHANNELS = [{"channelId": "v", "capacityCostPerJob": 1}]


async def offered(wire: RawWire, worker: str) -> str:
    async def offer() -> str | None:
        offers = (await wire.get(worker)).expect(200)["offers"]
        return offers[0]["offerId"] if offers else None

    return str(await eventually_async(offer))


async def test_times_with_seven_digits_keep_their_value(wire: RawWire) -> None:
    queue = await wire.queue()
    notes = [{"message": "m", "addedAt": "2023-11-03T21:26:56.8545932Z"}]
    mode = {"kind": "scheduleAndSuspend", "scheduleAt": "2100-01-01T01:01:01.1234567Z"}
    job = await wire.job(queue, notes=notes, matchingMode=mode)
    body = (await wire.get(job)).expect(200)
    assert body["notes"][0]["addedAt"] == "2023-11-03T21:26:56.854593+00:00"
    assert body["matchingMode"]["scheduleAt"] == "2100-01-01T01:01:01.123456+00:00"
    query = {"queueId": queue, "scheduledAfter": "2099-12-31T00:00:00.0000000Z", "scheduledBefore": ""}
    assert len((await wire.get("/routing/jobs", query=query)).expect(200)["value"]) == 1


async def test_the_first_moment_of_all_stands_for_now(wire: RawWire) -> None:
    queue = await wire.queue()
    worker = await wire.worker(queue, channels=CHANNELS, availableForOffers=True)
    job = await wire.job(queue, channelId="v")
    declined = await wire.post(f"{worker}/offers/{await offered(wire, worker)}:decline", {"retryOfferAt": NEVER})
    assert declined.expect(200) == {}
    accepted = (await wire.post(f"{worker}/offers/{await offered(wire, worker)}:accept")).expect(200)
    assignment = f"{job}/assignments/{accepted['assignmentId']}"
    assert (await wire.post(f"{assignment}:complete", {})).expect(200) == {}
    assert (await wire.post(f"{assignment}:close", {"closeAt": NEVER, "dispositionCode": "done"})).expect(200) == {}
    assert (await wire.get(job)).expect(200)["status"] == "closed"


async def test_empty_lists_in_every_update(wire: RawWire) -> None:
    """An array replaces: what the client says again is empty is empty."""
    queue = await wire.queue()
    worker = await wire.worker(queue, channels=CHANNELS)
    changed = (await wire.patch(worker, {"queues": [], "channels": [], "tags": {"a": 1}})).expect(200)
    assert (changed["queues"], changed["channels"], changed["tags"]) == ([], [], {"a": 1})
    job = await wire.job(queue, matchingMode={"kind": "suspend"}, notes=[{"message": "m"}])
    changed = (await wire.patch(job, {"requestedWorkerSelectors": [], "notes": [], "tags": {"a": 1}})).expect(200)
    assert (changed["requestedWorkerSelectors"], changed["notes"], changed["tags"]) == ([], [], {"a": 1})


async def test_the_version_twice_in_a_followed_link(wire: RawWire) -> None:
    queue = await wire.queue()
    for _ in range(3):
        await wire.job(queue, matchingMode={"kind": "suspend"})
    first = (await wire.get("/routing/jobs", query={"queueId": queue, "maxpagesize": 2})).expect(200)
    link = first["nextLink"] + "&api-version=2023-11-01&api-version=2023-11-01"
    rest = (await wire.get(link, version=None)).expect(200)
    assert (len(first["value"]), len(rest["value"])) == (2, 1)


def nothing_unreadable(value: Any, path: str = "") -> None:
    """No nulls, and no whole number with a fraction."""
    assert value is not None, path
    if isinstance(value, dict):
        for name, item in value.items():
            nothing_unreadable(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            nothing_unreadable(item, f"{path}[]")


async def test_answers_that_it_can_read(wire: RawWire) -> None:
    mode = {"kind": "bestWorker", "scoringRule": {"kind": "static", "value": 1.0}}
    policy = await wire.make("DistributionPolicy", {"offerExpiresAfterSeconds": 60.0, "mode": mode})
    queue = await wire.make("Queue", {"distributionPolicyId": policy.rpartition("/")[2], "labels": {"gone": None}})
    name = queue.rpartition("/")[2]
    channels = [{"channelId": "v", "capacityCostPerJob": 1, "maxNumberOfJobs": None}]
    worker = await wire.worker(name, channels=channels, labels={"a": 2.0, "b": None}, tags={"c": None})
    selectors = [{"key": "k", "labelOperator": "equal", "value": None, "expiresAfterSeconds": 90.0}]
    job = await wire.job(name, channelId="v", requestedWorkerSelectors=selectors, labels={"a": 1.5, "b": None})
    weights = [{"weight": 1.0, "queueSelectors": []}]
    attachments = [{"kind": "weightedAllocation", "allocations": weights}]
    classification = await wire.make("ClassificationPolicy", {"queueSelectorAttachments": attachments})
    for path in (policy, queue, worker, job, classification, f"{queue}/statistics"):
        answer = await wire.get(path)
        nothing_unreadable(answer.expect(200), path)
        assert not re.search(rb"[0-9]\.0+[,}\]]", answer.content), answer.content
        if not path.endswith("statistics"):
            assert answer.body["etag"] == answer.headers["ETag"]
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (await wire.get(policy)).body["mode"]["kind"] == "bestWorker"


async def test_codes_and_statuses_it_goes_by(wire: RawWire) -> None:
    (await wire.get("/routing/jobs/none")).refused(404, "NotFound")
    job = await wire.job(await wire.queue(), matchingMode={"kind": "suspend"})
    (await wire.delete(job)).refused(409, "Conflict")
    assert (await wire.post(f"{job}:cancel", {"note": "n"})).status == 200
    deleted = await wire.delete(job)
    assert (deleted.status, deleted.content) == (204, b"")
