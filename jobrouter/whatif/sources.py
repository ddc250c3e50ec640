"""Where days come from: a history, or a profile from which each replication makes another day."""

from __future__ import annotations

import gc
import json
import math
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from jobrouter.failure import CommandError
from jobrouter.whatif import changes
from router.models.jobs import RouterJobInput
from router.models.types import parse_time
from router.replay.behaviour import Answer, Draws, People, observe
from router.replay.history import Day, Entry, JobTrace, parse
from router.replay.play import Play
from router.replay.played import Played

_OF_PROFILE: Final = frozenset(
    {
        "name",
        "from",
        "arrivals",
        "answerSeconds",
        "queues",
        "distributionPolicies",
        "exceptionPolicies",
        "workers",
        "jobs",
    }
)
_OF_KIND: Final = frozenset({"share", "resource", "handleSeconds", "patienceSeconds"})
_OF_DRAW: Final = frozenset({"mean", "sd"})


class Source(Protocol):
    def day(self, replication: int) -> tuple[Day, People]:
        """The day of a replication, and its people."""


def play(source: Source, replication: int, change: Mapping[str, Any] | None = None) -> Played:
    """The day of a replication, with a change or as it is. The same people come, and do the same."""
    day, people = source.day(replication)
    play = Play(changes.changed(day, change) if change else day, people)
    collects = gc.isenabled()
    gc.disable()  # nothing here is a circle, and there is much of it
    try:
        return play.run()
    finally:
        if collects:
            gc.enable()


