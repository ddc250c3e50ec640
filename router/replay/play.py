"""A day on an event heap: the router's own engine and plan, without storage and without delay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from router.replay.behaviour import People
from router.replay.hands import Hands
from router.replay.history import Day, WorkerTrace
from router.replay.played import Played
from router.replay.scene import Scene

#: An expired offer has made its worker unavailable: such an entry of the day follows from the decision.
_FOLLOWS_SECONDS: Final = 5.0


class Play:
    def __init__(self, day: Day, people: People) -> None:
        self._scene = Scene(day, people)
        self._hands = Hands(self._scene)
        self.played = self._scene.played

    def run(self) -> Played:
        """The whole day, and what is left of it after its end."""
        for _ in self.steps():
            pass
        return self.played

    def steps(self) -> Iterator[None]:
        """The same, for those who have something else to do between one event and the next."""
        scene, hands = self._scene, self._hands
        self._set_up()
        goes_on = (hands.answers, hands.is_done, hands.expires, hands.stays.leaves)
        while (following := scene.next()) is not None:
            act, about = following
            if scene.second > scene.last and act not in goes_on:
                continue  # the day is over: nobody comes any more
            act(*about)
            yield
        scene.team.count_all(scene.second)

    def _set_up(self) -> None:
        scene, day = self._scene, self._scene.day
        for setting in day.settings.values():
            scene.rules.set(setting.kind, setting.id, setting.resource)
            for moment, resource in setting.changes:
                scene.at_time(moment, scene.rules.set, setting.kind, setting.id, resource)
        came = [one for one in (scene.people.enters(job.id) for job in day.jobs) if one is not None]
        scene.second = min([0.0, *came])
        expired = _expired(day)
        for worker in day.workers.values():
            self._set_up_worker(worker, expired[worker.id])
        for held in day.held:
            scene.at_time(held.begins, self._hands.staff.holds, held)
        for job in day.jobs:
            enters = scene.people.enters(job.id)
            if enters is not None:
                scene.at(enters, self._hands.stays.comes, job)
                for second, entry in scene.people.acts(job.id):
                    scene.at(second, self._hands.stays.is_changed, job.id, entry)

    def _set_up_worker(self, worker: WorkerTrace, expired: list[datetime]) -> None:
        scene, staff = self._scene, self._hands.staff
        begins = scene.second
        if worker.entries and worker.entries[0].what == "registered" and worker.entries[0].at > scene.day.begins:
            begins = (worker.entries[0].at - scene.day.begins).total_seconds()
        scene.at(begins, staff.becomes, worker.id, worker.resource)
        for entry in worker.entries:
            follows = entry.what in ("unavailable", "deregistered") and any(
                abs((entry.at - moment).total_seconds()) <= _FOLLOWS_SECONDS for moment in expired
            )
            if not follows:
                scene.at_time(entry.at, staff.does, worker.id, entry)


def _expired(day: Day) -> defaultdict[str, list[datetime]]:
    """By worker, when offers to it expired that day."""
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for job in day.jobs:
        for entry in job.entries:
            if entry.what == "expired":
                found[str(entry.fields.get("workerId"))].append(entry.at)
    return found
