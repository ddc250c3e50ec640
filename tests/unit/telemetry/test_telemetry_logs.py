"""Log records as they are exported: without secrets, and without label values at info level."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from router.telemetry import logs

LOG = logging.getLogger("router_under_test.service")


class Exporter(logging.Handler):
    """Keeps what it gets, as an exporter reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def text(self) -> str:
        """Everything of the records: messages, exceptions and fields."""
        return "\n".join(f"{self.format(record)} {record.__dict__}" for record in self.records)


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    logger, kept = logging.getLogger("router_under_test"), Exporter()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(kept)
    logs.guard_exported("router_under_test")
    yield kept
    logger.handlers.clear()
    logger.propagate = True


def test_a_record_goes_as_it_is(exporter: Exporter) -> None:
    LOG.info("Job %s was\nqueued", "j1", extra={"router.job.id": "j1"})
    (record,) = exporter.records
    assert record.getMessage() == "Job j1 was\nqueued"
    assert record.args == ("j1",)
    assert record.__dict__["router.job.id"] == "j1"


def test_an_exception_without_a_secret_stays_an_exception(exporter: Exporter) -> None:
    try:
        raise LookupError("no such row")
    except LookupError:
        LOG.exception("failed")
    (record,) = exporter.records
    assert record.exc_info is not None
    assert record.getMessage() == "failed"


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: HMAC-SHA256 SignedHeaders=x-ms-date;host&Signature=c2VjcmV0",
        "Bearer c2VjcmV0",
        "https://example.org/api?code=c2VjcmV0&x=1",
        "AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
        "endpoint=https://r/;accesskey=c2VjcmV0",
        "client_secret=c2VjcmV0",
    ],
)
def test_secrets_in_text_are_masked(exporter: Exporter, secret: str) -> None:
    LOG.error("refused: %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        LOG.exception("failed")
    assert "c2VjcmV0" not in exporter.text()
    refused, failed = exporter.records
    assert "***" in refused.getMessage()
    assert failed.getMessage().startswith("failed\nTraceback")
    assert "ValueError: " in failed.getMessage()
    assert "***" in failed.getMessage()


def test_secret_fields_are_masked_at_every_level(exporter: Exporter) -> None:
    LOG.debug("signed", extra={"authorization": "c2VjcmV0", "functionKey": "c2VjcmV0", "accessToken": "c2VjcmV0"})
    assert "c2VjcmV0" not in exporter.text()


def test_label_values_are_for_debugging_only(exporter: Exporter) -> None:
    extra = {"labels": {"customer": "Ada"}, "jobTags": {"order": "17"}, "requestedWorkerSelectors": ["Ada"]}
    LOG.debug("matching", extra=extra)
    LOG.info("matched", extra=extra)
    debug, info = (record.__dict__ for record in exporter.records)
    assert debug["labels"] == {"customer": "Ada"}
    assert (info["labels"], info["jobTags"], info["requestedWorkerSelectors"]) == ("***", "***", "***")


def test_a_record_is_exported_once(exporter: Exporter) -> None:
    logs.guard_exported("router_under_test")
    LOG.info("once")
    assert len(exporter.records) == 1
    assert len(exporter.filters) == 1
    assert not logging.getLogger("router_under_test").propagate
