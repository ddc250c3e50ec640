"""Resources that rest as they are, for requests that must not change them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.eventually import eventually_async
from tests.raw_wire import CONTAINERS, RawWire

ODD = (" and a space", "#?%", "\\'\"", "Zürich 😀", "a/b")


@dataclass(frozen=True)
class World:
    """Paths by kind, and the few that stand for a state."""

    paths: dict[str, list[str]]
    assigned_job: str
    assignment: str
    cancelled_job: str
    worker: str
    #: Paths that are in use: a DELETE of them is refused.
    in_use: list[str]

    @property
    def all_paths(self) -> list[tuple[str, str]]:
        return [(kind, path) for kind, paths in self.paths.items() for path in paths]

    async def read(self, wire: RawWire) -> dict[str, tuple[Any, str, str]]:
        """Everything as it is now: body, ETag, Last-Modified."""
        paths = [path for _, path in self.all_paths]
        answers = await asyncio.gather(*(wire.get(path) for path in paths))
        return {
            path: (answer.expect(200), answer.headers["ETag"], answer.headers["Last-Modified"])
            for path, answer in zip(paths, answers, strict=True)
        }


async def everything(wire: RawWire) -> set[str]:
    """Ids of all resources of this wire's run, by lists."""
    found: set[str] = set()
    for container in CONTAINERS.values():
        link: str | None = f"/routing/{container}?maxpagesize=1000"
        while link is not None:
            page = (await wire.get(link)).expect(200)
            found |= {f"{container} {item['id']}" for item in page["value"] if wire.run in item["id"]}
            link = page.get("nextLink")
    return found


async def build(wire: RawWire) -> World:
    policy, exception = await wire.policy(name="d"), wire.id("exception")
    await wire.make("ExceptionPolicy", {"exceptionRules": [
        {"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": 86_400}, "actions": [{"kind": "cancel"}]}
    ]}, exception)  # fmt: skip
    queue = await wire.queue(distributionPolicyId=policy, exceptionPolicyId=exception, labels={"a": 1})
    rule = {"kind": "static", "value": {"A": [1]}}
    classification_path = await wire.make(
        "ClassificationPolicy", {"fallbackQueueId": queue, "prioritizationRule": rule}
    )
    classification = classification_path.rpartition("/")[2]
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    worker = await wire.worker(queue, channels=channels, availableForOffers=True, labels={"a": 1})
    assigned = await wire.job(queue)

    async def offer() -> str | None:
        offers = (await wire.get(worker)).expect(200)["offers"]
        return offers[0]["offerId"] if offers else None

    offer_id = await eventually_async(offer, "an offer", 60)
    accepted = (await wire.post(f"{worker}/offers/{offer_id}:accept")).expect(200)
    suspended = [
        await wire.make("Job", {"channelId": "voice", "queueId": queue, "matchingMode": {"kind": "suspend"},
                                "classificationPolicyId": classification, "labels": {"a": 1}}, f"{wire.id('job')}{odd}")
        for odd in ODD
    ]  # fmt: skip
    cancelled = await wire.job(queue)
    (await wire.post(f"{cancelled}:cancel", {"note": "n"})).expect(200)
    odd_workers = [
        await wire.make("Worker", {"capacity": 5, "tags": {"t": odd}}, f"{wire.id('worker')}{odd}") for odd in ODD
    ]
    odd_queues = [await wire.make("Queue", {"distributionPolicyId": policy}, f"{wire.id('queue')}{odd}") for odd in ODD]
    world = World(
        paths={
            "DistributionPolicy": [f"/routing/distributionPolicies/{policy}"],
            "ExceptionPolicy": [f"/routing/exceptionPolicies/{exception}"],
            "ClassificationPolicy": [classification_path],
            "Queue": [f"/routing/queues/{queue}", *odd_queues],
            "Job": [*suspended, assigned, cancelled],
            "Worker": [worker, *odd_workers],
        },
        assigned_job=assigned,
        assignment=accepted["assignmentId"],
        cancelled_job=cancelled,
        worker=worker,
        in_use=[
            f"/routing/distributionPolicies/{policy}", f"/routing/exceptionPolicies/{exception}", classification_path,
            f"/routing/queues/{queue}", assigned, *suspended,
        ],
    )  # fmt: skip

    async def rests() -> bool:
        """The worker has seen that its offer is an assignment now."""
        found = (await wire.get(worker)).expect(200)
        return bool(found["assignedJobs"]) and not found["offers"]

    await eventually_async(rests, "the worker rests")
    return world
