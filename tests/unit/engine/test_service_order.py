"""Where a job stands in line, and who is served before whom."""

from __future__ import annotations

from typing import Any

import pytest

from router.engine.service_order import Place, standing
from router.models.jobs import JobRecord, JobStatus
from tests.unit.engine.engine_records import NOW, job, later, selector


def _place(**fields: Any) -> Place:
    where = standing(job(**fields))
    assert where is not None
    return where.place


@pytest.mark.parametrize("status", list(JobStatus))
def test_who_stands_in_line(status: JobStatus) -> None:
    """A job that was created enters it, one that is queued waits there, and nobody else does."""
    where = standing(job(status))
    if status is JobStatus.QUEUED:
        assert where is not None
        assert (where.queue_id, where.entering) == ("q", False)
    elif status is JobStatus.CREATED:
        assert where is not None
        assert (where.queue_id, where.entering) == ("q", True)
    else:
        assert where is None


@pytest.mark.parametrize("record", [None, job(queue_id=None), job(enqueued_at=None)])
def test_who_is_in_no_queue_stands_nowhere(record: JobRecord | None) -> None:
    assert standing(record) is None


def test_who_enters_has_waited_since_its_creation() -> None:
    created = job(JobStatus.CREATED, routing={"created_at": later(-7)})
    where = standing(created)
    assert where is not None
    assert where.place.enqueued_at == later(-7)
    back = standing(job(JobStatus.CREATED, enqueued_at=later(-3), routing={"created_at": later(-7)}))
    assert back is not None
    assert back.place.enqueued_at == later(-3)


def test_expedited_then_priority_then_age_then_id() -> None:
    expedited = {"requested_worker_selectors": [selector("a", "equal", 1, expedite=True)]}
    first_to_last = [
        _place(**expedited, priority=-5, enqueued_at=later(9)),
        _place(priority=7, enqueued_at=later(9)),
        _place(priority=1, enqueued_at=later(-9)),
        _place(priority=1, enqueued_at=NOW),
        Place(1, -1, NOW, "k"),
        _place(priority=-1, enqueued_at=later(-99)),
    ]
    shuffled = [first_to_last[at] for at in (3, 0, 5, 2, 4, 1)]
    assert sorted(shuffled) == first_to_last
    assert [place.priority for place in first_to_last] == [-5, 7, 1, 1, 1, -1]


@pytest.mark.parametrize(
    ("fields", "rank"),
    [
        ({"expedite": True}, 0),
        ({"expedite": False}, 1),
        ({"expedite": True, "status": "expired"}, 1),
    ],
)
@pytest.mark.parametrize("kind", ["requested_worker_selectors", "attached_worker_selectors"])
def test_a_selector_expedites_while_it_is_active(kind: str, fields: dict[str, Any], rank: int) -> None:
    assert _place(**{kind: [selector("a", "equal", 1, **fields)]}).rank == rank
