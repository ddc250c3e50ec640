"""The request metric `ApiRequestRouter`: one count for every HTTP request, with exactly four dimensions.

No text that a client sends becomes a dimension's value, so the number of series is bounded whatever is sent.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from router.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

_OPERATIONS: Final = frozenset((*names.WIRE_OPERATIONS, *names.OWN_OPERATIONS, names.UNKNOWN_OPERATION))
_API_VERSIONS: Final = frozenset((*names.API_VERSIONS, names.API_VERSION_NONE, names.API_VERSION_UNSUPPORTED))
# 499: the client went away before the answer; not in the registry, but what everybody writes.
_STATUS_CODES: Final = frozenset((*(status.value for status in HTTPStatus if status >= 200), 499))

_requests: Counter | None = None
_durations: Histogram | None = None


def count_request(operation: str, api_version: str | None, status: int, seconds: float | None = None) -> None:
    """Count one answered request; with `seconds`, the time to its answer is recorded too.

    `api_version` is the query parameter as the client sent it, None when it sent none.
    """
    if _requests is None:
        return
    known = _known_operation(operation)
    _requests.add(1, _dimensions(known, api_version_dimension(api_version), _known_status(status)))
    if seconds is not None and _durations is not None:
        _durations.record(seconds, _operation_dimension(known))


def api_version_dimension(asked: str | None) -> str:
    """The ApiVersion dimension of what a client asked for."""
    if not asked:
        return names.API_VERSION_NONE
    return asked if asked in _API_VERSIONS else names.API_VERSION_UNSUPPORTED


def start(meter: Meter) -> None:
    global _requests, _durations
    unit, description = names.COUNTERS[names.API_REQUESTS]
    _requests = meter.create_counter(names.API_REQUESTS, unit, description)
    unit, description = names.HISTOGRAMS[names.OPERATION_DURATION]
    _durations = meter.create_histogram(names.OPERATION_DURATION, unit, description)


def stop() -> None:
    global _requests, _durations
    _requests = _durations = None


def _known_operation(operation: str) -> str:
    return operation if operation in _OPERATIONS else names.UNKNOWN_OPERATION


def _known_status(status: int) -> int:
    """The status, or the first of its class when it is none of HTTP's; what is no final status at all is a 500."""
    if status in _STATUS_CODES:
        return status
    return status // 100 * 100 if 200 <= status <= 599 else 500


# Bounded by its arguments: each comes from a known set.
@cache
def _dimensions(operation: str, api_version: str, status: int) -> dict[str, str]:
    return {
        names.DIMENSION_OPERATION: operation,
        names.DIMENSION_API_VERSION: api_version,
        names.DIMENSION_STATUS_CODE: str(status),
        names.DIMENSION_STATUS_SUB_CLASS: f"{status // 100}xx",
    }


@cache
def _operation_dimension(operation: str) -> dict[str, str]:
    return {names.DIMENSION_ROUTER_OPERATION: operation}
