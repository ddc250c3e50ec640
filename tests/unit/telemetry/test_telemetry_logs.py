"""Log lines: JSON, correlated, without secrets, and without label values at info level."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.telemetry import logs, tracing


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure_lines(logging.DEBUG, stream, "router_under_test")
    yield stream
    logging.getLogger("router_under_test").handlers.clear()


LOG = logging.getLogger("router_under_test.service")


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line(lines: io.StringIO) -> None:
    LOG.info("Job %s was\nqueued", "j1", extra={"router.job.id": "j1"})
    (line,) = read(lines)
    assert line["level"] == "info"
    assert line["logger"] == "router_under_test.service"
    assert line["message"] == "Job j1 was\nqueued"
    assert line["router.job.id"] == "j1"
    assert line["time"].endswith("+00:00")
    assert "traceId" not in line


def test_a_record_within_a_span_names_it(lines: io.StringIO, spans: InMemorySpanExporter) -> None:
    with tracing.span("GetJob"):
        LOG.warning("found")
    (done,) = spans.get_finished_spans()
    (line,) = read(lines)
    assert (line["traceId"], line["spanId"]) == (f"{done.context.trace_id:032x}", f"{done.context.span_id:016x}")


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
def test_secrets_in_text_are_masked(lines: io.StringIO, secret: str) -> None:
    LOG.error("refused: %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        LOG.exception("failed")
    assert "c2VjcmV0" not in lines.getvalue()
    assert "***" in lines.getvalue()
    assert len(read(lines)) == 2


def test_secret_fields_are_masked_at_every_level(lines: io.StringIO) -> None:
    LOG.debug("signed", extra={"authorization": "c2VjcmV0", "functionKey": "c2VjcmV0", "accessToken": "c2VjcmV0"})
    assert "c2VjcmV0" not in lines.getvalue()


def test_label_values_are_for_debugging_only(lines: io.StringIO) -> None:
    extra = {"labels": {"customer": "Ada"}, "jobTags": {"order": "17"}, "requestedWorkerSelectors": ["Ada"]}
    LOG.debug("matching", extra=extra)
    LOG.info("matched", extra=extra)
    debug, info = read(lines)
    assert debug["labels"] == {"customer": "Ada"}
    assert (info["labels"], info["jobTags"], info["requestedWorkerSelectors"]) == ("***", "***", "***")


def test_configuring_again_does_not_double_lines(lines: io.StringIO) -> None:
    again = io.StringIO()
    logs.configure_lines(logging.INFO, again, "router_under_test")
    LOG.info("once")
    assert len(read(again)) == 1
    assert lines.getvalue() == ""
