"""What a router holds, through the official client, and whether two hold the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from typing import Any

from tests.acceptance.migrate_pair import administration_of, client_of
from tests.local_router import LocalRouter


async def read_all(router: LocalRouter) -> dict[str, dict[str, Any]]:
    """Everything, through the official client, as it tells it."""

    async def read(items: AsyncIterator[Any]) -> dict[str, Any]:
        return {item.id: _plain_value(item.as_dict()) async for item in items}

    async with administration_of(router) as administration, client_of(router) as client:
        return {
            "distribution": await read(administration.list_distribution_policies()),
            "exception": await read(administration.list_exception_policies()),
            "classification": await read(administration.list_classification_policies()),
            "queues": await read(administration.list_queues()),
            "workers": await read(client.list_workers(state="all")),
            "jobs": await read(client.list_jobs(status="all", results_per_page=1000)),
        }


def _plain_value(value: Any) -> Any:
    """The models that the client leaves in its dictionaries as dictionaries too."""
    if isinstance(value, Mapping):
        return {name: _plain_value(item) for name, item in value.items()}
    return [_plain_value(item) for item in value] if isinstance(value, list) else value


def assert_same(here: dict[str, dict[str, Any]], there: dict[str, dict[str, Any]]) -> None:
    """Compared by hand, apart from the command's own comparison."""
    for kind, left in (
        ("distribution", {"etag"}),
        ("exception", {"etag"}),
        ("classification", {"etag"}),
        ("queues", {"etag"}),
        ("workers", {"etag", "state", "availableForOffers", "assignedJobs", "loadRatio"}),
        ("jobs", {"etag", "enqueuedAt", "requestedWorkerSelectors", "attachedWorkerSelectors"}),
    ):
        mine = {id: item for id, item in here[kind].items() if id != "served"}
        assert mine.keys() == there[kind].keys()
        for id, item in mine.items():
            assert without(item, left) == without(there[kind][id], left), f"{kind} {id}"
    for id, job in here["jobs"].items():
        if id != "served":
            assert _selectors(job) == _selectors(there["jobs"][id]), id


def _selectors(job: dict[str, Any]) -> list[tuple[Any, ...]]:
    both = [*(job.get("requestedWorkerSelectors") or []), *(job.get("attachedWorkerSelectors") or [])]
    return sorted(
        (one["key"], one["labelOperator"], repr(one["value"]), one.get("expiresAfterSeconds"), one.get("expedite"))
        for one in both
    )


def without(item: Any, left: set[str]) -> Any:
    copied = deepcopy({name: value for name, value in item.items() if name not in left})
    for rule in copied.get("exceptionRules", []):
        for action in rule["actions"]:
            action.pop("id", None)
    return copied
