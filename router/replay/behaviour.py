"""What people do, whatever the router decides: how long they take to answer, to do the work, and to lose patience."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from router.replay.history import Day, Entry, JobTrace

#: What begins at most so far from when it began that day goes on as it did that day, by the clock.
_ALIKE_SECONDS: Final = 2.0
#: What changes a job's place by itself: what these did is decided anew.
_ROUTER = ("exceptionpolicy/", "exceptionrule/")


@dataclass(frozen=True)
class Answer:
    """To an offer, after so many seconds; one that is not answered expires."""

    what: str
    after: float


@dataclass(frozen=True)
class Work:
    """On one assignment, which began at this second of the day: how long it took, and whether it ended with the job's
    return to the queue. Without `ended` it went on at the day's end."""

    seconds: float
    comes_back: bool
    began: float
    ended: bool = True


@dataclass
class Behaviour:
    """Of one job and those who are offered it."""

    enters: float
    #: To its offers in their order, who was offered it, and at which second of the day.
    answers: list[tuple[str, Answer, float]] = field(default_factory=list)
    #: Of each assignment.
    work: list[Work] = field(default_factory=list)
    #: Seconds in the queue after which the customer goes, by the assignments before: who has been served may come back.
    patience: dict[int, float] = field(default_factory=dict)
    #: What clients do to it while it waits: seconds after the start, and the entry.
    acts: list[tuple[float, Entry]] = field(default_factory=list)


@dataclass
class Observed:
    """Of a day: what is drawn from where a job itself tells nothing."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    answers: list[float] = field(default_factory=list)
    work: dict[str, list[float]] = field(default_factory=dict)
    #: Customers who go, in each second that one waits.
    leaving: float = 0.0
    #: How long those had waited who did not leave: served, ended by a rule, or still waiting at the end.
    waited: dict[str, float] = field(default_factory=dict)


def by_router(entry: Entry) -> bool:
    decided = entry.fields.get("decidedBy")
    return isinstance(decided, str) and decided.lower().startswith(_ROUTER)


def observe(day: Day) -> Observed:
    """What the day tells of its people."""
    found = Observed()
    waited = left = 0.0
    for job in day.jobs:
        one = _of(job, day, found)
        if one is None:
            continue
        found.behaviours[job.id] = one
        end = job.first("accepted", "cancelled")
        queued = job.first("queued")
        if queued is not None:
            seconds = ((end.at if end is not None else day.ends) - queued.at).total_seconds()
            waited += seconds
            left += 0 in one.patience
            if 0 not in one.patience:
                found.waited[job.id] = seconds
    found.leaving = left / waited if waited else 0.0
    return found


def _of(job: JobTrace, day: Day, found: Observed) -> Behaviour | None:
    queued = job.first("queued")
    if queued is None:
        return None
    one = Behaviour((queued.at - day.begins).total_seconds())
    offered: dict[str, Entry] = {}
    answers: dict[str, Answer] = {}
    accepted: Entry | None = None
    since = queued
    for entry in job.entries:
        since_begin = (entry.at - day.begins).total_seconds()
        offer = offered.get(str(entry.fields.get("offerId")))
        match entry.what:
            case "offered":
                offered[str(entry.fields.get("offerId"))] = entry
            case "declined" | "expired" | "revoked" if offer is not None:
                answers[str(entry.fields["offerId"])] = Answer(entry.what, (entry.at - offer.at).total_seconds())
            case "accepted":
                after = (entry.at - offer.at).total_seconds() if offer is not None else 0.0
                answers[str(entry.fields.get("offerId"))] = Answer("accepted", after)
                found.answers.append(after)
                accepted = entry
            case "unassigned" | "closed" | "cancelled" if accepted is not None:
                seconds = (entry.at - accepted.at).total_seconds()
                began = (accepted.at - day.begins).total_seconds()
                one.work.append(Work(seconds, entry.what == "unassigned", began))
                if entry.what != "unassigned":
                    found.work.setdefault(job.resource.channel_id, []).append(seconds)
                accepted, since = None, entry
            case "cancelled" if not by_router(entry):
                one.patience[len(one.work)] = (entry.at - since.at).total_seconds()
            case "moved" | "reprioritised" if not by_router(entry) and accepted is None:
                one.acts.append((since_begin, entry))
    if accepted is not None:
        seconds, began = (day.ends - accepted.at).total_seconds(), (accepted.at - day.begins).total_seconds()
        one.work.append(Work(max(seconds, 0.0), False, began, ended=False))
    one.answers = [
        (str(entry.fields.get("workerId")), answers[offer_id], (entry.at - day.begins).total_seconds())
        for offer_id, entry in offered.items()
        if offer_id in answers
    ]
    return one


class People(Protocol):
    """What people do, whatever the router decides."""

    def enters(self, job_id: str) -> float | None:
        """Seconds after the day's begin at which the job comes into its queue; None if it never did."""

    def answer(self, job_id: str, worker_id: str, number: int, of_worker: int, second: float) -> Answer:
        """To the job's offer with this number, from 0, which is the worker's offer of it with that number and is made
        at this second of the day."""

    def work(self, job_id: str, channel_id: str, number: int, second: float) -> tuple[float, bool]:
        """Of the job's assignment with this number, which begins at this second of the day: how long it takes, and
        whether it comes back to the queue."""

    def patience(self, job_id: str, number: int) -> float | None:
        """Seconds in the queue after which the customer goes, after so many assignments."""

    def acts(self, job_id: str) -> Sequence[tuple[float, Entry]]:
        """What clients do to the job while it waits."""


