"""What must hold of the histories that a whole router tells when everything rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from scripts.event_run import Event
from tests.raw_wire import PREVIEW, RawWire

#: Columns of a report, and the events that they count.
COUNTED = {
    "offered": "WorkerOfferIssued",
    "accepted": "WorkerOfferAccepted",
    "declined": "WorkerOfferDeclined",
    "expired": "WorkerOfferExpired",
    "revoked": "WorkerOfferRevoked",
    "assigned": "WorkerOfferAccepted",
    "completed": "JobCompleted",
    "closed": "JobClosed",
    "unassigned": "JobUnassigned",
    "cancelled": "JobCancelled",
}


async def every(wire: RawWire, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a list that ACS does not have."""
    found: list[dict[str, Any]] = []
    page = (await wire.get(path, query={"maxpagesize": 1000, **query}, version=PREVIEW)).expect(200)
    while True:
        found += page["value"]
        if "nextLink" not in page:
            return found
        page = (await wire.get(page["nextLink"], version=None)).expect(200)


def names(entry: dict[str, Any]) -> list[str]:
    """The events of an entry, without what all have in common."""
    return [str(one["eventType"]).rpartition(".Router")[2] for one in entry.get("events", ())]


class Histories:
    """What a router tells of its jobs and workers; `events` are those that a subscriber has taken, repeated or not."""

    def __init__(self, wire: RawWire, events: list[Event]) -> None:
        self.wire = wire
        self.events = events

    async def check(self, acknowledged: Iterable[tuple[str, str, str]]) -> bool:
        """Each committed change is told once, wherever it is told. Of what is acknowledged (job, event, assignment or
        empty) there is one entry each."""
        log = await every(self.wire, "/routing/history")
        by_owner: dict[str, list[dict[str, Any]]] = {}
        for entry in log:
            by_owner.setdefault(entry["owner"], []).append(entry)
        twice = [one for one, number in Counter(entry["eventId"] for entry in log).items() if number > 1]
        assert not twice, f"entries are told twice: {twice}"
        self._check_events(log)
        jobs = {owner.partition("/")[2]: told for owner, told in by_owner.items() if owner.startswith("job/")}
        for job, told in jobs.items():
            await self._check_job(job, told)
        for owner, told in by_owner.items():
            if owner.startswith("worker/"):
                await self._check_worker(owner.partition("/")[2], told, log)
        for job, name, assignment in acknowledged:
            found = [
                one
                for entry in jobs.get(job, ())
                for one in entry.get("events", ())
                if one["eventType"].endswith(f".Router{name}") and assignment in ("", one.get("assignmentId"))
            ]
            assert len(found) == 1, f"{job}: {name} was acknowledged and is told {len(found)} times"
        return True

    async def counted(self, *queues: str) -> bool:
        """Reports count what the log tells."""
        log = await every(self.wire, "/routing/history")
        told: Counter[str] = Counter(name for entry in log if entry.get("queueId") in queues for name in names(entry))
        rows = [row for queue in queues for row in await every(self.wire, "/routing/reports/queues", queueId=queue)]
        for column, name in COUNTED.items():
            found = sum(row[column] for row in rows)
            assert found == told[name], f"{found} are counted as {column}, and {told[name]} are told"
        return True

    def _check_events(self, log: list[dict[str, Any]]) -> None:
        """Events are delivered apart from the history: the two must tell of the same changes."""
        told = Counter(one["eventId"] for entry in log for one in entry.get("events", ()))
        taken = {
            str(event["id"]): str(event["eventType"])
            for event in self.events
            if "jobId" in event["data"] or "workerId" in event["data"]
        }
        assert taken, "there were events"
        assert not [id for id, number in told.items() if number > 1], "an event is told by two entries"
        missing = {id: name for id, name in taken.items() if id not in told}
        assert not missing, f"events were delivered of which no history tells: {missing}"
        early = told.keys() - taken.keys()
        assert not early, f"the history tells of events that nobody was told of: {early}"

    async def _check_job(self, job: str, log: list[dict[str, Any]]) -> None:
        told = await every(self.wire, f"/routing/jobs/{job}/timeline")
        assert [one["eventId"] for one in told] == [one["eventId"] for one in log], f"{job}: log and timeline differ"
        number = Counter(name for entry in told for name in names(entry))
        assert number["JobReceived"] == 1, (job, number)
        ends = sum(number[name] for name in ("WorkerOfferAccepted", "WorkerOfferDeclined", "WorkerOfferExpired"))
        assert ends + number["WorkerOfferRevoked"] <= number["WorkerOfferIssued"], (job, number)
        record = (await self.wire.get(f"/routing/jobs/{job}")).expect(200)
        statuses = [entry["what"]["status"] for entry in told if "status" in entry["what"]]
        assert statuses[-1] == record["status"], f"{job} is {record['status']}, and its timeline says {statuses}"
        if record["status"] == "closed":
            assert (number["JobClosed"], number["JobCompleted"]) == (1, 1), (job, number)

    async def _check_worker(self, worker: str, own: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
        told = [one["eventId"] for one in await every(self.wire, f"/routing/workers/{worker}/timeline")]
        concerned = [
            entry["eventId"]
            for entry in log
            if entry["owner"].startswith("job/") and any(one.get("workerId") == worker for one in entry["events"])
        ]
        assert Counter(told) == Counter([*(one["eventId"] for one in own), *concerned]), f"{worker}: log and timeline"
