"""Facts: what an entry counts, how facts add up, and what is read from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from router.engine import facts
from router.engine.facts import Thresholds, by_hour, merged, of_queues, of_workers, percentile, service_levels

AT = datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
TYPE = "Microsoft.Communication.Router"


def entry(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"jobId": "j", "queueId": "q", "channelId": "voice", "events": list(events), **fields}


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"eventType": TYPE + name, "eventId": "e", **fields}


def waited(seconds: float) -> dict[str, Any]:
    return of_queues(entry(event("WorkerOfferAccepted", workerId="w", waitSeconds=seconds)), AT, {})["q", "voice"]


def test_an_entry_without_a_queue_or_of_nothing_that_counts_is_not_counted() -> None:
    assert of_queues(entry(event("JobReceived")), AT, {}) == {}
    assert of_queues({"workerId": "w", "events": [event("WorkerRegistered")]}, AT, {}) == {}
    assert of_workers({"workerId": "w", "events": [event("WorkerRegistered")]}, AT) == {}


@pytest.mark.parametrize(("seconds", "well", "short"), [(20.0, 1, 0), (20.001, 0, 0), (5.0, 1, 1)])
def test_thresholds_include_their_moment(seconds: float, well: int, short: int) -> None:
    gone = of_queues(entry(event("JobCancelled", waitSeconds=seconds)), AT, {"q": Thresholds(20.0, 5.0)})["q", "voice"]
    assert (gone.get("abandonedWithinThreshold", 0), gone.get("shortAbandoned", 0)) == (well, short)
    assert gone["cancelledWhileWaiting"] == gone["abandon"]["count"] == 1
    assert waited(seconds).get("servedWithinThreshold", 0) == well


def test_a_job_that_is_cancelled_at_work_was_handled_and_has_not_given_up() -> None:
    told = entry(
        event("JobCancelled", workerId="w", assignedAt="2026-11-29T10:29:00Z", closedAt="2026-11-29T10:29:50Z")
    )
    (found,) = of_queues(told, AT, {}).values()
    assert (found["cancelled"], found["handle"]["sum"]) == (1, 50.0)
    assert "cancelledWhileWaiting" not in found


def test_seconds_go_to_the_hours_in_which_they_were_spent() -> None:
    told = entry(
        event(
            "JobCompleted", workerId="w", assignedAt="2026-11-29T08:45:00Z", completedAt="2026-11-29T10:15:00Z",
        )
    )  # fmt: skip
    found = of_workers(told, AT)
    assert {hour.hour: one.get("seconds", {}).get("busy") for (_, hour), one in found.items()} == {
        8: 900.0,
        9: 3600.0,
        10: 900.0,
    }
    assert found["w", facts.hour_of(AT)]["completed"] == 1
    assert by_hour(AT, AT) == by_hour(AT, AT - timedelta(hours=1)) == []


def test_wrap_up_dispositions_offers_and_availability() -> None:
    close = event(
        "JobClosed", workerId="w", dispositionCode="Solved", assignedAt="2026-11-29T10:00:00Z",
        completedAt="2026-11-29T10:20:00Z", closedAt="2026-11-29T10:21:00Z",
    )  # fmt: skip
    (found,) = of_workers(entry(close), AT).values()
    assert (found["seconds"], found["dispositions"]) == ({"wrapUp": 60.0}, {"Solved": 1})
    (offered,) = of_workers(
        entry(event("WorkerOfferDeclined", workerId="w", offeredAt="2026-11-29T10:29:00Z")), AT
    ).values()
    assert (offered["declined"], offered["seconds"]) == (1, {"offered": 60.0})
    gone = {"workerId": "w", "events": [event("WorkerDeregistered", registeredAt="2026-11-29T10:10:00Z")]}
    (available,) = of_workers(gone, AT).values()
    assert available == {"seconds": {"available": 1200.0}}


def test_facts_add_up_in_any_order() -> None:
    some = [waited(seconds) for seconds in (0.2, 3, 3, 18, 4000)]
    one, other = merged(some), merged([merged(some[3:]), merged(some[:3])])
    assert one == other
    assert (one["accepted"], one["wait"]["count"], one["wait"]["sum"], one["wait"]["max"]) == (5, 5, 4024.2, 4000)
    assert merged([{"longestLine": 3}, {"longestLine": 7}, {"longestLine": 5}]) == {"longestLine": 7}


def test_percentiles_are_right_to_a_bucket_and_never_beyond_the_maximum() -> None:
    found = merged(waited(seconds) for seconds in [1.5] * 50 + [8.0] * 40 + [100.0] * 10)["wait"]
    assert 1 <= (percentile(found, 0.5) or 0) <= 2
    assert 7 <= (percentile(found, 0.9) or 0) <= 10
    assert 90 <= (percentile(found, 0.95) or 0) <= 100
    assert percentile(found, 1.0) == 100.0
    assert 86_400 < (percentile(merged([waited(200_000)])["wait"], 0.5) or 0) <= 200_000
    assert percentile(None, 0.5) is None


def test_service_levels_with_and_without_those_who_gave_up_early() -> None:
    gone = [of_queues(entry(event("JobCancelled", waitSeconds=one)), AT, {})["q", "voice"] for one in (2, 15, 60)]
    found = merged([waited(5), waited(10), waited(50), *gone])
    assert service_levels(found) == {
        "serviceLevel": 33.3,
        "serviceLevelWithoutShortAbandons": 40.0,
        "servicelevelPerf": 66.7,
        "servicelevelPerf2": 66.7,
    }
    assert set(service_levels({}).values()) == {None}
