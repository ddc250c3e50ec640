"""Who may do what: one table, operation by right (docs/security.md, "Rights").

The check of every request, the OpenAPI document and the table in the docs are made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """What a caller may do. An app role of Microsoft Entra ID is `Router.` and the right."""

    READ = "Read"
    SUPERVISE = "Supervise"
    AGENT = "Agent"
    ADMIN = "Admin"


class Reach(StrEnum):
    """How far a right goes in an operation: not at all, to what is the caller's own, everywhere."""

    NONE = "none"
    OWN = "own"
    ALL = "all"


ROLE_PREFIX: Final = "Router."
_FURTHEST: Final = (Reach.ALL, Reach.OWN)
#: The right that tells most of a caller who has several.
_ORDER: Final = (Right.ADMIN, Right.SUPERVISE, Right.READ, Right.AGENT)


def _row(read: Reach, supervise: Reach, agent: Reach) -> Mapping[Right, Reach]:
    return {Right.READ: read, Right.SUPERVISE: supervise, Right.AGENT: agent, Right.ADMIN: Reach.ALL}


_EVERYBODY: Final = _row(Reach.ALL, Reach.ALL, Reach.ALL)
_READERS: Final = _row(Reach.ALL, Reach.ALL, Reach.NONE)
_READERS_AND_OWN: Final = _row(Reach.ALL, Reach.ALL, Reach.OWN)
_SUPERVISORS: Final = _row(Reach.NONE, Reach.ALL, Reach.NONE)
_SUPERVISORS_AND_OWN: Final = _row(Reach.NONE, Reach.ALL, Reach.OWN)
_OWN: Final = _row(Reach.NONE, Reach.NONE, Reach.OWN)
_ADMINS: Final = _row(Reach.NONE, Reach.NONE, Reach.NONE)

RIGHTS: Final[Mapping[str, Mapping[Right, Reach]]] = {
    "UpsertClassificationPolicy": _ADMINS,
    "GetClassificationPolicy": _READERS,
    "DeleteClassificationPolicy": _ADMINS,
    "ListClassificationPolicies": _READERS,
    "UpsertDistributionPolicy": _ADMINS,
    "GetDistributionPolicy": _READERS,
    "DeleteDistributionPolicy": _ADMINS,
    "ListDistributionPolicies": _READERS,
    "UpsertExceptionPolicy": _ADMINS,
    "GetExceptionPolicy": _READERS,
    "DeleteExceptionPolicy": _ADMINS,
    "ListExceptionPolicies": _READERS,
    "UpsertQueue": _ADMINS,
    "GetQueue": _READERS,
    "DeleteQueue": _ADMINS,
    "GetQueues": _READERS,
    "GetQueueStatistics": _READERS,
    "UpsertJob": _SUPERVISORS,
    "GetJob": _READERS_AND_OWN,
    "DeleteJob": _ADMINS,
    "GetJobs": _READERS,
    "GetInQueuePosition": _READERS,
    "ReclassifyJob": _SUPERVISORS,
    "CancelJob": _SUPERVISORS,
    "CompleteJob": _SUPERVISORS_AND_OWN,
    "CloseJob": _SUPERVISORS_AND_OWN,
    "UnassignJob": _SUPERVISORS,
    "UpsertWorker": _SUPERVISORS_AND_OWN,
    "GetWorker": _READERS_AND_OWN,
    "DeleteWorker": _ADMINS,
    "GetWorkers": _READERS,
    "AcceptJobOffer": _OWN,
    "DeclineJobOffer": _SUPERVISORS_AND_OWN,
    "ExplainJob": _READERS,
    "GetJobTimeline": _READERS,
    "GetWorkerTimeline": _READERS,
    "ListChanges": _READERS,
    "ListHistory": _READERS,
    "GetQueueReport": _READERS,
    "GetWorkerReport": _READERS,
    "GetShadowReport": _READERS,
    "GetLive": _READERS_AND_OWN,
    "GetRights": _EVERYBODY,
}


def reaches(operation: str) -> Mapping[Right, Reach]:
    """The operation's row. What nobody has decided on is for administrators."""
    return RIGHTS.get(operation, _ADMINS)


def reach(rights: Iterable[Right], operation: str) -> Reach:
    """How far a caller with these rights comes in an operation."""
    row = reaches(operation)
    found = {row[right] for right in rights}
    return next((one for one in _FURTHEST if one in found), Reach.NONE)


def foremost(rights: Iterable[Right]) -> Right:
    """The right that tells most of a caller, who has at least one."""
    found = frozenset(rights)
    return next(right for right in _ORDER if right in found)


def rights_of_roles(roles: Iterable[object]) -> frozenset[Right]:
    """The rights in the claim `roles` of a token; roles of other names are none of the router's."""
    names = {f"{ROLE_PREFIX}{right}": right for right in Right}
    return frozenset(names[role] for role in roles if isinstance(role, str) and role in names)
