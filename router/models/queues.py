"""Queues, as clients write them."""

from __future__ import annotations

from typing import ClassVar

from router.models.types import Id, Labels, Model, Name


class RouterQueue(Model):
    """A queue: where jobs wait, and which policy offers them."""

    KIND: ClassVar = "Queue"

    name: Name | None = None
    distribution_policy_id: Id
    labels: Labels = {}
    exception_policy_id: Id | None = None
