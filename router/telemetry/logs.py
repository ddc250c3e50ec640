"""Structured logs: one JSON object a line, with trace and span id, and without secrets or label values."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from router.telemetry import tracing
from router.telemetry.redaction import STANDARD_FIELDS, Redaction, mask


class JsonLines(logging.Formatter):
    """One line of JSON a record: time, level, logger, message, trace, span, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        ids = tracing.current_ids()
        if ids is not None:
            line["traceId"], line["spanId"] = ids
        line |= {key: value for key, value in record.__dict__.items() if key not in STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_lines(level: int = logging.INFO, stream: TextIO | None = None, logger: str = "router") -> None:
    """Write the router's logs as lines of JSON: for a process that no Functions host collects logs from."""
    target = logging.getLogger(logger)
    target.setLevel(level)
    target.propagate = False
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(Redaction())
    target.handlers[:] = [kept for kept in target.handlers if not isinstance(kept.formatter, JsonLines)]
    target.addHandler(handler)


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
