"""Some of `make chaos`: parts that stand still or die under a steady load, and a recount from the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.play import play, table

pytestmark = [pytest.mark.ours, pytest.mark.timeout(400)]

SOME = ("topic-silent", "storage-silent", "worker-dies", "timer-hangs")


async def test_nothing_is_lost_or_done_twice_or_stuck_whatever_part_fails(tmp_path: Path) -> None:
    lines = await play(tmp_path, 1, SOME, seconds=4, rate=4, calm=1.5)
    print(table(lines))
    assert [one.fault for one in lines if not one.jobs] == []
    assert not any(line.broke for line in lines), table(lines)
