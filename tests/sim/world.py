"""One run's world: time, storage, Event Grid, processes and weather, all of one seed."""

from __future__ import annotations

import contextvars
import random
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from router.commit.outbox import NotSent
from router.engine.service_order import standing
from router.errors import RouterError
from router.events.publisher import PublishFailed
from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy
from router.models.selectors import RouterWorkerSelector
from router.storage.backlog import row_key
from router.storage.keys import key, time_key
from router.storage.port import StorageUnavailable
from tests.sim.event_grid import EventGrid
from tests.sim.history import History
from tests.sim.memory_tables import Rows
from tests.sim.observer import Observer
from tests.sim.process import Gone, Process
from tests.sim.topology import BOTH, TOGETHER, Roles, Topology
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.weather import CALM, Weather

_SELECTORS: Final = TypeAdapter(list[RouterWorkerSelector])
START: Final = datetime(2030, 1, 1, tzinfo=UTC)
#: What an answer may be, other than success.
_ANSWERS: Final = frozenset({400, 404, 409, 412, 503})
#: After so many seconds another process takes the place of one that has died, or after the outage that has begun by then.
_REPLACED_AFTER: Final = (0.1, 1.0, 5.0, 20.0)


class World:
    def __init__(self, seed: int, weather: Weather, trace: bool = False, topology: Topology = TOGETHER) -> None:
        self.chance = random.Random(seed)
        self.weather = weather
        #: So far nothing has failed, so nothing may be late.
        self.always_calm = weather.calm
        self.was_calm = weather.calm
        self.outbox_limit = weather.outbox_limit
        self.storm = weather.storm
        self.drives = weather.drives
        #: For so long nobody may be there who does what is due: nothing works, the last one has died or stands still.
        self.away = (
            weather.outage
            + (_REPLACED_AFTER[-1] if weather.crash else 0.0)
            + (weather.frozen if weather.freezes else 0.0)
        )
        self.loop = VirtualLoop()  # type: ignore[abstract]
        self.outside = contextvars.copy_context()
        self.history = History(self)
        #: Who looks on: another one is put here before anything happens.
        self.observer: Observer = self.history
        self.event_grid = EventGrid(self)
        self._tables: dict[str, Rows] = {}
        #: The processes that there are while all is well.
        self.topology = topology
        self.processes: list[Process] = []
        self.down = False
        self._started = 0
        #: The policies and queues of the run, as they were set up: they do not change.
        self.policies: dict[str, DistributionPolicy] = {}
        self.waits: dict[tuple[str, str], float] = {}
        self.trace: list[str] | None = [] if trace else None
        self.digest = 0
        self.calls = 0

    # Time.

    def now(self) -> datetime:
        return START + timedelta(microseconds=round(self.loop.time() * 1_000_000))

    def latency(self) -> float:
        if self.weather.slow and self.chance.random() < self.weather.slow:
            return self.chance.random() * self.weather.slowest
        spread = self.weather.spread
        return self.weather.latency * (1 - spread + 2 * spread * self.chance.random())

    def note(self, process: Process | None, what: str) -> None:
        """One line of the run. Two runs of a seed have the same lines."""
        self.calls += 1
        line = f"{self.loop.time():.6f} {process.name if process else '-'} {what}"
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self.trace is not None:
            self.trace.append(line)

    # Storage.

    def rows(self, name: str) -> Rows:
        if name not in self._tables:
            self._tables[name] = Rows(name, self.observer.observe)
        return self._tables[name]

    def something_due(self, within: float) -> bool:
        """Whether a tick would find something: the others are left out, to save time."""
        limit = time_key(self.now() + timedelta(seconds=within))
        held = (str(one.columns["Until"]) for one in self.rows("rounds").all() if one.columns["Holder"])
        return self.rows("deadlines").any_before(limit) or any(until < limit for until in held)

    def in_backlog(self, job: JobRecord, since: datetime) -> bool:
        """Whether the backlog shows the job as it is, and has done so before that moment."""
        where = standing(job)
        row = self.rows("backlog").get(key(where.queue_id), row_key(where)) if where is not None else None
        if where is None or row is None:
            return False
        if max(self.history.changed[f"job/{job.id}"], self.history.shown[row.partition, row.row]) >= since:
            return False
        shown = _SELECTORS.validate_json(str(row.columns["Selectors"]))
        asked = [*job.job.requested_worker_selectors, *job.job.attached_worker_selectors]
        active = [one for one in asked if one.status == "active"]
        as_it_is = row.columns["ChannelId"] == job.job.channel_id and shown == active
        return as_it_is and bool(row.columns["Open"])

    def is_matched(self, queue_id: str | None) -> bool:
        """Whether some process has hold of the queue now."""
        now = time_key(self.now())
        return any(
            one.columns["Queue"] == queue_id and one.columns["Holder"] and str(one.columns["Until"]) > now
            for one in self.rows("rounds").all()
        )

    def policy_of(self, queue_id: str | None) -> DistributionPolicy | None:
        return self.policies.get(queue_id or "")

    def wait_threshold(self, queue_id: str | None, rule_id: str) -> float | None:
        """The seconds of a waitTime rule of the queue's exception policy; None for another rule."""
        return self.waits.get((queue_id or "", rule_id))

    # Processes.

    def start_process(self, roles: Roles = BOTH) -> Process:
        self._started += 1
        process = self.outside.copy().run(Process, self, self._started, roles)
        self.processes.append(process)
        self.note(process, "starts")
        return process

    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive]

    def some_process(self) -> Process | None:
        """One that serves. The platform sends nothing to one that stands still, unless all do."""
        serving = [process for process in self.alive() if process.roles.serves]
        serving = [process for process in serving if not process.is_frozen] or serving
        return self.chance.choice(serving) if serving else None

    def crashed(self, process: Process) -> None:
        """The process is gone at once; another takes its place and its roles after a while."""
        process.die()
        wait = self.chance.choice(_REPLACED_AFTER)
        self.outside.run(self.loop.call_later, wait, self._replace_process, process.roles)

    def _replace_process(self, roles: Roles) -> None:
        if roles in self._missing() and not self.down:
            self.start_process(roles)

    def _missing(self) -> list[Roles]:
        """What has no process at the moment."""
        there = Counter(process.roles for process in self.alive())
        return list((Counter(self.topology) - there).elements())

    def start_missing(self) -> None:
        for roles in self._missing():
            self.start_process(roles)

    def go_down(self) -> None:
        """Nothing works any more: no process is alive, or storage answers none."""
        self.down = True
        if self.weather.crash:
            for process in self.alive():
                process.die()

    def come_up(self) -> None:
        self.down = False
        if self.weather.crash:
            self.start_missing()

    def fair_weather(self) -> None:
        """From now on nothing fails."""
        self.weather = CALM
        self.start_missing()

    def judge_failure(self, what: str, error: BaseException) -> None:
        """A call may fail as storage does, or with an answer that the API has; anything else is a fault."""
        if isinstance(error, Gone | StorageUnavailable | PublishFailed | NotSent):
            return
        if isinstance(error, RouterError) and error.status in _ANSWERS:
            return
        self.history.fault(f"{what} failed with {type(error).__name__}: {error}")

    def end(self) -> None:
        for process in self.alive():
            process.alive = False
        self.loop.bury()

    def truth(self) -> tuple[dict[str, JobRecord], dict[str, Any]]:
        return self.history.jobs, self.history.workers
