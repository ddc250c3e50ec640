"""What storage says against a request, as the SDK's clients raise it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from pydantic_core import from_json

_ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    401: ClientAuthenticationError,
    404: ResourceNotFoundError,
    409: ResourceExistsError,
    412: ResourceModifiedError,
}


def check(status: int, answer: bytes) -> None:
    """Raises HttpResponseError unless it is a success."""
    if not 200 <= status < 300:
        raise refusal(status, "the request was refused", answer)


def refusal(status: int, reason: str, answer: bytes) -> HttpResponseError:
    """The error, with its status and its code."""
    code, message = _told(answer)
    error = _ERRORS.get(status, HttpResponseError)(message=f"{status} {reason}: {code} {message}")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]
    return error


def _told(answer: bytes) -> tuple[str, str]:
    """The code and the message of an error in OData's JSON; nothing where there is none."""
    start, end = answer.find(b"{"), answer.rfind(b"}")
    try:
        told = from_json(answer[start : end + 1])["odata.error"]
        return str(told["code"]), str(told["message"]["value"])
    except (ValueError, KeyError, TypeError):
        return "", ""
