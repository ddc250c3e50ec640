"""Instruments that end in memory, bound for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.telemetry import names, requests, routing, tracing
from tests.unit.telemetry.telemetry_recorded import Recorded


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter(names.METER)
    requests.start(meter)
    routing.start(meter, Observation)
    yield Recorded(reader)
    requests.stop()
    routing.stop()
    provider.shutdown()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.start(provider.get_tracer(names.METER))
    yield exporter
    tracing.stop()
    provider.shutdown()
