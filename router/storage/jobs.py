"""The truth rows of jobs, and the columns that lists of jobs filter by."""

from __future__ import annotations

from typing import Any

from router.models.jobs import ACTIVE, JobRecord, ScheduleAndSuspendMode
from router.storage.aggregates import AggregateStore
from router.storage.keys import time_key
from router.storage.port import Table


def job_store(table: Table) -> AggregateStore[JobRecord]:
    return AggregateStore(table, "job", JobRecord, _job_columns)


def _job_columns(record: JobRecord) -> dict[str, Any]:
    job = record.job
    columns: dict[str, Any] = {
        "Status": str(job.status),
        "Active": job.status in ACTIVE,
        "ChannelId": job.channel_id,
    }
    if job.queue_id:
        columns["QueueId"] = job.queue_id
    if job.classification_policy_id:
        columns["PolicyId"] = job.classification_policy_id
    if isinstance(job.matching_mode, ScheduleAndSuspendMode):
        columns["ScheduleAt"] = time_key(job.matching_mode.schedule_at)
    return columns
