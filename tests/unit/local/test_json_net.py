"""What the Event Grid extension makes of the texts in an event's data."""

from __future__ import annotations

import pytest

from local.host.json_net import reparsed


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("2026-11-26T05:12:01.0100Z", "2026-11-26T05:12:01.01Z"),
        ("2026-11-26T05:12:01.000Z", "2026-11-26T05:12:01Z"),
        ("2026-11-26T05:12:01Z", "2026-11-26T05:12:01Z"),
        ("2026-11-26T05:12:01+02:00", "2026-11-26T03:12:01+00:00"),
        ("2026-11-26T05:12:01.50-01:00", "2026-11-26T06:12:01.5+00:00"),
        ("2026-11-26T05:12:01", "2026-11-26T05:12:01"),
        ("2026-11-26", "2026-11-26"),
        ("2026-02-30T05:12:01.0100Z", "2026-02-30T05:12:01.0100Z"),
        ("/Date(1)/", "1970-01-01T00:00:00.001Z"),
        ("a 2026-11-26T05:12:01.0100Z", "a 2026-11-26T05:12:01.0100Z"),
        (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ],
)
def test_a_text_that_looks_like_a_time_is_written_anew(sent: str, arrives: str) -> None:
    event = {"id": sent, "subject": sent, "data": {"a": sent, "b": [{"c": sent}], "n": 1, "t": True, "x": None}}
    assert reparsed(event) == {
        "id": sent,
        "subject": sent,
        "data": {"a": arrives, "b": [{"c": arrives}], "n": 1, "t": True, "x": None},
    }
