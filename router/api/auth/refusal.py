"""The refusals of the door: 401 for a caller that cannot be trusted, 429 for one that asks too often."""

from __future__ import annotations

from router.errors import ErrorDetail, RouterError


class Unauthorized(RouterError):
    """401: no credentials, or credentials that do not hold. `reason` names the failure mode.

    Messages quote only what is public (dates, schemes, header names), never a key, a hash or a signature.
    """

    def __init__(self, reason: str, message: str, *, challenge: str = "HMAC-SHA256") -> None:
        super().__init__(
            "Unauthorized",
            message,
            401,
            details=(ErrorDetail(reason, message),),
            headers={"WWW-Authenticate": challenge},
        )
        self.reason = reason


class RateLimited(RouterError):
    """429: more requests in the window than this router allows one caller."""

    def __init__(self, limit: int, window_seconds: float, retry_after: int) -> None:
        super().__init__(
            "TooManyRequests",
            f"More than {limit} requests in {window_seconds:g} seconds. Try again in {retry_after} s.",
            429,
            headers={"Retry-After": str(retry_after)},
        )
