"""How many bytes of JSON an entity travels as, at most."""

from __future__ import annotations

import pytest

from router.storage.port import Entity
from router.storage.requests import body_of
from router.storage.transactions import wire_bytes


@pytest.mark.parametrize(
    "text", ["", "a" * 1_000, "é" * 1_000, "中文" * 1_000, "😀" * 1_000, "a😀" * 1_000, '"\\' * 1_000]
)
def test_no_more_travels_than_is_counted(text: str) -> None:
    entity = Entity("partition", "row", {"Doc0": text, "Number": 2**40, "Flag": True})
    counted, travels = wire_bytes(entity), len(body_of(entity).encode())
    assert travels <= counted
    assert counted <= 2 * travels + 2_000
