"""Queues, as clients write them."""

from __future__ import annotations

from typing import Any, ClassVar

from router.models.types import Id, Labels, Model, Name


class RouterQueue(Model):
    """A queue: where jobs wait, and which policy offers them."""

    KIND: ClassVar = "Queue"

    name: Name | None = None
    distribution_policy_id: Id
    labels: Labels = {}
    exception_policy_id: Id | None = None


def with_id_label(labels: dict[str, Any], id: str) -> dict[str, Any]:
    """Labels with the label `Id` that every queue and worker has; clients cannot change it."""
    return {**{key: value for key, value in labels.items() if key != "Id"}, "Id": id}
