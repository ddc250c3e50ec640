"""Spans of the Azure SDK's own calls (storage, Event Grid), made only within traces that are kept.

The SDK's tracing makes its spans, headers and attributes for every call, also within a trace that sampling has left
out, which costs more than all the rest of telemetry. This stands before it.

Of a call that is kept the SDK would send two records: one of its method, one of the HTTP request that the method makes.
They say the same, so the first is left out, and of the second what the portal does not show.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from azure.core.tracing import SpanKind

from router.telemetry.tracing import left_out

#: Attributes of an HTTP request that nobody reads: the same for each call, or ids that only storage's own log explains.
_NOT_SENT: Final = frozenset(
    {
        "az.namespace",
        "component",
        "http.user_agent",
        "user_agent.original",
        "x-ms-client-request-id",
        "x-ms-request-id",
        "az.client_request_id",
        "az.service_request_id",
    }
)


#: What the SDK calls a span around one of its methods. Requests are of kind CLIENT.
_METHODS: Final = (None, SpanKind.UNSPECIFIED, SpanKind.INTERNAL, SpanKind.PRODUCER)


class _LeftOut:
    """In the place of a span of the SDK: takes everything, keeps nothing."""

    span_instance: Final = None

    def __enter__(self) -> _LeftOut:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __bool__(self) -> bool:
        return False  # the SDK's pipeline then has nothing to end, and computes no attributes

    def add_attribute(self, key: str, value: object) -> None:
        pass

    def set_http_attributes(self, request: object, response: object = None) -> None:
        pass

    def to_header(self) -> dict[str, str]:
        return {}

    def finish(self) -> None:
        pass


_LEFT_OUT: Final = _LeftOut()


_ADDRESSES: Final = frozenset({"http.url", "url.full"})


def _short(address: str) -> str:
    """Without keys and filters: they hold ids, and the exporter writes an address three times."""
    return address.partition("?")[0].partition("(")[0]


def _slim(real: type[Any]) -> type[Any]:
    class Slim(real):  # type: ignore[misc]
        """The SDK's class of spans, without what is not sent."""

        def add_attribute(self, key: str, value: object) -> None:
            if key in _ADDRESSES:
                value = _short(str(value))
            if key not in _NOT_SENT:
                super().add_attribute(key, value)

    return Slim


class SampledSpans:
    """What the SDK takes for a class of spans: gives a real one where the trace is kept."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self._slim = _slim(real) if isinstance(real, type) else real

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if options.get("kind") in _METHODS or left_out():
            return _LEFT_OUT
        return self._slim(*arguments, **options)

    def change_context(self, span: Any) -> AbstractContextManager[Any]:
        if span is None:
            return nullcontext()
        context: AbstractContextManager[Any] = self._real.change_context(span)  # type: ignore[attr-defined]
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
