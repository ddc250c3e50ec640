"""Switching telemetry on: Azure Monitor's OpenTelemetry distribution, bound to the router's instruments.

Nothing of OpenTelemetry is imported before `configure` is called with a connection string.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import threading
from types import FrameType
from typing import Any, Final

from router.telemetry import logs, names, requests, routing, tracing

EXPORT_INTERVAL_SECONDS: Final = 10.0
"""Metrics leave this often unless OTEL_METRIC_EXPORT_INTERVAL (milliseconds) says otherwise; never over 60.
What a process has counted since is lost when it is killed without warning."""

TRACES_PER_SECOND: Final = 5.0
TRACES_AT_ONCE: Final = 10.0
"""How many traces begin in one process, unless OTEL_TRACES_SAMPLER names another sampler."""

_INSTRUMENTATIONS: Final = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)

_LOOPBACK: Final = re.compile(r"IngestionEndpoint=https?://(127\.0\.0\.1|localhost|\[::1\])(?=[:/;]|$)", re.IGNORECASE)

_lock = threading.Lock()
_configured = False


def configure(connection_string: str | None, *, role_name: str | None = None) -> bool:
    """Start exporting to Application Insights; returns whether telemetry is on.

    None or an empty string leaves everything off. A second call changes nothing.
    """
    global _configured
    if not connection_string:
        return _configured
    with _lock:
        if not _configured:
            _start(connection_string, role_name)
            _configured = True
    return True


def flush(timeout_seconds: float = 5.0) -> None:
    """Send everything recorded up to now."""
    if not _configured:
        return
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    millis = int(timeout_seconds * 1000)
    for provider in (metrics.get_meter_provider(), trace.get_tracer_provider(), get_logger_provider()):
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is not None:
            force_flush(millis)


def _start(connection_string: str, role_name: str | None) -> None:
    _set_defaults()
    from azure.core.settings import settings
    from azure.monitor.opentelemetry import configure_azure_monitor
    from azure.monitor.opentelemetry.exporter import RateLimitedSampler
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

    views = make_views()
    resource: dict[str, Any] = {"service.name": role_name} if role_name else {}
    configure_azure_monitor(
        connection_string=connection_string,
        resource=Resource(resource),
        views=views,
        logger_name="router",
        # Ours are the only spans besides the Azure SDK's: the app serves no web framework and calls no database driver.
        instrumentation_options={name: {"enabled": name == "azure_sdk"} for name in _INSTRUMENTATIONS},
        # What could not be sent is kept on disk for later, but not for a collector on this machine, gone with the run.
        disable_offline_storage=_LOOPBACK.search(connection_string) is not None,
        enable_live_metrics=False,
        enable_performance_counters=False,
        enable_trace_based_sampling_for_logs=False,
    )
    logs.guard_exported("router")
    meter = metrics.get_meter(names.METER)
    requests.start(meter)
    routing.start(meter, metrics.Observation)
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        limit = None
        if isinstance(provider.sampler, RateLimitedSampler):
            # It decides anew in each process and for each child, so that traces would have gaps. Ours limits the
            # traces that begin here, and keeps or drops whole those that began elsewhere.
            limit = tracing.RateLimit(TRACES_PER_SECOND, TRACES_AT_ONCE)
            provider.sampler = ParentBased(ALWAYS_ON)
        tracing.start(provider.get_tracer(names.METER), limit)
        if limit is not None:
            # The tracers of others: a call of the Azure SDK outside every span of ours (polling) begins no trace.
            provider.sampler = ParentBased(ALWAYS_OFF)
        sdk_spans: Any = settings.tracing_implementation()
        if sdk_spans is not None:
            from router.telemetry.dependencies import SampledSpans

            sdk_spans = SampledSpans(sdk_spans)
            settings.tracing_implementation = sdk_spans
    atexit.register(flush)
    _flush_when_terminated()


def make_views() -> list[Any]:
    """How the instruments are aggregated (`opentelemetry.sdk.metrics.view.View`)."""
    from opentelemetry.sdk.metrics import Counter
    from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

    # The exporter sends a counter as one point with count 1, however much it counted: the portal's Count would be
    # the number of exports. As a histogram without buckets the same counter is sent with count and sum, both the
    # number of requests, so that Count and Sum are right.
    count_and_sum = ExplicitBucketHistogramAggregation(boundaries=(), record_min_max=True)
    return [
        View(
            # The SDK turns an instrument's name to lower case, and before 1.45 it compares this one as it is.
            instrument_name=names.API_REQUESTS.lower(),
            meter_name=names.METER,
            name=names.API_REQUESTS,  # a view's name is kept as it is written
            attribute_keys=set(names.REQUEST_DIMENSIONS),
            aggregation=count_and_sum,
        ),
        *(
            View(instrument_name=name, instrument_type=Counter, meter_name=names.METER, aggregation=count_and_sum)
            for name in names.COUNTERS
            if name != names.API_REQUESTS
        ),
    ]


def _set_defaults() -> None:
    """Options that the distribution takes from the environment alone; what is set there already wins."""
    defaults = {
        # The portal shows the meter's name as the metric's namespace.
        "APPLICATIONINSIGHTS_METRIC_NAMESPACE_OPT_IN": "true",
        "OTEL_METRIC_EXPORT_INTERVAL": str(int(EXPORT_INTERVAL_SECONDS * 1000)),
        # The virtual machine's detector asks an address that does not answer on Functions.
        # On Functions the name of the app, which the portal shows as cloud role, is told by azure_functions alone.
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_app_service,azure_functions",
        # Microsoft's own usage statistics and remote switches: more threads, more calls at start, nothing for us.
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
        # The exporter drops exemplars, so none are collected.
        "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _flush_when_terminated() -> None:
    """Flush on SIGTERM too, which ends the process past atexit; a handler that is there already is left alone."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def flush_and_end(number: int, _: FrameType | None) -> None:
        flush()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, flush_and_end)
