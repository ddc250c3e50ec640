"""The topic or storage answers nothing for a while, and then again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from bench.scale import calls
from bench.scale.clients import Manner
from bench.scale.figures import Figures, percentile
from bench.scale.play import Play
from bench.scale.scenario import Results, Scenario, Size
from tests.sim.world import START

_BEFORE_SECONDS: Final = 3.0
#: After how long all is as ever again.
_RECOVERY_SECONDS: Final = 5.0
#: Of those who have come meanwhile, in some seconds.
_CATCH_UP: Final = 12
#: Of the jobs that something is to happen to at a time.
_EXPIRES_SECONDS: Final = 5.0
_SCHEDULED_SECONDS: Final = 3.0
_WAITS_SECONDS: Final = 4.0
_EVERY_SECONDS: Final = 2.0


def _topic(name: str, weather: Mapping[str, Any], size: Size, _: Results) -> Figures:
    """Workers look at their offers themselves. Another tenant has a queue of its own, where a job comes now and then;
    and offers expire, schedules come due and waiting rules fire all the while."""
    rate, silence, afterwards = size.of((20.0, 60.0, 15.0), (6.0, 12.0, 10.0))
    play = Play(name, 4, queues=2)
    timed = _Timed(play)
    silent = heard = 0.0

    async def story() -> None:
        nonlocal silent, heard
        await play.settings()
        await play.workers(2 * enough(rate))
        await timed.set_up(round(silence / _EVERY_SECONDS) + 2)
        await play.calm()
        play.clients.offers_are_seen_at_once()
        whole = _BEFORE_SECONDS + silence + afterwards
        tenants = [
            play.start(play.load(rate, whole, lambda _: {"queueId": "q0"})),
            play.start(play.load(0.5, whole, lambda _: {"queueId": "q1"}, name="other")),
        ]
        await play.pass_by(_BEFORE_SECONDS)
        play.change_weather(**weather)
        silent = play.now
        await timed.go_on(silence)
        play.change_weather()
        heard = play.now
        for one in tenants:
            await one
        await play.work_off()

    play.perform(story)
    figures = play.figures(since=silent + 0.1, until=heard)
    figures.more["other_p95"] = percentile(play.latencies("other", silent + 0.1, heard), 0.95)
    figures.more["late"] = timed.latest() * 1000
    issued = [
        (play.meter.taken.get(id, play.now) - play.clients.jobs[event.job_id].submitted) * 1000
        for id, (event, _) in play.meter.committed.items()
        if event.type == calls.OFFERED
        and event.job_id in play.clients.jobs
        and play.clients.jobs[event.job_id].submitted >= heard + _RECOVERY_SECONDS
    ]
    figures.more["p95_after"] = percentile(issued, 0.95)
    figures.more["untold"] = play.meter.untold()
    return figures


def enough(rate: float) -> int:
    return round(1.6 * rate) + 10


class _Timed:
    """Jobs whose time comes: an offer that expires, a schedule, a rule of a queue where nobody is."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._due: dict[str, float] = {}

    async def set_up(self, times: int) -> None:
        play = self._play
        process = play.somebody
        mode = {"kind": "longestIdle"}
        policy = {"offerExpiresAfterSeconds": _EXPIRES_SECONDS, "mode": mode}
        await calls.setting(process, "DistributionPolicy", "expiring", policy)
        await calls.setting(process, "Queue", "expiring", {"distributionPolicyId": "expiring"})
        rule = {
            "id": "waits",
            "trigger": {"kind": "waitTime", "thresholdSeconds": _WAITS_SECONDS},
            "actions": [{"kind": "cancel", "note": "too long"}],
        }
        await calls.setting(process, "ExceptionPolicy", "waiting", {"exceptionRules": [rule]})
        queue = {"distributionPolicyId": "policy", "exceptionPolicyId": "waiting"}
        await calls.setting(process, "Queue", "waiting", queue)
        never = Manner(answers_after=None)
        # Who lets an offer expire is deregistered: one for each job.
        await play.workers(
            times, lambda number: {"queues": ["expiring"], "labels": {"number": number}}, name="absent", manner=never
        )

    async def go_on(self, seconds: float) -> None:
        """One of each every two seconds."""
        play = self._play
        ends = play.now + seconds
        for number in itertools.count():
            if play.now + _EVERY_SECONDS > ends:
                break
            at = play.world.now() + timedelta(seconds=_SCHEDULED_SECONDS)
            scheduled = {"queueId": "q0", "matchingMode": {"kind": "scheduleAndSuspend", "scheduleAt": at.isoformat()}}
            self._due[f"scheduled{number}"] = play.now + _SCHEDULED_SECONDS
            own = {"key": "number", "labelOperator": "equal", "value": number}
            for job_id, fields in (
                (f"scheduled{number}", scheduled),
                (f"expiring{number}", {"queueId": "expiring", "requestedWorkerSelectors": [own]}),
                (f"waiting{number}", {"queueId": "waiting"}),
            ):
                play.start(calls.submit(play.somebody, job_id, fields))
            await play.pass_by(_EVERY_SECONDS)
        await play.pass_by(ends - play.now)

    def latest(self) -> float:
        """How much later than its time the last of all those things happened, in seconds."""
        play = self._play
        due = dict(self._due)
        for event, at in play.meter.committed.values():
            if event.type == calls.OFFERED and event.job_id.startswith("expiring"):
                due.setdefault(event.job_id, (calls.time_of(event.data["expiresOn"]) - START).total_seconds())
            if event.type == calls.QUEUED and event.job_id.startswith("waiting"):
                due.setdefault(event.job_id, at + _WAITS_SECONDS)
        done: dict[str, float] = {}
        for type in (calls.ACTIVATED, calls.EXPIRED, calls.CANCELLED):
            done |= play.meter.happened(type)
        submitted = {f"{kind}{number}" for kind in ("expiring", "waiting") for number in range(len(self._due))}
        never = [job_id for job_id in submitted if job_id not in due]
        if never:  # no offer, or not even queued
            return play.now
        return max((done.get(job_id, play.now) - at for job_id, at in due.items()), default=0.0)