class Draws(People):
    """For every job the same draws, whatever policy it meets: differences are differences of the policies.
    Replication 0 is the day as it was; in the others what people do is drawn anew from what the day has."""

    def __init__(self, observed: Observed, replication: int) -> None:
        self._observed, self._replication = observed, replication

    def _chance(self, job_id: str, of: str) -> random.Random:
        return random.Random(f"{self._replication}/{job_id}/{of}")

    def answer(self, job_id: str, worker_id: str, number: int, of_worker: int, second: float) -> Answer:
        known = self._observed.behaviours[job_id].answers
        own = [one for one in known if one[0] == worker_id]
        chance = self._chance(job_id, f"answer {number}")
        if of_worker < len(own) or number < len(known):
            _, one, was = own[of_worker] if of_worker < len(own) else known[number]
            if one.what == "revoked":  # it would have been answered some time later
                return Answer("accepted", one.after + self._typical_answer(chance))
            if one.what != "accepted" or not self._replication:
                return Answer(one.what, self._by_the_clock(one.after, was, second))
        return Answer("accepted", self._typical_answer(chance))

    def _by_the_clock(self, seconds: float, was: float, second: float) -> float:
        """How long something takes that took so long and began then. As long as the day is as it was, people do things
        when they did them: otherwise the router's own tenths, which the replay leaves out, would add up."""
        if self._replication or abs(second - was) > _ALIKE_SECONDS:
            return seconds
        return max(seconds + was - second, 0.0)

    def _typical_answer(self, chance: random.Random) -> float:
        return chance.choice(self._observed.answers) if self._observed.answers else 0.0

    def work(self, job_id: str, channel_id: str, number: int, second: float) -> tuple[float, bool]:
        known = self._observed.behaviours[job_id].work
        one = known[number] if number < len(known) else None
        if one is not None and not self._replication and not one.ended:
            return max(one.seconds, one.began + one.seconds - second), False
        if one is not None and (not self._replication or one.comes_back):
            return self._by_the_clock(one.seconds, one.began, second), one.comes_back
        least = 0.0 if one is None or one.ended else one.seconds
        typical = self._observed.work.get(channel_id)
        if typical is None:
            typical = [one for times in self._observed.work.values() for one in times]
        drawn = self._chance(job_id, f"work {number}").choice(typical) if typical else 0.0
        return max(drawn, least), False

    def enters(self, job_id: str) -> float | None:
        one = self._observed.behaviours.get(job_id)
        return None if one is None else one.enters

    def acts(self, job_id: str) -> Sequence[tuple[float, Entry]]:
        return self._observed.behaviours[job_id].acts

    def patience(self, job_id: str, number: int) -> float | None:
        """Who was served has waited so long at least; how much longer is drawn. Who came back goes as it did."""
        one = self._observed.behaviours[job_id]
        if number or (number in one.patience and not self._replication):
            return one.patience.get(number)
        if not self._observed.leaving:
            return None
        more = self._chance(job_id, "patience").expovariate(self._observed.leaving)
        return more if self._replication else self._observed.waited.get(job_id, 0.0) + more
