"""Which waiting jobs would match differently: by workers, queues and policies of two configurations."""

from __future__ import annotations

from typing import Any

import pytest

from jobrouter.effect import after, effect
from jobrouter.files import Configuration
from jobrouter.plan import Effect
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER

FRENCH = {"key": "language", "labelOperator": "equal", "value": "fr"}


def configuration(mode: dict[str, Any] | None = None, **worker: Any) -> Configuration:
    ada = {
        "queues": ["q"],
        "capacity": 10,
        "labels": {"language": "fr"},
        "channels": [{"channelId": "c", "capacityCostPerJob": 5}],
    }
    return {
        DISTRIBUTION: {"d": {"mode": mode or {"kind": "longestIdle"}}, "e": {"mode": {"kind": "roundRobin"}}},
        EXCEPTION: {},
        QUEUE: {"q": {"distributionPolicyId": "d"}, "other": {"distributionPolicyId": "d"}},
        CLASSIFICATION: {},
        WORKER: {"ada": {**ada, **worker}, "bob": {**ada, "labels": {"language": "de"}}},
    }


def job(*selectors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "j", "queueId": "q", "channelId": "c", "requestedWorkerSelectors": list(selectors), **more}


@pytest.mark.parametrize(
    ("then", "of_any", "of_french"),
    [
        (configuration(), (0, 0, 0), (0, 0, 0)),
        (configuration(tags={"a": 1}), (0, 0, 0), (0, 0, 0)),
        (configuration(labels={"language": "it"}), (0, 0, 0), (1, 0, 1)),
        (configuration(queues=["other"]), (1, 0, 0), (1, 0, 1)),
        (configuration(capacity=4), (1, 0, 0), (1, 0, 1)),
        (configuration(channels=[]), (1, 0, 0), (1, 0, 1)),
        (configuration(capacity=-1), (0, 0, 0), (0, 0, 0)),  # the router refuses it: it stays as it is
        (configuration({"kind": "roundRobin"}), (1, 0, 0), (1, 0, 0)),
        (configuration({"kind": "longestIdle", "maxConcurrentOffers": 2}), (1, 0, 0), (1, 0, 0)),
        (configuration({"kind": "longestIdle", "bypassSelectors": True}), (1, 0, 0), (1, 0, 0)),
        (configuration({"kind": "longestIdle", "maxConcurrentOffers": 1}), (0, 0, 0), (0, 0, 0)),  # the default
    ],
)
def test_what_makes_a_job_match_differently(
    then: Configuration, of_any: tuple[int, int, int], of_french: tuple[int, int, int]
) -> None:
    assert effect([job()], configuration(), then) == Effect(1, *of_any)
    assert effect([job(FRENCH)], configuration(), then) == Effect(1, *of_french)


def test_another_policy_of_the_queue() -> None:
    then = configuration()
    then[QUEUE]["q"] = {"distributionPolicyId": "e"}
    assert effect([job(), job(queueId="other")], configuration(), then) == Effect(2, 1, 0, 0)


def test_a_job_finds_its_first_worker() -> None:
    italian = {**FRENCH, "value": "it"}
    then = configuration(labels={"language": "it"})
    jobs = [job(italian), job(attachedWorkerSelectors=[italian])]
    assert effect(jobs, configuration(), then) == Effect(2, 2, 2, 0)
    # A selector that has expired asks for nothing, and nobody is found in a mode that nobody is asked by.
    assert effect([job({**italian, "status": "expired"})], configuration(), then) == Effect(1, 0, 0, 0)
    nobody = configuration({"kind": "roundRobin"})
    assert effect([job(italian)], configuration(), nobody) == Effect(1, 0, 0, 0)


def test_the_label_id_is_seen() -> None:
    mine = {"key": "Id", "labelOperator": "equal", "value": "cleo"}
    then = configuration()
    then[WORKER]["cleo"] = then[WORKER]["ada"]
    assert effect([job(mine)], configuration(), then) == Effect(1, 1, 1, 0)


def test_after_a_plan() -> None:
    there = configuration()
    wanted: Configuration = {WORKER: {"ada": {"capacity": 1}}}
    assert after(wanted, there, prune=False)[WORKER] == {"ada": {"capacity": 1}, "bob": there[WORKER]["bob"]}
    assert after(wanted, there, prune=True)[WORKER] == {"ada": {"capacity": 1}}
    assert after(wanted, there, prune=True)[QUEUE] == there[QUEUE]
