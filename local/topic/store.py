"""Undelivered events on disk: one row for each event and subscription, gone when it is delivered.

Statements run on the event loop: a commit in WAL mode without fsync takes some 40 microseconds, less than handing
it to a thread would. Everything that arrives in one turn of the loop shares a commit; only checkpoints, which fsync,
have a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_log = logging.getLogger("local.topic")

_CHECKPOINT_BYTES = 16 * 1024 * 1024
_COMMIT_BYTES = 16 * 1024  # about what a small commit adds to the log: a few pages
_REMOVE_AFTER_SECONDS = 0.05  # deliveries wait this long for others, or for a publish, to be removed with
_AFTER_FAILURE_SECONDS = 1.0
_ROWS_PER_COMMIT = 500  # bounds how long one commit of removals may hold up the loop

_TABLES = """
CREATE TABLE IF NOT EXISTS pending (
    id INTEGER PRIMARY KEY,
    subscription TEXT NOT NULL,
    published REAL NOT NULL,
    attempts INTEGER NOT NULL,
    lane TEXT NOT NULL,
    data_version TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS pending_by_subscription ON pending (subscription, id);
CREATE TABLE IF NOT EXISTS validated (name TEXT PRIMARY KEY, endpoint TEXT NOT NULL, schema TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(slots=True)
class Row:
    """One event on its way to one subscription."""

    id: int
    subscription: str
    published: float  # seconds since the epoch
    attempts: int
    lane: str
    data_version: str
    body: str


class Store:
    """Must be used from one thread, the event loop's."""

    def __init__(self, path: Path, committed: Callable[[Sequence[Row]], None]) -> None:
        """`committed` is called with the rows of each commit, in their order, before their publishers are answered."""
        self._path = path
        self._committed = committed
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # The system keeps what a killed process has written: only a crash of the machine needs fsync at each commit.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._db.executescript(_TABLES)
        self._next_id: int = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM pending").fetchone()[0]
        self._incoming: list[tuple[list[Row], asyncio.Future[None]]] = []
        self._removed: list[int] = []
        self._attempts: dict[int, int] = {}
        self._flush_planned = False
        self._removal_timer: asyncio.TimerHandle | None = None
        self._log_bytes = 0
        self._paused = False
        self._checkpoint_task: asyncio.Task[None] | None = None

    def add(self, rows: list[Row]) -> asyncio.Future[None]:
        """Give the rows their ids and write them; the future is done when a kill can no longer lose them."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._incoming.append((rows, done))
        if not self._flush_planned:
            self._flush_planned = True
            loop.call_soon(self._flush)
        return done

    def remove(self, row_id: int) -> None:
        """Forget a row soon. A kill before that delivers its event once more."""
        self._removed.append(row_id)
        self._attempts.pop(row_id, None)
        self._plan_removal()

    def attempted(self, row_id: int, attempts: int) -> None:
        """Note soon how often a row's delivery has been tried."""
        self._attempts[row_id] = attempts
        self._plan_removal()

    def load(self, subscription: str, after: int, limit: int) -> list[Row]:
        """Rows in order. `after` must not lie before a row that was removed since the last `counts`."""
        rows = self._db.execute(
            "SELECT id, subscription, published, attempts, lane, data_version, body FROM pending"
            " WHERE subscription = ? AND id > ? ORDER BY id LIMIT ?",
            (subscription, after, limit),
        ).fetchall()
        return [Row(*row) for row in rows]

    def body(self, row_id: int) -> str:
        text: str = self._db.execute("SELECT body FROM pending WHERE id = ?", (row_id,)).fetchone()[0]
        return text

    def counts(self) -> dict[str, int]:
        """Rows for each subscription. Removals and attempts that still waited are written first."""
        self._write([], self._removed, self._attempts)
        self._removed, self._attempts = [], {}
        return dict(self._db.execute("SELECT subscription, count(*) FROM pending GROUP BY subscription").fetchall())

    def keep_only(self, subscriptions: Collection[str]) -> None:
        """Forget everything about subscriptions that are no more."""
        names = json.dumps(list(subscriptions))
        self._db.execute("DELETE FROM pending WHERE subscription NOT IN (SELECT value FROM json_each(?))", (names,))
        self._db.execute("DELETE FROM validated WHERE name NOT IN (SELECT value FROM json_each(?))", (names,))

    def is_validated(self, name: str, endpoint: str, schema: str) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM validated WHERE name = ? AND endpoint = ? AND schema = ?", (name, endpoint, schema)
        ).fetchone()
        return found is not None

    def set_validated(self, name: str, endpoint: str, schema: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO validated VALUES (?, ?, ?)", (name, endpoint, schema))

    def input_schema(self) -> str | None:
        """The schema of the events in the table, if there are any."""
        row = self._db.execute(
            "SELECT value FROM meta WHERE name = 'schema' AND EXISTS (SELECT 1 FROM pending)"
        ).fetchone()
        return None if row is None else str(row[0])

    def set_input_schema(self, schema: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (schema,))

    async def close(self) -> None:
        await self._end_checkpoint()
        for _ in range(2 + max(len(self._removed), len(self._attempts)) // _ROWS_PER_COMMIT):
            self._flush()
        await self._end_checkpoint()
        self._cancel_timer()
        self._db.close()

    async def _end_checkpoint(self) -> None:
        if self._checkpoint_task is not None:
            await asyncio.gather(self._checkpoint_task, return_exceptions=True)

    def _plan_removal(self, seconds: float = _REMOVE_AFTER_SECONDS) -> None:
        if self._removal_timer is None:
            self._removal_timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def _flush(self) -> None:
        """Write all that waits, in one transaction, and tell those who wait for it."""
        self._flush_planned = False
        self._cancel_timer()
        if self._paused:
            return  # the checkpoint flushes when it is done
        incoming, self._incoming = self._incoming, []
        removed, self._removed = self._removed[:_ROWS_PER_COMMIT], self._removed[_ROWS_PER_COMMIT:]
        attempts = dict(islice(self._attempts.items(), _ROWS_PER_COMMIT))
        rows = self._with_ids(row for added, _ in incoming for row in added)
        try:
            self._write(rows, removed, attempts)
        except Exception as error:
            _log.error("the store could not be written: %s", error)
            self._removed = removed + self._removed
            self._plan_removal(_AFTER_FAILURE_SECONDS)
            for _, done in incoming:
                if not done.done():
                    done.set_exception(error)
        else:
            for row_id in attempts:
                del self._attempts[row_id]
            try:
                self._committed(rows)
            finally:
                for _, done in incoming:
                    if not done.done():  # its publisher may have hung up
                        done.set_result(None)
        if self._removed or self._attempts:
            self._plan_removal()
        if self._log_bytes > _CHECKPOINT_BYTES and (self._checkpoint_task is None or self._checkpoint_task.done()):
            self._log_bytes = 0
            self._checkpoint_task = asyncio.get_running_loop().create_task(self._checkpoint())

    def _cancel_timer(self) -> None:
        if self._removal_timer is not None:
            self._removal_timer.cancel()
            self._removal_timer = None

    def _with_ids(self, rows: Iterable[Row]) -> list[Row]:
        numbered = list(rows)
        for row in numbered:
            row.id = self._next_id
            self._next_id += 1
        return numbered

    def _write(self, rows: list[Row], removed: list[int], attempts: dict[int, int]) -> None:
        if not rows and not removed and not attempts:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(r.id, r.subscription, r.published, r.attempts, r.lane, r.data_version, r.body) for r in rows],
            )
            self._db.executemany("UPDATE pending SET attempts = ? WHERE id = ?", [(n, i) for i, n in attempts.items()])
            self._db.executemany("DELETE FROM pending WHERE id = ?", [(row_id,) for row_id in removed])
            self._db.execute("COMMIT")
            self._log_bytes += _COMMIT_BYTES + sum(len(row.body) for row in rows)
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    async def _checkpoint(self) -> None:
        """Move the log into the table file. Writes wait only for its short second half, without which the log, under
        constant load, would never be empty and so grow for ever."""
        await asyncio.to_thread(self._run_checkpoint, "PASSIVE")
        self._paused = True
        try:
            await asyncio.to_thread(self._run_checkpoint, "TRUNCATE")
        finally:
            self._paused = False
            self._flush()

    def _run_checkpoint(self, mode: str) -> None:
        with closing(sqlite3.connect(self._path)) as db:
            db.execute(f"PRAGMA wal_checkpoint({mode})")
