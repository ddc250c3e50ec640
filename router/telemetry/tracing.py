"""Spans and W3C trace context; while tracing is off a span costs one comparison and nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Attribute = str | int | float | bool

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class ActiveSpan(Protocol):
    """What a caller may do with the span that it is in."""

    def set(self, attribute: str, value: Attribute | None) -> None:
        """Set an attribute; None sets nothing."""

    def fail(self, description: str) -> None:
        """Mark the span as failed without an exception."""


class _NoSpan:
    def set(self, attribute: str, value: Attribute | None) -> None:
        pass

    def fail(self, description: str) -> None:
        pass


class _RealSpan:
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def set(self, attribute: str, value: Attribute | None) -> None:
        if value is not None:
            self._span.set_attribute(attribute, value)

    def fail(self, description: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, description))


# One object for every span while tracing is off: nullcontext keeps no state, so it may be entered any number of times.
_OFF: Final[AbstractContextManager[ActiveSpan]] = nullcontext(_NoSpan())

_tracer: Tracer | None = None


def span(
    name: str,
    attributes: Mapping[str, Attribute | None] | None = None,
    parent_traceparent: str | None = None,
) -> AbstractContextManager[ActiveSpan]:
    """A span around a `with` block, the current one inside it; an exception that leaves the block is recorded.

    `parent_traceparent` continues the trace of a request or of an event, unless the current span is in that
    trace already (the host's own span is nearer). Attributes that are None are left out.
    """
    if _tracer is None:
        return _OFF
    return _real_span(_tracer, name, attributes, parent_traceparent)


def active() -> bool:
    """Whether spans are recorded."""
    return _tracer is not None


def current_traceparent() -> str | None:
    """The W3C traceparent of the current span, for an outbox row; None while tracing is off or outside a span."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def valid_traceparent(value: str | None) -> str | None:
    """The value when it is a W3C traceparent that may be continued, else None."""
    return value if value is not None and _parse(value) is not None else None


def current_ids() -> tuple[str, str] | None:
    """Trace and span id of the current span in hexadecimal, for log lines."""
    traceparent = current_traceparent()
    return None if traceparent is None else (traceparent[3:35], traceparent[36:52])


def start(tracer: Tracer) -> None:
    global _tracer
    _tracer = tracer


def stop() -> None:
    global _tracer
    _tracer = None


@contextmanager
def _real_span(
    tracer: Tracer, name: str, attributes: Mapping[str, Attribute | None] | None, parent: str | None
) -> Iterator[ActiveSpan]:
    # Internal, not server: the Functions host sends the request's own span, and a second one would count double.
    set_ones: dict[str, Any] = {key: value for key, value in (attributes or {}).items() if value is not None}
    with tracer.start_as_current_span(name, context=_parent_context(parent), attributes=set_ones) as real:
        yield _RealSpan(real)


def _parent_context(traceparent: str | None) -> Context | None:
    """The context to start in; None means the current one."""
    parsed = _parse(traceparent) if traceparent else None
    if parsed is None:
        return None
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        get_current_span,
        set_span_in_context,
    )

    trace_id, span_id, flags = parsed
    current = get_current_span().get_span_context()
    if current.is_valid and current.trace_id == trace_id:
        return None
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(remote))


def _parse(traceparent: str) -> tuple[int, int, int] | None:
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version ff is forbidden; version 00 has exactly four parts; later ones may have more.
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return int(trace_id, 16), int(span_id, 16), int(flags, 16)
