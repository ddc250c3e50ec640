"""What cannot be read is named by file and line; nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobrouter.failure import CommandError
from jobrouter.whatif.sources import read
from router.replay.errors import BadLine, ReplayError
from router.replay.history import parse
from tests.unit.whatif.whatif_days import day, lines, one_job

QUEUED = {"at": "2026-01-05T08:10:00Z", "what": "queued"}


def test_a_day_is_read() -> None:
    found = day()
    assert len(found.workers) == 5
    assert len(found.jobs) > 100
    assert {kind for kind, _ in found.settings} == {"queue", "distributionPolicy"}
    assert found.jobs[0].entries[0].what == "queued"


@pytest.mark.parametrize(
    ("number", "line", "reason"),
    [
        (3, "{", "no JSON"),
        (3, "[]", "no object"),
        (3, '{"kind": "thing", "id": "x"}', "kind is 'thing'"),
        (3, '{"kind": "queue", "resource": {}}', "'id' is no text"),
        (3, '{"kind": "queue", "id": "x"}', "'resource' is no object"),
        (3, '{"kind": "queue", "id": "q", "resource": {"distributionPolicyId": "d"}}', "twice"),
        (3, '{"kind": "queue", "id": "x", "resource": {}}', "resource.distributionPolicyId"),
        (4, '{"kind": "worker", "id": "x", "resource": {"capacity": 0}}', "resource.capacity"),
        (4, '{"kind": "worker", "id": "x", "resource": {"capacity": 1}, "entries": [{"what": "gone"}]}', "'gone'"),
        (1, '{"kind": "queue", "id": "x"}', "the first line is no header"),
        (1, '{"kind": "header", "version": 2}', "version is 2"),
        (1, '{"kind": "header", "version": 1, "from": "2026-01-05T08:00:00Z", "to": "soon"}', "'to' is no time"),
        (5, '{"kind": "job", "id": "x", "resource": {"channelId": "voice"}}', "'createdAt' is no text"),
        (5, json.dumps({"kind": "header", "version": 1}), "a second header"),
    ],
)
def test_a_bad_line_is_named(number: int, line: str, reason: str) -> None:
    given = one_job(QUEUED)
    given.insert(number - 1, line)
    if number > 1:
        given.insert(number - 1, "")  # an empty line counts as one
        number += 1
    with pytest.raises(BadLine) as failure:
        parse(given, "day.ndjson")
    assert str(failure.value).startswith(f"day.ndjson:{number}: ")
    assert reason in str(failure.value)


def test_entries_are_in_the_order_of_time() -> None:
    late = {"at": "2026-01-05T08:20:00Z", "what": "cancelled"}
    with pytest.raises(BadLine, match=r"f:5: its entries are not in the order"):
        parse(one_job(late, QUEUED), "f")
    with pytest.raises(BadLine, match=r"f:5: 'queued' is before 'createdAt'"):
        parse(one_job({**QUEUED, "at": "2026-01-05T08:09:00Z"}), "f")
    with pytest.raises(BadLine, match=r"f:5: 'what' of an entry is 'lost'"):
        parse(one_job({**QUEUED, "what": "lost"}), "f")


def test_what_is_named_stands_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="queue 'other' of job 'j'"):
        parse(one_job(QUEUED, queueId="other"), "f")
    without = [line for line in one_job(QUEUED) if '"distributionPolicy"' not in line]
    with pytest.raises(ReplayError, match="distribution policy 'd' of queue 'q'"):
        parse(without, "f")
    with pytest.raises(BadLine, match=r"f:1: there is no header"):
        parse([], "f")
    with pytest.raises(CommandError):
        read(tmp_path / "missing.ndjson")
    file = tmp_path / "day.ndjson"
    file.write_text("\n".join(lines()), "utf-8")
    assert len(read(file).jobs) == len(day().jobs)
