"""The routing metrics beyond ACS's: offers, waiting, reconciliation, conflicts, outbox and deadlines.

Every function returns at once while telemetry is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from router.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

MAX_QUEUE_SERIES: Final = 100
"""So many queues have a series of their own; those seen later share one named `other`."""

FIGURES_LIVE_SECONDS: Final = 60.0
"""Figures older than this are not reported: another instance's timer has taken over, or the app is idle."""

_OFFERS: Final[dict[str, dict[str, str]]] = {
    outcome: {names.DIMENSION_OUTCOME: outcome} for outcome in ("issued", "accepted", "declined", "expired", "revoked")
}
_AGGREGATES: Final[dict[str, dict[str, str]]] = {
    aggregate: {names.DIMENSION_AGGREGATE: aggregate} for aggregate in ("job", "worker", "queue", "policy")
}
_RECONCILED: Final[dict[tuple[str, str], dict[str, str]]] = {
    (aggregate, outcome): {names.DIMENSION_AGGREGATE: aggregate, names.DIMENSION_OUTCOME: outcome}
    for aggregate in _AGGREGATES
    for outcome in ("changed", "unchanged", "failed")
}
# A value that is none of these is counted as `other`: telemetry neither fails its caller nor grows by mistake.
_OTHER_OUTCOME: Final = {names.DIMENSION_OUTCOME: names.OTHER}
_OTHER_AGGREGATE: Final = {names.DIMENSION_AGGREGATE: names.OTHER}
_OTHER_RECONCILED: Final = {**_OTHER_AGGREGATE, **_OTHER_OUTCOME}


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """What the timer saw of one queue."""

    queue_id: str
    length: int
    longest_wait_seconds: float
    #: In percent; None where there is no history, or nobody was served and nobody gave up.
    service_level: float | None = None


@dataclass(frozen=True, slots=True)
class _Instruments:
    offers: Counter
    reconciliations: Counter
    conflicts: Counter
    retries: Counter
    told_waits: Counter
    time_to_offer: Histogram
    assignment_time: Histogram
    queue_time: Histogram
    outbox_age: Histogram
    deadline_lag: Histogram


_on: _Instruments | None = None
_figures: tuple[QueueFigures, ...] = ()
_figures_at: float = 0.0
_named_queues: set[str] = set()


def record_offer(outcome: names.OfferOutcome, count: int = 1) -> None:
    """Count offers by what became of them."""
    if _on is not None:
        for _ in range(count):  # one by one: each call is one in the portal's Count
            _on.offers.add(1, _OFFERS.get(outcome, _OTHER_OUTCOME))


def record_time_to_offer(seconds: float) -> None:
    """Record how long a job had been in its queue when it was offered."""
    if _on is not None:
        _on.time_to_offer.record(max(seconds, 0.0))


def record_assignment(seconds_since_created: float, seconds_in_queue: float) -> None:
    """Record, when an offer is accepted, the job's age and its time in the queue."""
    if _on is not None:
        _on.assignment_time.record(max(seconds_since_created, 0.0))
        _on.queue_time.record(max(seconds_in_queue, 0.0))


def record_reconciliation(aggregate: names.Aggregate, outcome: names.ReconcileOutcome) -> None:
    """Count one run of a reconcile procedure."""
    if _on is not None:
        _on.reconciliations.add(1, _RECONCILED.get((aggregate, outcome), _OTHER_RECONCILED))


def record_conflict(aggregate: names.Aggregate) -> None:
    """Count one write that another writer's ETag refused."""
    if _on is not None:
        _on.conflicts.add(1, _AGGREGATES.get(aggregate, _OTHER_AGGREGATE))


def record_retry(aggregate: names.Aggregate) -> None:
    """Count one decision taken again after a conflict."""
    if _on is not None:
        _on.retries.add(1, _AGGREGATES.get(aggregate, _OTHER_AGGREGATE))


def record_told_wait(queue_id: str, held: bool) -> None:
    """Count one job that was told a wait "less than N minutes" and is assigned, by whether that held."""
    if _on is not None:
        outcome = {names.DIMENSION_OUTCOME: "held" if held else "exceeded"}
        _on.told_waits.add(1, {names.DIMENSION_QUEUE: _queue_name(queue_id), **outcome})


