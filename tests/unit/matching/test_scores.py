"""Scores of workers, by a rule that may fail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.matching.scores import scores
from router.models.jobs import JobStatus
from tests.memory_router import in_virtual_time
from tests.unit.matching.scenes import line, look, one_process


@in_virtual_time
async def test_scores_of_a_rule_and_who_has_none() -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/score"}
    process = await one_process("bestWorker", scoringRule=rule)
    await process.worker("low", labels={"score": 1})
    await process.worker("high", labels={"score": 2})
    await process.job("j")
    await process.job("broken", labels={"scoring": "fails"})
    await process.job("chat", channel_id="chat")
    scene = await look(process)
    records = [await process.read_job(id) for id in ("j", "broken", "chat")]
    found = await scores(process.parts, scene, records)
    assert found is not None
    assert found.scores == {"j": {"low": 1.0, "high": 2.0}, "chat": {}}
    reason = "The scoring rule (function) of distribution policy 'q' failed: The rule fails"
    assert found.failures == {"broken": reason}


@in_virtual_time
async def test_a_job_whose_scoring_fails_is_tried_again_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    rule = {"kind": "function", "functionUri": "https://example.com/score"}
    process = await one_process("bestWorker", scoringRule=rule)
    await process.worker("w", labels={"score": 1})
    await process.job("broken", labels={"scoring": "fails"})
    await process.parts.rounds.ask(["q"], sure=True)
    record = await process.read_job("broken")
    assert record.status is JobStatus.QUEUED
    assert record.routing.scoring_failures == 1
    (logged,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert logged == f"{record.routing.scoring_failure}. Job 'broken' is tried again."
    assert "distribution policy 'q' failed: The rule fails." in logged
    assert record.routing.retry_at == process.parts.clock.now() + timedelta(seconds=2)
    assert line(await look(process)) == []