def _storage(size: Size, _: Results) -> Figures:
    """Clients try again what was answered 503, until it succeeds."""
    rate, silence, afterwards = size.of((20.0, 60.0, 15.0), (2.5, 60.0, 15.0))
    play = Play("storage-silent", 4)
    heard = emptied = longest = 0.0

    async def story() -> None:
        nonlocal heard, emptied, longest
        await play.settings()
        await play.workers(_CATCH_UP * enough(rate))  # what waits afterwards waits for the router
        await play.calm()
        loading = play.start(play.load(rate, _BEFORE_SECONDS + silence + afterwards))
        await play.pass_by(_BEFORE_SECONDS)
        play.clients.longest_answer = 0.0
        play.change_weather(storage_silent=calls.STORAGE_SECONDS, storage_attempts=calls.STORAGE_ATTEMPTS)
        await play.pass_by(silence)
        play.change_weather()
        heard = play.now
        stopped = [job for job in play.clients.jobs.values() if job.closed is None]
        await play.until(lambda: all(job.closed is not None for job in stopped), silence + 30)
        emptied, longest = play.now, play.clients.longest_answer
        await loading
        await play.work_off()

    play.perform(story)
    figures = play.figures(since=heard + _RECOVERY_SECONDS)
    figures.more["longest_answer"] = longest
    figures.more["line_seconds"] = emptied - heard
    figures.more["silence"] = silence
    return figures


def scenarios() -> list[Scenario]:
    silent = {"topic_silent": calls.TOPIC_SECONDS}
    return [
        Scenario("topic-silent", partial(_topic, "topic-silent", silent)),
        Scenario("topic-refusing", partial(_topic, "topic-refusing", {"topic_busy": 1.0})),
        Scenario("storage-silent", _storage),
    ]