def record_outbox_age(seconds: float) -> None:
    """Record an outbox row's age when it is published, and at each failed attempt to publish it."""
    if _on is not None:
        _on.outbox_age.record(max(seconds, 0.0))


def record_deadline_lag(seconds: float) -> None:
    """Record how long after its due time a deadline was handled."""
    if _on is not None:
        _on.deadline_lag.record(max(seconds, 0.0))


def set_queue_figures(figures: Iterable[QueueFigures]) -> None:
    """Replace what the queue gauges report; the timer calls this with all queues that it looked at."""
    global _figures, _figures_at
    if _on is not None:
        _figures, _figures_at = tuple(figures), monotonic()


def active() -> bool:
    """Whether anything is recorded, so that a caller may skip computing figures for nothing."""
    return _on is not None


def start(meter: Meter, observation: Callable[[float, dict[str, str]], Observation]) -> None:
    """Create the instruments; `observation` is OpenTelemetry's class, handed in so that nothing here imports it."""
    global _on

    def counter(name: str) -> Counter:
        return meter.create_counter(name, *names.COUNTERS[name])

    def histogram(name: str) -> Histogram:
        return meter.create_histogram(name, *names.HISTOGRAMS[name])

    def length(_: CallbackOptions) -> Iterable[Observation]:
        return [observation(one.length, series) for one, series in _queue_series()]

    def longest_wait(_: CallbackOptions) -> Iterable[Observation]:
        return [observation(one.longest_wait_seconds, series) for one, series in _queue_series()]

    def service_level(_: CallbackOptions) -> Iterable[Observation]:
        known = [(one.service_level, series) for one, series in _queue_series()]
        return [observation(level, series) for level, series in known if level is not None]

    meter.create_observable_gauge(names.QUEUE_LENGTH, [length], *names.GAUGES[names.QUEUE_LENGTH])
    meter.create_observable_gauge(names.QUEUE_LONGEST_WAIT, [longest_wait], *names.GAUGES[names.QUEUE_LONGEST_WAIT])
    meter.create_observable_gauge(names.QUEUE_SERVICE_LEVEL, [service_level], *names.GAUGES[names.QUEUE_SERVICE_LEVEL])
    _on = _Instruments(
        offers=counter(names.OFFERS),
        reconciliations=counter(names.RECONCILIATIONS),
        conflicts=counter(names.CONFLICTS),
        retries=counter(names.RETRIES),
        told_waits=counter(names.TOLD_WAITS),
        time_to_offer=histogram(names.TIME_TO_OFFER),
        assignment_time=histogram(names.ASSIGNMENT_TIME),
        queue_time=histogram(names.ASSIGNMENT_QUEUE_TIME),
        outbox_age=histogram(names.OUTBOX_AGE),
        deadline_lag=histogram(names.DEADLINE_LAG),
    )


def stop() -> None:
    global _on, _figures
    _on, _figures = None, ()
    _named_queues.clear()


def _queue_name(queue_id: str) -> str:
    """The value of the queue's dimension: the first hundred have their own."""
    if queue_id in _named_queues or len(_named_queues) < MAX_QUEUE_SERIES:
        _named_queues.add(queue_id)
        return queue_id
    return names.OTHER


def _queue_series() -> list[tuple[QueueFigures, dict[str, str]]]:
    """Figures and dimension of each series; queues past the first hundred are one series together: the longest wait and
    the lowest service level of them."""
    if monotonic() - _figures_at > FIGURES_LIVE_SECONDS:
        return []
    series: list[tuple[QueueFigures, dict[str, str]]] = []
    rest: list[QueueFigures] = []
    for figure in _figures:
        if _queue_name(figure.queue_id) != names.OTHER:
            series.append((figure, {names.DIMENSION_QUEUE: figure.queue_id}))
        else:
            rest.append(figure)
    if rest:
        together = QueueFigures(
            names.OTHER,
            sum(figure.length for figure in rest),
            max(figure.longest_wait_seconds for figure in rest),
            min((figure.service_level for figure in rest if figure.service_level is not None), default=None),
        )
        series.append((together, {names.DIMENSION_QUEUE: names.OTHER}))
    return series
