"""What goes wrong in one run, and how often; and how long things take."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Weather:
    """Chances per call, and times in seconds."""

    latency: float = 0.004
    #: How far a call's time may be from that, as a part of it.
    spread: float = 0.9
    #: What a call of storage or of the topic takes of its process's only processor: calls wait for each other.
    processor: float = 0.0
    #: Chance that a call takes very long, and how long at most.
    slow: float = 0.0
    slowest: float = 0.0
    #: Storage does not answer: before the write, or after it (its answer is lost).
    unavailable: float = 0.0
    lost_answer: float = 0.0
    #: The answer is lost and the client's pipeline sends the request again by itself.
    sent_twice: float = 0.0
    #: The process dies before or after the call.
    crash: float = 0.0
    #: A page of a query ends early.
    short_page: float = 0.0
    #: The topic refuses a request; or takes it and the answer is lost.
    topic_busy: float = 0.0
    topic_lost_answer: float = 0.0
    #: Storage, the topic answers nothing at all: the seconds after which the client gives up an attempt.
    storage_silent: float = 0.0
    topic_silent: float = 0.0
    #: How often the client of storage tries.
    storage_attempts: int = 4
    #: Deliveries: never made, made twice, late (reordered), and by how much at most.
    dropped: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    latest: float = 0.0
    #: Characters of events after which an outbox moves to a row of its own: in some runs often, to see that work.
    outbox_limit: int = 60_000
    #: When, after how many seconds of the clients' play, and for how long nothing works at all: storage does not
    #: answer, or (where processes may die) none is alive.
    outage_after: float = 0.0
    outage: float = 0.0
    #: Processes see to what follows their commits themselves; else events and deadlines alone do.
    drives: bool = True
    #: How often one process stands still, at any moment, and how long at most.
    freezes: int = 0
    frozen: float = 0.0
    #: So many offers that expire in the same second are a storm: in some runs each of them.
    storm: int = 50

    @property
    def calm(self) -> bool:
        """Nothing fails and nothing is lost: then everything is to be done within two seconds."""
        return not (
            self.crash
            or self.unavailable
            or self.lost_answer
            or self.dropped
            or self.topic_busy
            or self.slow
            or self.processor
            or self.topic_lost_answer
            or self.storage_silent
            or self.topic_silent
            or self.outage
            or self.freezes
        )


CALM = Weather()


def draw(chance: random.Random) -> Weather:
    """The weather of one run. In some runs events alone bring the work on, or deadlines alone; in some, processes stand
    still and wake up again, or have little of a processor."""
    weather = _draw(chance)
    match chance.randrange(10):
        case 0:
            return replace(weather, drives=False)
        case 1:
            return replace(weather, drives=False, dropped=1.0)
        case 2:
            return replace(weather, dropped=1.0)
        case 3 | 4:
            return replace(weather, freezes=chance.randint(1, 3), frozen=chance.choice((1.0, 5.0, 20.0)))
        case 5:
            return replace(weather, processor=chance.choice((0.002, 0.01)))
        case _:
            return weather


def _draw(chance: random.Random) -> Weather:
    """The weather of one run: every third run is calm, so that what must be quick can be checked."""
    kind = chance.randrange(3)
    outbox_limit = chance.choice((60_000, 60_000, 2_000, 500))
    if kind == 0:
        return Weather(
            latency=chance.choice((0.001, 0.005, 0.02)),
            short_page=chance.choice((0.0, 0.1)),
            doubled=chance.choice((0.0, 0.1)),
            late=chance.choice((0.0, 0.2)),
            latest=0.5,
            outbox_limit=outbox_limit,
            storm=chance.choice((1, 50)),
        )

    def some(most: float) -> float:
        return chance.choice((0.0, 0.3 * most, most))

    return Weather(
        latency=chance.choice((0.001, 0.01, 0.05)),
        slow=some(0.01),
        slowest=chance.choice((1.0, 4.0, 12.0)),
        unavailable=some(0.02),
        lost_answer=some(0.02),
        sent_twice=some(0.02),
        crash=some(0.01) if kind == 1 else 0.0,
        short_page=some(0.2),
        topic_busy=some(0.1),
        topic_lost_answer=some(0.05),
        dropped=some(0.2),
        doubled=some(0.2),
        late=some(0.3),
        latest=chance.choice((1.0, 10.0, 30.0)),
        outbox_limit=outbox_limit,
        outage_after=chance.choice((1.0, 4.0, 9.0)),
        outage=chance.choice((0.0, 0.0, 0.0, 20.0, 45.0)),
        storm=chance.choice((1, 50)),
    )
