"""Structured logs: one JSON object a line, with trace and span id, and without secrets or label values."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from router.telemetry import tracing

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# Fields of `extra` that never leave the process, and those that only debug logs may show.
_SECRET_FIELD: Final = re.compile(
    r"authorization|signature|secret|password|credential|token|access_?key|app_?key|function_?key|"
    r"account_?key|connection_?string",
    re.IGNORECASE,
)
_LABEL_FIELD: Final = re.compile(r"labels?$|tags?$|selectors?$", re.IGNORECASE)

_SECRET_TEXT: Final = re.compile(
    r"((?:signature|sig|code|accountkey|sharedaccesskey|accesskey|client_secret|access_token)=)[^\s;&,\"']+"
    r"|(bearer )[^\s\"']+",
    re.IGNORECASE,
)
_MASK: Final = "***"


class Redaction(logging.Filter):
    """Masks secrets in a record before any handler formats it, and label values above debug level."""

    def filter(self, record: logging.LogRecord) -> bool:
        for field in [key for key in record.__dict__ if key not in _STANDARD]:
            if _SECRET_FIELD.search(field) or (record.levelno > logging.DEBUG and _LABEL_FIELD.search(field)):
                setattr(record, field, _MASK)
        message = record.getMessage()
        masked = _masked(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


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
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
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
    """Put the redaction before each handler of a logger, such as the one that exports to Azure Monitor."""
    for handler in logging.getLogger(logger).handlers:
        if not any(isinstance(present, Redaction) for present in handler.filters):
            handler.addFilter(Redaction())


def _masked(text: str) -> str:
    return _SECRET_TEXT.sub(lambda match: f"{match[1] or match[2]}{_MASK}", text)
