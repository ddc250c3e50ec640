"""Spans: parents across processes, exceptions, and none at all while tracing is off."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from router.telemetry import tracing

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_off_every_span_is_the_same_object() -> None:
    assert tracing.span("GetJob", {"router.job.id": "j"}, REMOTE) is tracing.span("GetWorker")
    with tracing.span("GetJob") as outer, tracing.span("GetJob") as inner:
        outer.set("a", 1)
        inner.fail("nothing happens")
    assert tracing.current_traceparent() is None


def test_a_span_has_its_attributes_and_continues_the_trace(spans: InMemorySpanExporter) -> None:
    with tracing.span("UpsertJob", {"router.job.id": "j1", "router.queue.id": None}, REMOTE) as span:
        span.set("http.response.status_code", 201)
        span.set("router.offer.id", None)
        traceparent = tracing.current_traceparent()
    (done,) = spans.get_finished_spans()
    assert done.name == "UpsertJob"
    assert done.kind is SpanKind.INTERNAL
    assert done.attributes == {"router.job.id": "j1", "http.response.status_code": 201}
    assert f"{done.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert done.parent is not None
    assert f"{done.parent.span_id:016x}" == "b7ad6b7169203331"
    assert traceparent == f"00-{done.context.trace_id:032x}-{done.context.span_id:016x}-01"


def test_one_trace_from_the_request_through_the_event_to_the_offer(spans: InMemorySpanExporter) -> None:
    with tracing.span("UpsertJob"):
        in_the_outbox = tracing.current_traceparent()
    with tracing.span("OnJobEvent", parent_traceparent=in_the_outbox), tracing.span("OfferJob"):
        pass
    request, offer, event = spans.get_finished_spans()
    assert len({span.context.trace_id for span in (request, offer, event)}) == 1
    assert event.parent is not None
    assert event.parent.span_id == request.context.span_id
    assert offer.parent is not None
    assert offer.parent.span_id == event.context.span_id


def test_the_hosts_span_is_nearer_than_the_header(spans: InMemorySpanExporter) -> None:
    with tracing.span("host", parent_traceparent=REMOTE), tracing.span("UpsertJob", parent_traceparent=REMOTE):
        pass
    ours, host = spans.get_finished_spans()
    assert ours.parent is not None
    assert ours.parent.span_id == host.context.span_id


def test_an_exception_is_recorded_and_goes_on(spans: InMemorySpanExporter) -> None:
    with pytest.raises(LookupError), tracing.span("GetJob"):
        raise LookupError("no such job")
    (done,) = spans.get_finished_spans()
    assert done.status.status_code is StatusCode.ERROR
    assert [event.name for event in done.events] == ["exception"]
    assert done.events[0].attributes is not None
    assert done.events[0].attributes["exception.message"] == "no such job"


def test_a_recorded_exception_has_no_secret(spans: InMemorySpanExporter) -> None:
    with pytest.raises(LookupError), tracing.span("GetJob"):
        raise LookupError("refused: https://example.org/?code=c2VjcmV0")
    (done,) = spans.get_finished_spans()
    assert "c2VjcmV0" not in str(done.events[0].attributes)
    assert "c2VjcmV0" not in str(done.status.description)


async def test_tasks_keep_their_own_spans(spans: InMemorySpanExporter) -> None:
    """Spans of concurrent requests do not become each other's children."""
    both = asyncio.Barrier(2)

    async def request(name: str) -> None:
        with tracing.span(name):
            await both.wait()
            with tracing.span(f"{name} inner"):
                await both.wait()

    await asyncio.gather(request("one"), request("two"))
    done = {span.name: span for span in spans.get_finished_spans()}
    for name in ("one", "two"):
        inner = done[f"{name} inner"]
        assert done[name].parent is None
        assert inner.parent is not None
        assert inner.parent.span_id == done[name].context.span_id


def test_a_failure_without_an_exception(spans: InMemorySpanExporter) -> None:
    with tracing.span("GetJob") as span:
        span.fail("500")
    (done,) = spans.get_finished_spans()
    assert (done.status.status_code, done.status.description) == (StatusCode.ERROR, "500")


def test_the_limit_leaves_out_whole_traces(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(tracing, "monotonic", lambda: now)
    assert tracing._tracer is not None
    tracing.start(tracing._tracer, tracing.RateLimit(per_second=1, at_once=2))
    in_the_outbox = []
    for _ in range(5):
        with tracing.span("UpsertJob"), tracing.span("OfferJob"):
            in_the_outbox.append(tracing.current_traceparent())
    assert None not in in_the_outbox
    assert [span.name for span in spans.get_finished_spans()] == ["OfferJob", "UpsertJob"] * 2
    # What a left-out trace causes elsewhere is left out there too, whatever the limit allows by then.
    now += 10
    spans.clear()
    for traceparent in in_the_outbox:
        with tracing.span("OnJobEvent", parent_traceparent=traceparent):
            pass
    assert len(spans.get_finished_spans()) == 2
    assert len(set(in_the_outbox)) == 5
    assert [int(text[-2:], 16) & 1 for text in in_the_outbox if text] == [1, 1, 0, 0, 0]  # the sampled flag
    with tracing.span("UpsertJob"):
        pass
    assert len(spans.get_finished_spans()) == 3


def test_a_trace_that_enters_is_limited_and_one_of_ours_is_not(spans: InMemorySpanExporter) -> None:
    """Everybody may set the sampled flag, and the Functions host sets it on every request."""
    assert tracing._tracer is not None
    tracing.start(tracing._tracer, tracing.RateLimit(per_second=0, at_once=0))
    with tracing.span("UpsertJob", parent_traceparent=REMOTE, entry=True), tracing.span("OfferJob"):
        left_out = tracing.current_traceparent()
    assert spans.get_finished_spans() == ()
    assert left_out is not None
    assert left_out[3:35] == REMOTE[3:35]  # logs are found by the trace all the same
    assert int(left_out[-2:], 16) & 1 == 0
    with tracing.span("OnJobEvent", parent_traceparent=REMOTE), tracing.span("OfferJob"):
        pass
    assert [span.name for span in spans.get_finished_spans()] == ["OfferJob", "OnJobEvent"]


def test_the_limit_fills_up_again() -> None:
    limit = tracing.RateLimit(per_second=2, at_once=3)
    assert [limit.allows(50.0) for _ in range(4)] == [True, True, True, False]
    assert not limit.allows(50.4)
    assert limit.allows(50.5)
    assert not limit.allows(50.6)
    assert [limit.allows(90.0) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    "value",
    [
        None, "", "nonsense", REMOTE + "-extra", REMOTE.replace("00-0", "ff-0"), REMOTE.upper().replace("-", "_"),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    ],
)  # fmt: skip
def test_a_broken_traceparent_begins_a_new_trace(spans: InMemorySpanExporter, value: str | None) -> None:
    with tracing.span("GetJob", parent_traceparent=value):
        pass
    (done,) = spans.get_finished_spans()
    assert done.parent is None


@pytest.mark.parametrize("value", [REMOTE, "01" + REMOTE[2:] + "-what-is-to-come", "00" + REMOTE[2:-1] + "0"])
def test_what_may_be_continued(spans: InMemorySpanExporter, value: str) -> None:
    with tracing.span("GetJob", parent_traceparent=value):
        traceparent = tracing.current_traceparent()
    assert traceparent is not None
    assert traceparent.split("-")[1] == REMOTE.split("-")[1]
