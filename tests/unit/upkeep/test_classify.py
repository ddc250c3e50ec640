"""What a classification policy makes of a job: queue, priority and selectors (docs/behaviour.md, "Classification")."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.models.jobs import JobStatus
from router.models.policies import ClassificationPolicy
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.upkeep.job import drive_job
from router.usecases import settings as setting_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time

EU = {"key": "Region", "labelOperator": "equal", "value": "EU"}
SKILL = {"key": "Skill", "labelOperator": "greaterThan", "value": 3}


def static(value: Any) -> dict[str, Any]:
    return {"kind": "static", "value": value}


async def save(process: Process, kind: str, id: str, document: dict[str, Any]) -> None:
    await setting_usecases.upsert(process.parts, kind, id, lambda _: document, lambda etag, modified: None)


async def router(**policy: Any) -> Process:
    """Queues `eu`, `us` and `vip`, and the policy `c`."""
    process = Process(Tables())
    await process.queue()
    for id, labels in (("us", {"Region": "US"}), ("vip", {"Region": "EU", "Vip": True}), ("eu", {"Region": "EU"})):
        await save(process, "Queue", id, {"distributionPolicyId": "q", "labels": labels})
    ClassificationPolicy.model_validate(policy)
    gone = policy.get("fallbackQueueId") == "gone"
    if gone:
        await save(process, "Queue", "gone", {"distributionPolicyId": "q"})
    await save(process, "ClassificationPolicy", "c", policy)
    if gone:  # as a race may leave it
        await process.parts.resources.delete("Queue", "gone")
    return process


async def classified(process: Process, id: str = "j", **job: Any) -> Any:
    await process.job(id, **{"queue_id": None, "classification_policy_id": "c", **job})
    await asyncio.sleep(0.1)
    return await process.read_job(id)


async def queue_of(attachments: list[dict[str, Any]], *, fallback: str | None = None, **job: Any) -> str | None:
    """The queue of a job that is classified; None where it could not be."""
    policy = {"queueSelectorAttachments": attachments, **({"fallbackQueueId": fallback} if fallback else {})}
    found = await classified(await router(**policy), **job)
    if found.status is JobStatus.CLASSIFICATION_FAILED:
        assert found.job.queue_id == job.get("queue_id")
        return None
    assert found.status is JobStatus.QUEUED
    return str(found.job.queue_id)


@pytest.mark.parametrize(
    ("attachments", "labels", "queue"),
    [
        ([{"kind": "static", "queueSelector": EU}], {}, "eu"),
        (
            [
                {"kind": "static", "queueSelector": EU},
                {"kind": "static", "queueSelector": {"key": "Vip", "labelOperator": "equal", "value": True}},
            ],
            {},
            "vip",
        ),
        ([{"kind": "static", "queueSelector": {"key": "Id", "labelOperator": "equal", "value": "us"}}], {}, "us"),
        ([{"kind": "conditional", "condition": static(True), "queueSelectors": [EU]}], {}, "eu"),
        ([{"kind": "conditional", "condition": static(False), "queueSelectors": [EU]}], {}, "q"),
        ([{"kind": "conditional", "condition": static(None), "queueSelectors": [EU]}], {}, "q"),
        ([{"kind": "passThrough", "key": "Region", "labelOperator": "equal"}], {"Region": "US"}, "us"),
        ([{"kind": "passThrough", "key": "Region", "labelOperator": "equal"}], {"Other": "US"}, "q"),
        ([{"kind": "ruleEngine", "rule": static([EU])}], {}, "eu"),
        ([{"kind": "ruleEngine", "rule": static(EU)}], {}, "eu"),
        ([{"kind": "ruleEngine", "rule": static([])}], {}, "q"),
        ([{"kind": "weightedAllocation", "allocations": [{"weight": 1, "queueSelectors": [EU]}]}], {}, "eu"),
        ([{"kind": "static", "queueSelector": {**EU, "value": "nowhere"}}], {}, "q"),
    ],
)
@in_virtual_time
async def test_the_queue_of_each_attachment(
    attachments: list[dict[str, Any]], labels: dict[str, Any], queue: str
) -> None:
    assert await queue_of(attachments, fallback="q", labels=labels) == queue


@pytest.mark.parametrize(
    ("attachments", "fallback", "own", "queue"),
    [
        # Without attachments the job's own queue comes first, with attachments that say nothing the fallback.
        ([], "eu", "us", "us"),
        ([], "eu", None, "eu"),
        ([], None, None, None),
        ([{"kind": "ruleEngine", "rule": static([])}], "eu", "us", "eu"),
        ([{"kind": "ruleEngine", "rule": static([])}], None, "us", "us"),
        ([{"kind": "ruleEngine", "rule": static([])}], None, None, None),
        ([{"kind": "static", "queueSelector": {**EU, "value": "nowhere"}}], None, "us", None),
        ([], "gone", None, None),
    ],
)
@in_virtual_time
async def test_the_queue_where_no_queue_fits(
    attachments: list[dict[str, Any]], fallback: str | None, own: str | None, queue: str | None
) -> None:
    assert await queue_of(attachments, fallback=fallback, queue_id=own) == queue


@pytest.mark.parametrize(
    ("rule", "priority"),
    [(static(7), 7), (static(-5), -5), (static(7.0), 7), (None, 3)],
)
@in_virtual_time
async def test_the_priority_is_the_rules_or_the_jobs_own(rule: dict[str, Any] | None, priority: int) -> None:
    policy = {"fallbackQueueId": "q", **({"prioritizationRule": rule} if rule else {})}
    assert (await classified(await router(**policy), priority=3)).job.priority == priority


async def attached(*attachments: dict[str, Any], **labels: Any) -> list[RouterWorkerSelector]:
    process = await router(fallbackQueueId="q", workerSelectorAttachments=list(attachments))
    found = await classified(process, labels=labels)
    assert found.status is JobStatus.QUEUED
    return list(found.job.attached_worker_selectors)


@pytest.mark.parametrize(
    ("attachment", "labels", "values"),
    [
        ({"kind": "static", "workerSelector": SKILL}, {}, [3]),
        ({"kind": "conditional", "condition": static(True), "workerSelectors": [SKILL, SKILL]}, {}, [3, 3]),
        ({"kind": "conditional", "condition": static(False), "workerSelectors": [SKILL]}, {}, []),
        ({"kind": "passThrough", "key": "Skill", "labelOperator": "greaterThan"}, {"Skill": 9}, [9]),
        ({"kind": "passThrough", "key": "Skill", "labelOperator": "greaterThan"}, {"skill": 9}, []),
        ({"kind": "ruleEngine", "rule": static([SKILL])}, {}, [3]),
        ({"kind": "weightedAllocation", "allocations": [{"weight": 2, "workerSelectors": [SKILL]}]}, {}, [3]),
    ],
)
@in_virtual_time
async def test_the_worker_selectors_of_each_attachment(
    attachment: dict[str, Any], labels: dict[str, Any], values: list[int]
) -> None:
    found = await attached(attachment, **labels)
    assert [one.value for one in found] == values
    assert all((one.key, one.label_operator) == ("Skill", LabelOperator.GREATER_THAN) for one in found)


@in_virtual_time
async def test_all_attachments_together_in_their_order_with_their_durations() -> None:
    found = await attached(
        {"kind": "static", "workerSelector": {**SKILL, "expiresAfterSeconds": 10, "expedite": True}},
        {"kind": "passThrough", "key": "Skill", "labelOperator": "lessThan", "expiresAfterSeconds": 20},
        Skill=8,
    )
    assert [(one.value, one.expires_after_seconds, one.expedite) for one in found] == [(3, 10, True), (8, 20, False)]
    assert [one.expires_at is not None and one.active for one in found] == [True, True]


@in_virtual_time
async def test_one_allocation_is_chosen_and_a_job_gets_the_same_again() -> None:
    allocations = [{"weight": 1, "queueSelectors": [EU]}, {"weight": 1, "queueSelectors": [{**EU, "value": "US"}]}]
    policy = {"queueSelectorAttachments": [{"kind": "weightedAllocation", "allocations": allocations}]}
    process = await router(**policy)
    chosen = {f"j{number}": (await classified(process, f"j{number}")).job.queue_id for number in range(12)}
    assert set(chosen.values()) == {"eu", "us"}
    another = await router(**policy)
    for id, queue_id in chosen.items():
        assert (await classified(another, id)).job.queue_id == queue_id


@pytest.mark.parametrize(
    "policy",
    [
        {"prioritizationRule": static("high")},
        {"prioritizationRule": static(1.5)},
        {"prioritizationRule": static(2**31)},
        {"queueSelectorAttachments": [{"kind": "conditional", "condition": static("yes"), "queueSelectors": [EU]}]},
        {"queueSelectorAttachments": [{"kind": "ruleEngine", "rule": static(5)}]},
        {"workerSelectorAttachments": [{"kind": "conditional", "condition": static(1), "workerSelectors": [SKILL]}]},
        {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": static([{"key": "a"}])}]},
        {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": static([SKILL] * 101)}]},
    ],
)
@in_virtual_time
async def test_a_rule_that_yields_something_else_fails_the_classification(policy: dict[str, Any]) -> None:
    process = await router(fallbackQueueId="q", **policy)
    found = await classified(process)
    assert found.status is JobStatus.CLASSIFICATION_FAILED
    assert found.routing.failure
    await asyncio.sleep(1)
    (event,) = [one for one in process.topic.events if one.type == "RouterJobClassificationFailed"]
    assert event.subject.endswith("/classificationpolicy/c")


@in_virtual_time
async def test_a_policy_that_is_gone_fails_the_classification() -> None:
    process = await router(fallbackQueueId="q")
    assert (await classified(process)).status is JobStatus.QUEUED
    await process.parts.resources.delete("ClassificationPolicy", "c")
    await asyncio.sleep(5)
    found = await classified(process, labels={"a": 1})
    assert found.status is JobStatus.CLASSIFICATION_FAILED
    assert "'c'" in (found.routing.failure or "")


@in_virtual_time
async def test_a_job_that_its_selectors_make_too_large_fails_the_classification() -> None:
    passed = {"kind": "passThrough", "key": "Long", "labelOperator": "equal"}
    process = await router(fallbackQueueId="q", workerSelectorAttachments=[passed] * 12)
    found = await classified(process, labels={"Long": "x" * 16_000})
    assert found.status is JobStatus.CLASSIFICATION_FAILED
    assert found.job.attached_worker_selectors == []


@in_virtual_time
async def test_a_job_that_changes_while_its_rules_are_asked_is_classified_as_it_is_then() -> None:
    process = await router(
        fallbackQueueId="q",
        queueSelectorAttachments=[{"kind": "passThrough", "key": "Region", "labelOperator": "equal"}],
    )
    await asyncio.sleep(5)  # the policy is read from storage once more, and meanwhile the job changes
    changed = False

    async def before(call: Call) -> None:
        nonlocal changed
        if (call.kind, call.table) == ("get", "policies") and not changed:
            changed = True
            other = Process(process.tables, seed=2, drives=False)
            await other.job("j", queue_id=None, classification_policy_id="c", labels={"Region": "US"})

    quiet = Process(process.tables, seed=3, drives=False)
    await quiet.job("j", queue_id=None, classification_policy_id="c", labels={"Region": "EU"})
    process.tables.before = before
    await drive_job(process.parts, "j")
    found = await process.read_job("j")
    assert (changed, found.status, found.job.queue_id) == (True, JobStatus.QUEUED, "us")
