"""The request metric's dimensions, and that nothing a client sends adds a series."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.telemetry import names, requests
from tests.unit.telemetry.telemetry_recorded import Recorded


def counted(operation: str, version: str | None, status: int) -> dict[str, str]:
    """The dimensions under which a request is counted."""
    meter = MagicMock()
    requests.start(meter)
    try:
        requests.count_request(operation, version, status)
    finally:
        requests.stop()
    amount, dimensions = meter.create_counter.return_value.add.call_args.args
    assert amount == 1
    return dict(dimensions)


def test_acs_operations_are_all_known() -> None:
    assert len(names.WIRE_OPERATIONS) == 33
    assert {"DeleteClassificationPolicy", "UnassignJob", "GetInQueuePosition"} <= set(names.WIRE_OPERATIONS)


@pytest.mark.parametrize("operation", [*names.WIRE_OPERATIONS, *names.OWN_OPERATIONS])
def test_every_operation_is_counted_under_its_name(recorded: Recorded, operation: str) -> None:
    requests.count_request(operation, "2023-11-01", 200)
    requests.count_request(operation, "2023-11-01", 200)
    (point,) = recorded.points()[names.API_REQUESTS.lower()].values()
    assert dict(point.attributes) == {
        "Operation": operation,
        "ApiVersion": "2023-11-01",
        "StatusCode": "200",
        "StatusSubClass": "2xx",
    }
    assert point.value == 2


@pytest.mark.parametrize(
    ("asked", "dimension"),
    [
        ("2023-11-01", "2023-11-01"),
        ("2024-01-18-preview", "2024-01-18-preview"),
        (None, "none"),
        ("", "none"),
        ("2022-07-18-preview", "unsupported"),
        ("2023-11-01 ", "unsupported"),
    ],
)
def test_api_version(asked: str | None, dimension: str) -> None:
    assert requests.api_version_dimension(asked) == dimension


@pytest.mark.parametrize(
    ("status", "code", "sub_class"),
    [(200, "200", "2xx"), (204, "204", "2xx"), (304, "304", "3xx"), (404, "404", "4xx"), (499, "499", "4xx"),
     (503, "503", "5xx"), (477, "400", "4xx"), (599, "500", "5xx"), (0, "500", "5xx"), (-1, "500", "5xx")],
)  # fmt: skip
def test_status(status: int, code: str, sub_class: str) -> None:
    dimensions = counted("GetJob", None, status)
    assert (dimensions["StatusCode"], dimensions["StatusSubClass"]) == (code, sub_class)


@given(operation=st.text(), version=st.none() | st.text(), status=st.integers())
def test_any_input_gives_a_known_series(operation: str, version: str | None, status: int) -> None:
    dimensions = counted(operation, version, status)
    assert tuple(dimensions) == names.REQUEST_DIMENSIONS
    known = {*names.WIRE_OPERATIONS, *names.OWN_OPERATIONS, names.UNKNOWN_OPERATION}
    assert dimensions["Operation"] in known
    assert dimensions["ApiVersion"] in {*names.API_VERSIONS, "none", "unsupported"}
    assert len(dimensions["StatusCode"]) == 3
    assert dimensions["StatusSubClass"] == f"{dimensions['StatusCode'][0]}xx"
    assert dimensions["StatusSubClass"] in {"2xx", "3xx", "4xx", "5xx"}


def test_the_time_to_the_answer_is_recorded_by_operation_alone(recorded: Recorded) -> None:
    requests.count_request("GetJob", "2023-11-01", 200, seconds=0.25)
    requests.count_request("GetJob", "nonsense", 400, seconds=0.5)
    requests.count_request("GetJob", "nonsense", 400)
    (point,) = recorded.points()[names.OPERATION_DURATION].values()
    assert (point.count, point.sum) == (2, 0.75)
    assert dict(point.attributes) == {"router.operation": "GetJob"}


def test_off_means_that_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys\n"
        "from router.telemetry import logs, requests, routing, setup, tracing\n"
        "assert setup.configure(None) is False and setup.configure('') is False\n"
        "requests.count_request('GetJob', None, 200, 0.1)\n"
        "routing.record_offer('issued'); routing.record_conflict('job'); routing.set_queue_figures([])\n"
        "with tracing.span('GetJob', {'router.job.id': 'j'}) as span: span.set('a', 1); span.fail('no')\n"
        "assert tracing.current_traceparent() is None\n"
        "setup.flush()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'azure')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
