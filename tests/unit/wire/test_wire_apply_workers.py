"""What a PATCH makes of a worker, what the answer to it says, and pages."""

from __future__ import annotations

from azure.communication.jobrouter import models as sdk

from router.models.operations import GA, PREVIEW
from router.models.workers import RouterJobOffer, RouterWorkerAssignment
from router.wire.apply import (
    worker_input,
)
from router.wire.documents import (
    json_bytes,
    page_body,
    render_worker,
    worker_document,
)
from tests.unit.wire.wire_samples import NOW, WORKER, new_worker, sent, wired


def test_a_worker_with_everything() -> None:
    offer = RouterJobOffer(offer_id="o", job_id="j", capacity_cost=5, offered_at=NOW, expires_at=NOW)
    assignment = RouterWorkerAssignment(assignment_id="a", job_id="j2", capacity_cost=1, assigned_at=NOW)
    record = new_worker(sent(WORKER), GA, offers=[offer], assigned_jobs=[assignment], load_ratio=0.6)
    answer = wired(render_worker(record, GA))
    moment = "2023-11-03T21:26:56.854593+00:00"
    assert answer == {
        "etag": '"e"',
        "id": "w",
        "state": "active",
        "queues": ["q1", "q2"],
        "capacity": 10,
        "labels": {"a": 1, "Id": "w"},
        "tags": {"t": "x"},
        "channels": [
            {"channelId": "voice", "capacityCostPerJob": 5},
            {"channelId": "chat", "capacityCostPerJob": 1, "maxNumberOfJobs": 3},
        ],
        "offers": [{"offerId": "o", "jobId": "j", "capacityCost": 5, "offeredAt": moment, "expiresAt": moment}],
        "assignedJobs": [{"assignmentId": "a", "jobId": "j2", "capacityCost": 1, "assignedAt": moment}],
        "loadRatio": 0.6,
        "availableForOffers": True,
    }
    seen = sdk.RouterWorker(answer)
    assert seen.offers is not None
    assert seen.offers[0].offered_at == NOW
    assert worker_input(record, answer, GA) == worker_input(record, {}, GA)
    assert "Id" not in worker_document(record)["labels"]


def test_max_concurrent_offers_belongs_to_the_preview() -> None:
    patch = {"capacity": 1, "maxConcurrentOffers": 3}
    record = new_worker(patch, PREVIEW)
    assert render_worker(record, PREVIEW)["maxConcurrentOffers"] == 3
    assert "maxConcurrentOffers" not in render_worker(record, GA)
    assert new_worker(patch, GA).worker.max_concurrent_offers is None
    # An older client neither sees nor loses it.
    assert worker_input(record, {"maxConcurrentOffers": None, "capacity": 2}, GA).max_concurrent_offers == 3


def test_pages() -> None:
    assert json_bytes(page_body([{"a": 1}], None)) == b'{"value":[{"a":1}]}'
    assert page_body([], "/x") == {"value": [], "nextLink": "/x"}
