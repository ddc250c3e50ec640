"""The router's log records on their way out: without secrets or label values, and not twice."""

from __future__ import annotations

import logging

from router.telemetry.redaction import Redaction


def guard_exported(logger: str) -> None:
    """Put the redaction before each handler of a logger that exports, and keep its records from being sent twice.

    The Functions worker hands what reaches the root logger to the host, and the host would export it again.
    """
    target = logging.getLogger(logger)
    for handler in target.handlers:
        if not any(isinstance(present, Redaction) for present in handler.filters):
            handler.addFilter(Redaction())
    if target.handlers:
        target.propagate = False
