"""What this process depends on and gets no answer from: told once at the begin of an outage and once at its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from router.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

#: So soon after the end of an outage the next one is not told: a part that answers now and then is one outage.
_QUIET_SECONDS: Final = 10.0
#: An answer so soon after a failure does not end an outage: others of the same moment may fail yet.
_STEADY_SECONDS: Final = 1.0
#: Without a failure for longer than this nobody knows whether it lasts: what failed is tried again sooner.
_KNOWN_SECONDS: Final = 330.0
#: Storage's Date tells whole seconds, and an answer takes some; the signatures of clients may be 5 minutes off.
FAR: Final = timedelta(minutes=3)
#: Between two looks at storage's Date.
_LOOKS_SECONDS: Final = 5.0


class Outage:
    """Whether a part answers. Not more than a line at the begin and one at the end, whatever fails in between."""

    def __init__(self, part: str, harm: str, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`part` as it begins a sentence; `harm` says what that means. `elapsed` tells seconds, from any start."""
        self.part = part
        self._harm = harm
        self._elapsed = elapsed
        self._failures = 0
        self._since: float | None = None
        self._last = 0.0
        self._answers = False
        self._told = False
        self._over_at: float | None = None

    @property
    def seconds(self) -> float | None:
        """For how long it has not answered; None while it does."""
        now = self._elapsed()
        if self._since is None or self._answers or now - self._last > _KNOWN_SECONDS:
            return None
        return now - self._since

    def failed(self, reason: object) -> None:
        now = self._elapsed()
        self._failures += 1
        self._last = now
        self._answers = False
        self._since = now if self._since is None else self._since
        if not self._told and (self._over_at is None or now - self._over_at >= _QUIET_SECONDS):
            self._told = True
            # Azure's clients say all a second time in further lines.
            why = str(reason).strip().partition("\n")[0].rstrip(".") or "no answer in time"
            _log.error("%s does not answer: %s. %s", self.part, why, self._harm)

    def answered(self) -> None:
        if self._since is None:
            return
        now = self._elapsed()
        if now - self._last < _STEADY_SECONDS:
            self._answers = True
            return
        if self._told:
            _log.warning(
                "%s answers again after %.0f s; %d requests to it have failed.",
                self.part,
                now - self._since,
                self._failures,
            )
            self._told = False
            self._failures = 0
            self._over_at = now
        self._since = None


def is_told(error: BaseException) -> bool:
    """Whether a failure is of an outage, which has been told: it needs no line of its own."""
    return bool(getattr(error, "told", False))


def passes(error: BaseException) -> bool:
    """Whether a failure is of storage, the topic or the network, or of many who write the same row: tried again it
    succeeds."""
    return bool(getattr(error, "passes", False)) or isinstance(error, OSError)


def trace(error: BaseException) -> BaseException | None:
    """What a log line of this failure shows of how it came about: nothing where it passes, for that is nobody's
    fault."""
    return None if passes(error) else error


class WrongClock(Exception):
    """The clock of this process is far from storage's: what it would decide by time is left to others."""

    told = True


class ClockCheck:
    """This machine's clock beside storage's own: the Date of its answers."""

    def __init__(self, clock: Clock | None = None, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the machine's, not one that a local run puts forward."""
        self._clock = clock or SystemClock()
        self._elapsed = elapsed
        self._looked: float | None = None
        #: What the clock showed at the last look, and the seconds that had elapsed: together they tell a leap.
        self._then = self._clock.now()
        self._elapsed_then = elapsed()
        self.off: timedelta | None = None

    def saw(self, date: str | None) -> None:
        """Storage has answered with this Date."""
        now = self._elapsed()
        lately = self._looked is not None and now - self._looked < _LOOKS_SECONDS
        if date is None or (lately and not self._has_leapt()):
            return
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:
            return
        self._looked = self._elapsed_then = now
        self._then = self._clock.now()
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        off = self._clock.now() - theirs
        if abs(off) <= FAR:
            if self.off is not None:
                _log.warning("The clock of this process agrees with storage's again.")
            self.off = None
            return
        if self.off is None:
            _log.error("%s Until it is right this process changes nothing and handles no deadline.", _told(off))
        self.off = off

    @property
    def is_doubtful(self) -> bool:
        """Whether it was wrong at the last look, or has leapt since."""
        return self.off is not None or self._has_leapt()

    def check(self) -> None:
        """Raises WrongClock."""
        if self.off is not None:
            raise WrongClock(_told(self.off))

    def _has_leapt(self) -> bool:
        shown = (self._clock.now() - self._then).total_seconds()
        return abs(shown - (self._elapsed() - self._elapsed_then)) > FAR.total_seconds()


def _told(off: timedelta) -> str:
    seconds = off.total_seconds()
    way = "ahead of" if seconds > 0 else "behind"
    return f"The clock of this process is {abs(seconds) / 60:.0f} minutes {way} storage's."


@dataclass(frozen=True)
class Health:
    """What /health tells. `silent`: what does not answer, and for how many seconds."""

    ready: bool
    message: str
    silent: Mapping[str, float] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`degraded`: it serves, though something does not answer."""
        if not self.ready:
            return "unavailable"
        return "degraded" if self.silent else "ready"


def _storage() -> Outage:
    return Outage("Storage", "Requests are answered with 503 until it does, and deadlines wait.")


def _topic() -> Outage:
    return Outage("The event topic", "Jobs are offered as ever; events wait in their rows until it does.")


@dataclass
class Surroundings:
    """What this process knows of what it depends on."""

    storage: Outage = field(default_factory=_storage)
    topic: Outage = field(default_factory=_topic)
    clock: ClockCheck = field(default_factory=ClockCheck)

    def silent(self) -> dict[str, float]:
        """What does not answer, and for how many seconds."""
        found = {"storage": self.storage.seconds, "topic": self.topic.seconds}
        return {name: seconds for name, seconds in found.items() if seconds is not None}
