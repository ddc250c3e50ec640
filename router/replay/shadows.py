"""Queues that name a candidate for their distribution policy: what it would have done to a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from router.models.policies import DistributionPolicy
from router.replay.errors import ReplayError
from router.replay.history import Day, Setting

#: The label of a queue that names the candidate. Nothing of routing reads it.
LABEL: Final = "shadowPolicyId"


@dataclass(frozen=True)
class Shadow:
    """A queue at the day's end, its policy, and the candidate that it names."""

    queue_id: str
    policy_id: str
    candidate_id: str

    def candidate(self, day: Day) -> DistributionPolicy:
        """As it is at the day's end: it may have come later than the jobs. Raises ReplayError for one that is not."""
        setting = day.settings.get(("distributionPolicy", self.candidate_id))
        if setting is None:
            raise ReplayError(
                f"queue '{self.queue_id}': its {LABEL} '{self.candidate_id}' is no distribution policy of the file"
            )
        found = _at_the_end(setting)
        if not isinstance(found, DistributionPolicy):
            raise ReplayError(f"queue '{self.queue_id}': its {LABEL} '{self.candidate_id}' has been deleted")
        return found

    @property
    def name(self) -> str:
        return f"queue '{self.queue_id}' with policy '{self.candidate_id}' instead of '{self.policy_id}'"

    @property
    def stands_in(self) -> str:
        """The id of the candidate as the changed day has it, beside what it was during the day."""
        return f"shadow:{self.candidate_id}"

    def on(self, day: Day) -> Day:
        """The day with the candidate in place of the queue's policy; the one given stays as it is. Raises
        ReplayError."""
        queue = day.settings["queue", self.queue_id]
        patch = {"distribution_policy_id": self.stands_in}

        def patched(resource: Any) -> Any:
            return None if resource is None else resource.model_copy(update=patch)

        later = tuple((moment, patched(resource)) for moment, resource in queue.changes)
        candidate = Setting("distributionPolicy", self.stands_in, self.candidate(day))
        settings = {
            **day.settings,
            ("queue", self.queue_id): replace(queue, resource=patched(queue.resource), changes=later),
            ("distributionPolicy", self.stands_in): candidate,
        }
        return replace(day, settings=settings)


def shadows(day: Day) -> Iterator[Shadow]:
    """Of each queue that names one at the day's end."""
    for (kind, id), setting in day.settings.items():
        queue = _at_the_end(setting) if kind == "queue" else None
        if queue is not None and (candidate := named(queue.labels)) is not None:
            yield Shadow(id, queue.distribution_policy_id, candidate)


def named(labels: Mapping[str, Any] | None) -> str | None:
    """The candidate that labels of a queue name."""
    found = (labels or {}).get(LABEL)
    return None if found is None else str(found)


def _at_the_end(setting: Setting) -> Any:
    return setting.changes[-1][1] if setting.changes else setting.resource
