"""The policies of a queue, through the cache."""

from __future__ import annotations

import logging

from router.commit.parts import Parts
from router.models.policies import DistributionPolicy, ExceptionPolicy

_log = logging.getLogger(__name__)


async def distribution_policy(parts: Parts, queue_id: str | None) -> DistributionPolicy | None:
    """None when the queue or its policy is not there: routing goes on when the reference resolves again."""
    queue = await parts.resources.cached("Queue", queue_id) if queue_id else None
    if queue is None:
        _log.warning("A job or worker names queue '%s', which is not there", queue_id, extra={"queue": queue_id})
        return None
    policy = await parts.resources.cached("DistributionPolicy", queue.model.distribution_policy_id)
    if policy is None:
        _log.warning("Queue '%s' names a distribution policy that is not there", queue_id, extra={"queue": queue_id})
        return None
    model: DistributionPolicy = policy.model
    return model


async def exception_policy(parts: Parts, queue_id: str | None) -> tuple[str, ExceptionPolicy] | None:
    """The exception policy of a queue, with its id."""
    queue = await parts.resources.cached("Queue", queue_id) if queue_id else None
    policy_id = queue.model.exception_policy_id if queue else None
    if not policy_id:
        return None
    policy = await parts.resources.cached("ExceptionPolicy", policy_id)
    if policy is None:
        _log.warning("Queue '%s' names an exception policy that is not there", queue_id, extra={"queue": queue_id})
        return None
    return policy_id, policy.model
