"""A request to each operation, for what holds for all of them."""

from __future__ import annotations

from router.models.operations import OPERATIONS

IDS = {
    "{jobId}": "none",
    "{workerId}": "none",
    "{queueId}": "none",
    "{policyId}": "none",
    "{assignmentId}": "none",
    "{offerId}": "none",
}


def _path(route: str) -> str:
    for name, id in IDS.items():
        route = route.replace(name, id)
    return f"/{route}"


#: Operation, method and path; the ids are of nothing that is there.
REQUESTS = [(operation.name, operation.method, _path(operation.route)) for operation in OPERATIONS]
