"""Updating a job that waits: what moves it, what revokes its offers, what leaves it alone
(docs/behaviour.md, "Updating")."""

from __future__ import annotations

from typing import Any

import pytest
from azure.communication.jobrouter.models import (
    ExpressionRouterRule,
    PassThroughWorkerSelectorAttachment,
    StaticRouterRule,
)

from tests.acceptance.desk import Desk, selector

QUEUE_AND_MATCH = {"matchingMode": {"kind": "queueAndMatch"}}


def test_what_has_no_effect_on_routing(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    offer = desk.offer(worker, job)
    enqueued = desk.client.get_job(job).enqueued_at
    changed = desk.client.upsert_job(
        job, {"tags": {"t": 1}, "notes": [{"message": "n"}], "channelReference": "r", "dispositionCode": "d"}
    )
    assert (changed.status, changed.enqueued_at) == ("queued", enqueued)
    assert desk.client.accept_job_offer(worker, offer.offer_id).job_id == job


@pytest.mark.ours
@pytest.mark.parametrize(
    "patch",
    [
        {"labels": {"x": 1}},
        {"requestedWorkerSelectors": [{"key": "Level", "labelOperator": "greaterThan", "value": 1}]},
    ],
    ids=["labels", "selectors"],
)
def test_offers_are_revoked_and_the_place_is_kept(desk: Desk, patch: dict[str, Any]) -> None:
    queue = desk.queue()
    worker = desk.worker(queue, labels={"Level": 5})
    job = desk.job(queue)
    offer = desk.offer(worker, job)
    later = desk.queued(queue)
    enqueued = desk.client.get_job(job).enqueued_at
    changed = desk.client.upsert_job(job, patch)
    assert (changed.status, changed.enqueued_at) == ("queued", enqueued)
    again = desk.until_worker(
        worker, lambda one: one.offers and one.offers[0].offer_id != offer.offer_id, "has a new offer"
    ).offers[0]
    assert again.job_id == job, "its place is kept"
    assert desk.client.get_queue_position(later).position == 2


def test_another_queue(desk: Desk) -> None:
    first, second = desk.queue(), desk.queue()
    here, there = desk.worker(first), desk.worker(second)
    job = desk.job(first)
    desk.offer(here, job)
    changed = desk.client.upsert_job(job, {"queueId": second})
    assert changed.status == "queued"
    assert desk.offer(there, job)
    desk.no_offers(here)
    assert desk.client.get_queue_statistics(first).length == 0
    assert desk.client.get_queue_statistics(second).length == 1


def test_another_channel(desk: Desk) -> None:
    queue = desk.queue()
    voice = desk.worker(queue)
    chat = desk.worker(queue, channels=[{"channelId": "chat", "capacityCostPerJob": 1}])
    job = desk.job(queue)
    desk.offer(voice, job)
    desk.client.upsert_job(job, {"channelId": "chat"})
    desk.offer(chat, job)
    desk.no_offers(voice)


def test_a_change_of_priority_moves_it(desk: Desk) -> None:
    queue = desk.queue()
    first, second, third = desk.queued(queue), desk.queued(queue), desk.queued(queue)
    positions = [desk.client.get_queue_position(job).position for job in (first, second, third)]
    assert positions == [1, 2, 3]
    desk.client.upsert_job(third, {"priority": 5})
    desk.client.upsert_job(first, {"priority": -1})
    positions = [desk.client.get_queue_position(job).position for job in (third, second, first)]
    assert positions == [1, 2, 3]
    worker = desk.worker(queue)
    for job in (third, second, first):
        desk.close(desk.accept(worker, job))


class TestReclassification:
    def test_changed_labels(self, desk: Desk) -> None:
        policy = desk.classification(
            prioritization_rule=ExpressionRouterRule(expression="If(job.Vip = true, 10, 1)"),
            worker_selector_attachments=[PassThroughWorkerSelectorAttachment(key="Skill", label_operator="equal")],
        )
        queue = desk.queue()
        job = desk.queued(queue, classification_policy_id=policy, labels={"Skill": "tax"})
        before = desk.client.get_job(job)
        assert (before.priority, before.queue_id) == (1, queue)
        changed = desk.client.upsert_job(job, {"labels": {"Vip": True, "Skill": "law"}, "priority": 77})
        assert changed.status == "pendingClassification"
        assert (changed.queue_id, changed.enqueued_at) == (queue, before.enqueued_at)
        assert changed.attached_worker_selectors == before.attached_worker_selectors, "until it is done"
        after = desk.until(job, "queued")
        assert (after.priority, after.enqueued_at) == (10, before.enqueued_at), "the rule wins"
        assert [one.value for one in after.attached_worker_selectors] == ["law"]

    def test_another_policy(self, desk: Desk) -> None:
        queue, other = desk.queue(), desk.queue()
        low = desk.classification(prioritization_rule=StaticRouterRule(value=2), fallback_queue_id=queue)
        high = desk.classification(
            prioritization_rule=StaticRouterRule(value=9),
            queue_selector_attachments=[
                {"kind": "static", "queueSelector": {"key": "Id", "labelOperator": "equal", "value": other}}
            ],
        )
        job = desk.queued(None, classification_policy_id=low)
        assert (desk.client.get_job(job).queue_id, desk.client.get_job(job).priority) == (queue, 2)
        changed = desk.client.upsert_job(job, {"classificationPolicyId": high})
        assert changed.status == "pendingClassification"
        after = desk.until(job, "queued")
        assert (after.queue_id, after.priority) == (other, 9)

    def test_by_the_action(self, desk: Desk) -> None:
        policy = desk.classification(prioritization_rule=StaticRouterRule(value=2))
        job = desk.queued(desk.queue(), classification_policy_id=policy)
        desk.administration.upsert_classification_policy(policy, prioritization_rule=StaticRouterRule(value=3))
        desk.client.reclassify_job(job)
        assert desk.until_job(job, lambda one: one.status == "queued" and one.priority == 3, "classified anew")

    def test_a_failed_job_comes_back(self, desk: Desk) -> None:
        policy = desk.classification(prioritization_rule=StaticRouterRule(value="not a number"))
        queue = desk.queue()
        job = desk.job(queue, classification_policy_id=policy)
        desk.until(job, "classificationFailed")
        desk.administration.upsert_classification_policy(policy, prioritization_rule=StaticRouterRule(value=4))
        desk.client.reclassify_job(job)
        desk.until_job(job, lambda one: one.status == "queued" and one.priority == 4, "classified at last")
        desk.close(desk.accept(desk.worker(queue), job))

    def test_with_its_own_queue_and_a_policy_without_queue_selectors(self, desk: Desk) -> None:
        own, fallback = desk.queue(), desk.queue()
        policy = desk.classification(
            fallback_queue_id=fallback,
            worker_selector_attachments=[
                {
                    "kind": "static",
                    "workerSelector": {
                        "key": "Foo",
                        "labelOperator": "equal",
                        "value": "Bar",
                        "expiresAfterSeconds": 60,
                    },
                }
            ],
        )
        asked = selector("k", "notEqual", 1)
        job = desk.queued(own, classification_policy_id=policy, priority=7, requested_worker_selectors=[asked])
        found = desk.client.get_job(job)
        assert (found.queue_id, found.priority) == (own, 7)
        [attached] = found.attached_worker_selectors or []
        assert (attached.key, attached.value, attached.status) == ("Foo", "Bar", "active")
        assert (attached.expires_at - found.enqueued_at).total_seconds() == pytest.approx(60, abs=0.01)
        assert [one.key for one in found.requested_worker_selectors] == ["k"]


@pytest.mark.ours
def test_suspending_a_queued_job(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    desk.offer(worker, job)
    assert desk.client.upsert_job(job, {"matchingMode": {"kind": "suspend"}}).status == "waitingForActivation"
    desk.no_offers(worker)
    assert desk.client.upsert_job(job, QUEUE_AND_MATCH).status == "queued"
    assert desk.offer(worker, job)
