"""Errors of the router, each with its wire code and HTTP status (docs/behaviour.md, "Errors")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ErrorDetail:
    """One particular of an error: a code, a message and the field or parameter it is about."""

    code: str
    message: str
    target: str | None = None

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            wire["target"] = self.target
        return wire


@dataclass(eq=False)
class RouterError(Exception):
    """An answer other than success, as the wire form tells it."""

    code: str
    message: str
    status: int = 400
    target: str | None = None
    details: Sequence[ErrorDetail] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def to_wire(self, path: str) -> dict[str, Any]:
        """The body of the error of a request to this path (docs/behaviour.md, "Errors"). The SDKs read `error`; the
        service itself sends `communicationError`, and applications read that."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "target": path}
        if self.details:
            error["details"] = [detail.to_wire() for detail in self.details]
        return {"error": error, "communicationError": error}


class BadRequest(RouterError):
    """400: the request names something that is not acceptable; `details` name each field."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "BadRequest",
        target: str | None = None,
        details: Sequence[ErrorDetail] = (),
    ) -> None:
        super().__init__(code, message, 400, target, details)


class Forbidden(RouterError):
    """403: who asks is known, and may not do this."""

    def __init__(self, message: str) -> None:
        super().__init__("Forbidden", message, 403)


class NotFound(RouterError):
    """404: no resource of that id."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__("NotFound", f"{kind} '{id}' was not found.", 404, target=kind)


class Conflict(RouterError):
    """409: the resource is in a state that does not allow this."""

    def __init__(self, message: str, *, details: Sequence[ErrorDetail] = (), target: str | None = None) -> None:
        super().__init__("Conflict", message, 409, target, details)


class ConditionNotMet(RouterError):
    """412: If-Match, If-None-Match or If-Unmodified-Since does not hold; nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionNotMet", message, 412)


class LengthRequired(RouterError):
    """411: a body without Content-Length, of which the Functions host hands over nothing."""

    def __init__(self) -> None:
        super().__init__(
            "LengthRequired",
            "The body was sent in chunks, and the platform does not hand such a body over: nothing of it has arrived. "
            "Send it whole, with Content-Length.",
            411,
        )


class TooLarge(RouterError):
    """413: a body or a resource beyond its limit; nothing was written."""

    def __init__(self, message: str, *, code: str = "RequestEntityTooLarge") -> None:
        super().__init__(code, message, 413)


class Busy(RouterError):
    """503: the row changed under every attempt, or storage did not answer; trying again is safe."""

    #: It is not a fault of the code: see router/outages.py.
    passes = True

    def __init__(self, message: str = "The resource is busy. Try again.", *, retry_after: int = 1) -> None:
        super().__init__("ServiceUnavailable", message, 503, headers={"Retry-After": str(retry_after)})
