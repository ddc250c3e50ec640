"""Spans and W3C trace context; while tracing is off a span costs one comparison and nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final, Protocol

from router.telemetry.redaction import mask

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer

Attribute = str | int | float | bool

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class ActiveSpan(Protocol):
    """What a caller may do with the span that it is in."""

    def set(self, attribute: str, value: Attribute | None) -> None:
        """Set an attribute; None sets nothing."""

    def fail(self, description: str) -> None:
        """Mark the span as failed without an exception."""


class RateLimit:
    """A bucket of tokens: so many a second, and that many at once after a pause."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._tokens, self._at = at_once, 0.0

    def allows(self, now: float) -> bool:
        self._tokens = min(self._at_once, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


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


_NO_SPAN: Final = _NoSpan()

# One object for every span while tracing is off: nullcontext keeps no state, so it may be entered any number of times.
_OFF: Final[AbstractContextManager[ActiveSpan]] = nullcontext(_NO_SPAN)

_tracer: Tracer | None = None
_limit: RateLimit | None = None


def span(
    name: str,
    attributes: Mapping[str, Attribute | None] | None = None,
    parent_traceparent: str | None = None,
    *,
    entry: bool = False,
) -> AbstractContextManager[ActiveSpan]:
    """A span around a `with` block, the current one inside it; an exception that leaves the block is recorded.

    `parent_traceparent` continues the trace of a request or of an event, unless the current span is in that
    trace already (the host's own span is nearer). `entry` says that the trace comes from outside the router: it is
    subject to the limit, as everybody may ask for it to be kept. Attributes that are None are not set.
    """
    if _tracer is None:
        return _OFF
    return _SpanBlock(_tracer, name, attributes, parent_traceparent, entry)


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


def start(tracer: Tracer, limit: RateLimit | None = None) -> None:
    """From now on spans are real; `limit` bounds the traces that begin here, None leaves that to the tracer."""
    global _tracer, _limit
    _tracer, _limit = tracer, limit


def stop() -> None:
    global _tracer, _limit
    _tracer = _limit = None


class _SpanBlock:
    """A real span around a block. Written out, as the SDK's own context managers cost more than the span."""

    __slots__ = ("_attributes", "_entry", "_name", "_parent", "_span", "_token", "_tracer")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Mapping[str, Attribute | None] | None,
        parent: str | None,
        entry: bool,
    ) -> None:
        self._tracer, self._name, self._attributes, self._parent = tracer, name, attributes, parent
        self._entry = entry
        self._span: Span | None = None
        self._token: Any = None

    def __enter__(self) -> ActiveSpan:
        from opentelemetry import context, trace

        given, parent = _parent(self._parent)
        if _was_left_out(parent):
            return _NO_SPAN
        if _limit is not None and not self._kept(parent, _limit):
            self._token = context.attach(trace.set_span_in_context(_left_out_span(parent), given))
            return _NO_SPAN
        attributes = {key: value for key, value in (self._attributes or {}).items() if value is not None}
        # Internal, not server: the Functions host sends the request's own span, and a second one would count double.
        span = self._tracer.start_span(self._name, context=given, attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(span, given))
        self._span = span
        return _RealSpan(span)

    def _kept(self, parent: SpanContext, limit: RateLimit) -> bool:
        """Whether a trace that enters or begins here is kept; one that goes on within the process is."""
        if parent.is_valid and not parent.trace_flags.sampled:
            return False
        if parent.is_valid and not (self._entry and parent.is_remote):
            return True
        return limit.allows(monotonic())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._token is None:
            return
        from opentelemetry import context

        context.detach(self._token)
        if self._span is not None:
            if isinstance(error, Exception) and self._span.is_recording():
                _record(self._span, error)
            self._span.end()


def left_out() -> bool:
    """Whether the current trace is left out by sampling in this process, so that nothing more of it is made."""
    from opentelemetry.trace import get_current_span

    return _was_left_out(get_current_span().get_span_context())


def _was_left_out(context: SpanContext) -> bool:
    return context.is_valid and not context.is_remote and not context.trace_flags.sampled


def _left_out_span(parent: SpanContext) -> Span:
    """Ids for logs and for what this trace causes elsewhere, which is left out there too; no span is made."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import NonRecordingSpan, SpanContext

    ids = RandomIdGenerator()
    trace_id = parent.trace_id if parent.is_valid else ids.generate_trace_id()
    return NonRecordingSpan(SpanContext(trace_id, ids.generate_span_id(), is_remote=False))


def _record(span: Span, error: Exception) -> None:
    from opentelemetry.trace import Status, StatusCode

    text = {"exception.message": str(error), "exception.stacktrace": "".join(format_exception(error))}
    span.record_exception(error, {name: mask(value) for name, value in text.items()})
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _parent(traceparent: str | None) -> tuple[Context | None, SpanContext]:
    """The context to start in, None for the current one, and the span that is the parent in it (perhaps none)."""
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        get_current_span,
        set_span_in_context,
    )

    current = get_current_span().get_span_context()
    parsed = _parse(traceparent) if traceparent else None
    if parsed is None:
        return None, current
    trace_id, span_id, flags = parsed
    if current.is_valid and current.trace_id == trace_id:
        return None, current
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(remote)), remote


def _parse(traceparent: str) -> tuple[int, int, int] | None:
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version ff is forbidden; version 00 has exactly four parts; later ones may have more.
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return int(trace_id, 16), int(span_id, 16), int(flags, 16)