def read(path: Path) -> Day:
    """A history file. Raises CommandError and ReplayError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: {error}") from error
    return parse(text.splitlines(), str(path))


class Replayed:
    """A day as it was. Its jobs come when they came in every replication."""

    def __init__(self, day: Day) -> None:
        self._day, self._observed = day, observe(day)

    def day(self, replication: int) -> tuple[Day, People]:
        return self._day, Draws(self._observed, replication)


class Generated:
    """Days of a profile (docs/whatif.md has the form)."""

    def __init__(self, profile: Mapping[str, Any], name: str = "profile") -> None:
        self._profile = profile
        changes.only(profile, _OF_PROFILE, name)
        try:
            begins = parse_time(profile["from"])
            self._arrivals = [float(one) for one in profile["arrivals"]]
            self._kinds: Sequence[Mapping[str, Any]] = profile["jobs"]
            self._answers = float(profile.get("answerSeconds", 0.0))
            empty = Day(begins, begins + timedelta(hours=len(self._arrivals)))
            team: list[Mapping[str, Any]] = []
            for one in profile["workers"]:
                count = int(one.get("count", 1))
                team += [{**one, "id": one["id"] if count == 1 else f"{one['id']}-{n + 1}"} for n in range(count)]
            settings = {name: profile.get(name, {}) for name in ("queues", "distributionPolicies", "exceptionPolicies")}
            self._empty = changes.changed(empty, {**settings, "workers": {"add": team}})
            self._shares = [float(one["share"]) for one in self._kinds]
            self._inputs = [_input(one, number) for number, one in enumerate(self._kinds, 1)]
            if min([0.0, *self._arrivals, *self._shares, self._answers]) < 0:
                raise ValueError("arrivals, shares and answerSeconds are not below 0")
            if not sum(self._shares):
                raise ValueError("no kind of jobs has a share")
        except ValidationError as error:
            place = ".".join(str(one) for one in error.errors()[0]["loc"])
            raise CommandError(f"{name}: {place}: {error.errors()[0]['msg']}") from error
        except CommandError as error:
            raise CommandError(f"{name}: {error}") from error
        except KeyError as error:
            raise CommandError(f"{name}: {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise CommandError(f"{name}: it cannot be read ({error})") from error
        for one in self._inputs:
            if ("queue", one.queue_id) not in self._empty.settings:
                raise CommandError(f"{name}: queue '{one.queue_id}' of a job is not in it")

    @classmethod
    def load(cls, path: Path) -> Generated:
        return cls(changes.load(path), str(path))

    def day(self, replication: int) -> tuple[Day, People]:
        chance = random.Random(f"arrivals {replication}")
        jobs: list[JobTrace] = []
        people = _Made(self, replication)
        for hour, rate in enumerate(self._arrivals):
            second = hour * 3600.0
            while rate > 0:
                second += chance.expovariate(rate / 3600)
                if second >= (hour + 1) * 3600:
                    break
                kind = chance.choices(range(len(self._kinds)), self._shares)[0]
                id = f"job-{len(jobs) + 1:06}"
                people.comes(id, kind, second)
                jobs.append(JobTrace(id, self._empty.begins + timedelta(seconds=second), self._inputs[kind]))
        day = Day(self._empty.begins, self._empty.ends, dict(self._empty.settings), dict(self._empty.workers), jobs)
        return day, people

    def handle(self, kind: int, chance: random.Random) -> float:
        return _draw(self._kinds[kind]["handleSeconds"], chance)

    def leaves(self, kind: int, chance: random.Random) -> float | None:
        patience = self._kinds[kind].get("patienceSeconds")
        return None if patience is None else chance.expovariate(1 / float(patience))

    @property
    def answers(self) -> float:
        return self._answers


def _input(kind: Mapping[str, Any], number: int) -> RouterJobInput:
    """What of a kind is not read later. Raises ValueError and CommandError."""
    where = f"jobs, number {number}"
    changes.only(kind, _OF_KIND, where)
    spec = kind["handleSeconds"]
    if isinstance(spec, dict):
        changes.only(spec, _OF_DRAW, f"handleSeconds of {where}")
        if float(spec["sd"]) < 0:
            raise ValueError(f"{where}: 'sd' is below 0")
    for seconds in (spec["mean"] if isinstance(spec, dict) else spec, kind.get("patienceSeconds")):
        if seconds is not None and not 0 < float(seconds) < math.inf:
            raise ValueError(f"{where}: handleSeconds and patienceSeconds are above 0")
    found = changes.checked(kind["resource"], kind["resource"], RouterJobInput, where)
    assert isinstance(found, RouterJobInput)
    return found


def _draw(spec: Any, chance: random.Random) -> float:
    """A mean, exponential; or {mean, sd} (log-normal; `sd` 0: always the mean)."""
    if not isinstance(spec, dict):
        return chance.expovariate(1 / float(spec))
    mean, deviation = float(spec["mean"]), float(spec["sd"])
    if not deviation:
        return mean
    variance = math.log(1 + (deviation / mean) ** 2)
    return chance.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


class _Made(People):
    def __init__(self, profile: Generated, replication: int) -> None:
        self._profile, self._replication = profile, replication
        self._came: dict[str, tuple[int, float]] = {}

    def comes(self, job_id: str, kind: int, second: float) -> None:
        self._came[job_id] = (kind, second)

    def _chance(self, job_id: str, of: str) -> random.Random:
        return random.Random(f"{self._replication}/{job_id}/{of}")

    def enters(self, job_id: str) -> float | None:
        return self._came[job_id][1]

    def answer(self, job_id: str, worker_id: str, number: int, of_worker: int, second: float) -> Answer:
        return Answer("accepted", self._profile.answers)

    def work(self, job_id: str, channel_id: str, number: int, second: float) -> tuple[float, bool]:
        return self._profile.handle(self._came[job_id][0], self._chance(job_id, f"work {number}")), False

    def patience(self, job_id: str, number: int) -> float | None:
        return self._profile.leaves(self._came[job_id][0], self._chance(job_id, "patience"))

    def acts(self, job_id: str) -> Sequence[tuple[float, Entry]]:
        return ()


def written(day: Day, played: Played, people: People) -> list[str]:
    """A played day as a history file: what a replay of it must find again."""
    lines = [json.dumps({"kind": "header", "version": 1, "from": day.begins.isoformat(), "to": day.ends.isoformat()})]

    def document(resource: Any) -> dict[str, Any]:
        found: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
        return found

    def at(second: float) -> str:
        return (day.begins + timedelta(seconds=second)).isoformat()

    lines += [
        json.dumps({"kind": one.kind, "id": one.id, "resource": document(one.resource)})
        for one in day.settings.values()
    ]
    for worker in day.workers.values():
        entries = [{"at": one.at.isoformat(), "what": one.what} for one in worker.entries]
        lines.append(
            json.dumps({"kind": "worker", "id": worker.id, "resource": document(worker.resource), "entries": entries})
        )
    for job in day.jobs:
        outcome = played.outcomes[job.id]
        entries = [{"at": at(outcome.came), "what": "queued"}]
        if outcome.waited is not None and outcome.worker_id is not None:
            end, offer = outcome.came + outcome.waited, {"workerId": outcome.worker_id, "offerId": f"{job.id}/0"}
            entries.append(
                {"at": at(end - people.answer(job.id, outcome.worker_id, 0, 0, end).after), "what": "offered", **offer}
            )
            entries.append({"at": at(end), "what": "accepted", **offer})
            entries.append({"at": at(end + people.work(job.id, job.resource.channel_id, 0, end)[0]), "what": "closed"})
        elif outcome.waited is not None:
            entries.append({"at": at(outcome.came + outcome.waited), "what": "cancelled"})
        resource = {**document(job.resource), "createdAt": job.created_at.isoformat()}
        lines.append(json.dumps({"kind": "job", "id": job.id, "resource": resource, "entries": entries}))
    return lines
