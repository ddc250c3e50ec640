"""What never leaves the process in a log record or a span: secrets, and label values above debug level."""

from __future__ import annotations

import logging
import re
from traceback import format_exception
from typing import Final

_STANDARD_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""The fields of every log record; all others came with `extra`."""

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
        for field in [key for key in record.__dict__ if key not in _STANDARD_FIELDS]:
            if _SECRET_FIELD.search(field) or (record.levelno > logging.DEBUG and _LABEL_FIELD.search(field)):
                setattr(record, field, _MASK)
        message = record.getMessage()
        masked = mask(message)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            told = "".join(format_exception(error))
            if (told_masked := mask(told)) != told:
                # An exporter formats the exception itself: what must not be seen goes with it, the rest as text.
                record.exc_info = record.exc_text = None
                masked = f"{masked}\n{told_masked}"
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def mask(text: str) -> str:
    """The text without what follows a word that announces a secret."""
    return _SECRET_TEXT.sub(lambda match: f"{match[1] or match[2]}{_MASK}", text)
