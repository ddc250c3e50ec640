"""Running what exception rules ask for, and firing those that wait."""

from __future__ import annotations

from functools import partial

from router.commit import job as job_commits
from router.commit import policies
from router.commit.acting import acting, deciding
from router.commit.parts import Parts
from router.engine import exceptions
from router.engine.change import JobChange
from router.models.history import Actor
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import ExceptionPolicy
from router.storage.truth_rows import Row


async def fire_wait_rules(parts: Parts, job_id: str) -> None:
    """waitTime rules whose time has come fire, once per stay."""
    row = await parts.jobs.store.load(job_id)
    if row.record is None:
        return
    found = await policies.exception_policy(parts, row.record.job.queue_id)
    if found is None:
        return
    policy_id, policy = found
    now = parts.clock.now()

    def step(record: JobRecord) -> JobChange:
        return exceptions.trigger(record, policy_id, exceptions.wait_rules_due(policy, record, now), now)

    await job_commits.change(parts, job_id, job_commits.existing(step), row)


async def run_actions(parts: Parts, row: Row[JobRecord]) -> Row[JobRecord]:
    """Runs the actions of every rule that has fired for the job and has not been dealt with, up to one that has it
    classified. The row afterwards."""
    while (
        row.record is not None
        and row.record.routing.triggered
        and row.record.status is not JobStatus.PENDING_CLASSIFICATION
    ):
        triggered = row.record.routing.triggered[0]
        policy = await parts.resources.cached("ExceptionPolicy", triggered.policy_id)
        model: ExceptionPolicy | None = policy.model if policy else None
        rules = [rule for rule in model.exception_rules if rule.id == triggered.rule_id] if model else []
        actions = rules[0].actions if rules else []
        gone = [
            named
            for action in actions
            if (named := exceptions.names(action)) is not None and await parts.resources.cached(*named) is None
        ]
        step = partial(exceptions.run, rule_id=triggered.rule_id, actions=actions, now=parts.clock.now(), gone=gone)
        name = f"{triggered.policy_id}/{triggered.rule_id}"
        with acting(Actor("rule", name)), deciding(f"exceptionPolicy/{name}"):
            row = (await job_commits.change(parts, row.id, job_commits.existing(step), row, driven=True)).after
    return row
