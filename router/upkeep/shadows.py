"""Each morning: what candidates for distribution policies would have done to the day before (docs/whatif.md, "Shadow
policies"). Nothing of routing is read for it that a client could not read, and nothing is written but the report."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic_core import from_json

from router.commit.parts import Parts
from router.models.history import entry_key
from router.models.types import format_time
from router.replay.shadows import named
from router.settings import of_a_child
from router.storage.deadlines import SHARDS
from router.storage.history import CHANGES
from router.storage.shadows import LARGEST
from router.upkeep.days import midnight
from router.upkeep.facts import thresholds_of
from router.upkeep.looks import Looks

_log = logging.getLogger(__name__)

_EVERY: Final = timedelta(minutes=1)
_ONE: Final = timedelta(days=1)
#: Who has begun a day has so long, until another may.
_CLAIMED: Final = timedelta(minutes=20)
_ENDS_SECONDS: Final = 600.0
#: So many rows are read at once, and then others have the turn.
_AT_ONCE: Final = 500
#: Of the log: what more a day has is not read.
MOST_ENTRIES: Final = 100_000
_SETTINGS: Final = ("Queue", "DistributionPolicy", "ClassificationPolicy", "ExceptionPolicy")
_ROOT: Final = Path(__file__).resolve().parents[2]


class TooMuch(Exception):
    """The day is too large, or takes too long."""


class TookTooLong(TooMuch):
    """The machine had other things to do, perhaps: it is tried again."""


class Process(Protocol):
    """Plays a day of which it is told line by line, and tells what comes out."""

    async def __call__(self, told: AsyncIterator[str]) -> list[dict[str, Any]]: ...


async def in_a_process(told: AsyncIterator[str]) -> list[dict[str, Any]]:
    """By another Python, which knows none of this one's settings (shadow_process.py). Raises OSError, TooMuch and
    StorageUnavailable."""
    command = (sys.executable, "-m", "router.upkeep.shadow_process")
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=of_a_child([str(_ROOT), *filter(None, sys.path)])
    )
    assert child.stdin is not None
    try:
        async with asyncio.timeout(_ENDS_SECONDS):
            async for line in told:
                child.stdin.write(f"{line}\n".encode())
                await child.stdin.drain()
            child.stdin.close()
            output, failed = await child.communicate()
    except TimeoutError:
        raise TookTooLong(f"It was not played within {_ENDS_SECONDS / 60:.0f} minutes.") from None
    except ConnectionError as error:
        raise OSError(f"the process that plays the day has ended: {error}") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise OSError(f"the process that plays the day has failed: {failed.decode(errors='replace')[-500:]}")
    found: list[dict[str, Any]] = from_json(output)
    return found


@dataclass(frozen=True)
class _Candidate:
    queue_id: str
    policy_id: str
    candidate_id: str


class ShadowReplayer:
    """As one process does it."""

    def __init__(self, parts: Parts, process: Process = in_a_process) -> None:
        self._parts, self._process = parts, process
        self._looks = Looks(parts, _EVERY, "play yesterday for reports", "Yesterday is played")
        #: The last day that nobody need look at any more.
        self._done: date | None = None

    def refresh(self) -> None:
        """Begins to look if it is time; nobody waits for that."""
        self._looks.begin(self.look, lambda now: self._done is None or self._done < self._yesterday(now))

    def _yesterday(self, now: datetime) -> date:
        return now.astimezone(self._parts.report_zone).date() - _ONE

    async def look(self, now: datetime) -> None:
        """Plays the day before, once it is counted and if nobody else has. Raises StorageUnavailable."""
        day = self._yesterday(now)
        counted = await self._parts.days.done()
        if counted is None or counted < day:
            return  # something of it may still come
        candidates = [one async for one in self._candidates()]
        mine = await self._parts.shadows.claim(day, now, now + _CLAIMED)
        if mine:
            if candidates and not await self._report(day, candidates):
                return  # until somebody may claim it again
            await self._parts.shadows.finish(day)
        if mine is not False:
            self._done = day

    async def _candidates(self) -> AsyncIterator[_Candidate]:
        """What queues name now: so nothing more is read where none does."""
        async for id, text in self._everyone("Queue"):
            queue = from_json(text)
            candidate = named(queue.get("labels"))
            if candidate is not None:
                yield _Candidate(id, str(queue.get("distributionPolicyId")), candidate)

    async def _everyone(self, kind: str) -> AsyncIterator[tuple[str, str]]:
        after: tuple[str, str] | None = None
        while True:
            found, after = await self._parts.resources.everyone(kind, after)
            for one in found:
                yield one
            if after is None:
                return

    async def _report(self, day: date, candidates: list[_Candidate]) -> bool:
        """Whether there is nothing more to say of the day."""
        zone = self._parts.report_zone
        begins, ends = midnight(day, zone), midnight(day + _ONE, zone)
        try:
            found = await self._process(self._told(begins, ends, [one.queue_id for one in candidates]))
            reason, is_done = next((str(one["notPredicted"]) for one in found if "queueId" not in one), None), True
        except (TooMuch, OSError) as error:
            found, reason, is_done = [], str(error), not isinstance(error, TookTooLong)
            _log.warning("Yesterday could not be played: %s", error)
        if reason is not None:
            found = [
                {
                    "queueId": one.queue_id,
                    "distributionPolicyId": one.policy_id,
                    "candidatePolicyId": one.candidate_id,
                    "notPredicted": reason,
                }
                for one in candidates
            ]
        span = {"from": format_time(begins), "to": format_time(ends)}
        for one in found:
            text = json.dumps(span | one)
            if len(text) <= LARGEST:
                await self._parts.shadows.write(str(one["queueId"]), begins, text)
        return is_done

    async def _told(self, begins: datetime, ends: datetime, queue_ids: list[str]) -> AsyncIterator[str]:
        """What shadow_process.py reads. What came after the day is told too: without it nobody knows how workers were
        before."""
        asked: Mapping[str, Any] = {
            "from": format_time(begins),
            "to": format_time(ends),
            "thresholds": {one: (await thresholds_of(self._parts, one)).service for one in queue_ids},
            "otherwise": self._parts.thresholds.service,
        }
        yield json.dumps(["asked", asked])
        since, until = entry_key(begins, ""), entry_key(self._parts.clock.now(), "~")
        left = MOST_ENTRIES
        for shard in range(SHARDS):
            behind, more = since, True
            while more:
                rows = await self._parts.deadlines.log_rows(shard, behind, until, most=_AT_ONCE)
                for owner, entry in rows:
                    yield json.dumps(["entry", owner, entry.key, entry.text])
                more = len(rows) == _AT_ONCE
                behind = rows[-1][1].key if rows else behind
                left -= len(rows)
                if left < 0:
                    raise TooMuch(
                        f"The history has more than {MOST_ENTRIES} entries since the day began:"
                        " `jobrouter whatif --shadow` plays it."
                    )
        async for line in self._told_of_settings(since, until):
            yield line

    async def _told_of_settings(self, since: str, until: str) -> AsyncIterator[str]:
        behind, more = since, True
        while more:
            entries, more = await self._parts.history.page(CHANGES, behind, until, _AT_ONCE)
            for entry in entries:
                yield json.dumps(["change", entry.key, entry.text])
            behind = entries[-1].key if entries else behind
            more = more and bool(entries)
        for kind in _SETTINGS:
            async for id, text in self._everyone(kind):
                yield json.dumps(["setting", kind, id, text])
        place: tuple[str, str] | None = None
        while True:
            page = await self._parts.workers.store.pages.page([], _AT_ONCE, place)
            for record in page.records:
                yield json.dumps(["worker", record.worker.model_dump_json(by_alias=True, exclude_none=True)])
            place = page.next
            if place is None:
                return
