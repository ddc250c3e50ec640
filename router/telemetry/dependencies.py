"""Spans of the Azure SDK's own calls (storage, Event Grid), made only within traces that are kept.

The SDK's tracing makes its spans, headers and attributes for every call, also within a trace that sampling has left
out, which costs more than all the rest of telemetry. This stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from router.telemetry.tracing import left_out


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


class SampledSpans:
    """What the SDK takes for a class of spans: gives a real one where the trace is kept."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _LEFT_OUT if left_out() else self._real(*arguments, **options)

    def change_context(self, span: Any) -> AbstractContextManager[Any]:
        if span is None:
            return nullcontext()
        context: AbstractContextManager[Any] = self._real.change_context(span)  # type: ignore[attr-defined]
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
