"""Copy a router's tables to files and back: Table Storage itself has no restore to a point in time.

    python -m scripts.backup save    --endpoint https://....table.core.windows.net/ FOLDER
    python -m scripts.backup restore --endpoint https://....table.core.windows.net/ FOLDER

One gzipped file a table, one row a line. Restoring writes over rows of the same keys, leaves others alone, and asks the
router to reconcile every job and worker, so that whatever the copy has torn between two tables is mended.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import logging
import sys
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.data.tables import EdmType, EntityProperty, TableClient, TableServiceClient, UpdateMode

from router.models.types import format_time
from router.storage.azure import TABLES
from router.storage.deadlines import Deadline

#: Written in this order: what others point at first, what sets the router going last.
_ORDER: Final = ("policies", "queues", "workers", "jobs")
_LAST: Final = "deadlines"
_BATCH: Final = 100
_WRITERS: Final = 16


class BackupError(Exception):
    """The folder does not hold a whole backup, or the storage account cannot be named so."""


def save(service: TableServiceClient, prefix: str, folder: Path) -> dict[str, int]:
    """Write each table to a file; returns the number of rows by table."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for name in TABLES:
        draft = folder / f"{name}.new"
        with gzip.open(draft, "wt", encoding="utf-8") as file:
            counts[name] = 0
            for entity in service.get_table_client(prefix + name).list_entities(results_per_page=1000):
                row = {key: _to_json(value) for key, value in entity.items()}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                counts[name] += 1
        draft.replace(folder / f"{name}.jsonl.gz")
    (folder / "backup.json").write_text(json.dumps({"savedAt": format_time(datetime.now(UTC)), "rows": counts}))
    return counts


def restore(service: TableServiceClient, prefix: str, folder: Path) -> dict[str, int]:
    """Write each file's rows back, then arm a reconciliation of every job and worker."""
    expected = _expected(folder)
    names = [*_ORDER, *(name for name in TABLES if name not in (*_ORDER, _LAST)), _LAST]
    for name in names:  # before anything is written
        found = sum(1 for _ in _read(folder / f"{name}.jsonl.gz"))
        if found != expected.get(name):
            raise BackupError(f"{name}: {found} rows in the file, {expected.get(name)} when it was saved")
    counts: dict[str, int] = {}
    for name in names:
        service.create_table_if_not_exists(prefix + name)
        counts[name] = _write(service.get_table_client(prefix + name), _read(folder / f"{name}.jsonl.gz"))
    _write(service.get_table_client(prefix + _LAST), sorted(_settlements(folder), key=lambda row: row["PartitionKey"]))
    return counts


def _expected(folder: Path) -> dict[str, int]:
    path = folder / "backup.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no backup: there is no backup.json in it.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BackupError(f"{path} cannot be read: {error!r}") from None


def _settlements(folder: Path) -> Iterator[dict[str, Any]]:
    """A due deadline for each job and worker: the router reconciles it as soon as it runs."""
    now = datetime.now(UTC)
    for name, kind in (("jobs", "job"), ("workers", "worker")):
        for row in _read(folder / f"{name}.jsonl.gz"):
            if row.get("Kind") in {kind, "deleted"}:
                deadline = Deadline(f"settle-{kind}", row["Id"], now)
                yield {
                    "PartitionKey": deadline.partition,
                    "RowKey": deadline.row,
                    "Kind": deadline.kind,
                    "Target": deadline.target,
                    "Argument": deadline.argument,
                    "Due": format_time(deadline.due),
                    "Attempt": deadline.attempt,
                }


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for line in file:
                yield {key: _from_json(value) for key, value in json.loads(line).items()}
        except (EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
            raise BackupError(f"{path} is damaged: {error}") from None


def _write(table: TableClient, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows in transactions of one partition each, several at a time. Rows come in key order."""
    written = 0
    with ThreadPoolExecutor(_WRITERS) as pool:
        batches = (list(batch) for _, group in groupby(rows, lambda row: row["PartitionKey"]) for batch in _cut(group))
        while some := list(islice(batches, _WRITERS * 4)):
            written += sum(pool.map(lambda batch: _transact(table, batch), some))
    return written


def _cut(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A few rows at a time: a transaction holds 100 rows and 4 MiB, a row up to 1 MiB."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        length = sum(2 * len(value) for value in row.values() if isinstance(value, str)) + 1000
        if batch and (len(batch) == _BATCH or size + length > 2_000_000):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _transact(table: TableClient, batch: list[dict[str, Any]]) -> int:
    if len(batch) == 1:
        table.upsert_entity(batch[0], mode=UpdateMode.REPLACE)
    else:
        table.submit_transaction([("upsert", row, {"mode": UpdateMode.REPLACE}) for row in batch])
    return len(batch)


def _to_json(value: Any) -> Any:
    """A property as JSON; types that JSON lacks as an object of one key."""
    if isinstance(value, EntityProperty):
        return {"$int64": str(value.value)} if value.edm_type == EdmType.INT64 else _to_json(value.value)
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, UUID):
        return {"$uuid": str(value)}
    return value


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    match kind:
        case "$int64":
            return EntityProperty(int(text), EdmType.INT64)
        case "$time":
            return datetime.fromisoformat(text)
        case "$bytes":
            return base64.b64decode(text)
        case "$uuid":
            return UUID(text)
    raise ValueError(f"unknown type {kind}")


def connect(options: argparse.Namespace) -> TableServiceClient:
    if options.connection_string:
        try:
            return TableServiceClient.from_connection_string(options.connection_string)
        except ValueError as error:
            raise BackupError(f"--connection-string: {error}") from None
    from azure.identity import DefaultAzureCredential

    # It warns of each way to log in that did not work, which the error then says again.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    return TableServiceClient(endpoint=options.endpoint, credential=DefaultAzureCredential())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m scripts.backup", description="Save or restore a router's tables.")
    parser.add_argument("what", choices=("save", "restore"))
    parser.add_argument("folder", type=Path)
    store = parser.add_mutually_exclusive_group(required=True)
    store.add_argument("--endpoint", type=_https, help="table endpoint; you need Storage Table Data Contributor on it")
    store.add_argument("--connection-string", help="instead, for development")
    parser.add_argument("--prefix", default="", help="ROUTER_TABLES_PREFIX of the router")
    options = parser.parse_args(arguments)
    try:
        with connect(options) as service:
            counts = (save if options.what == "save" else restore)(service, options.prefix, options.folder)
    except ClientAuthenticationError as error:
        print(f"error: {_first_line(error)} `az login` logs you in.", file=sys.stderr)
        return 1
    except (BackupError, OSError, AzureError) as error:
        print(f"error: {_first_line(error)}", file=sys.stderr)
        return 1
    for name, count in counts.items():
        print(f"{name}: {count} rows")
    return 0


def _first_line(error: Exception) -> str:
    """What the Azure packages say goes on for many lines; the first one names the matter."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _https(text: str) -> str:
    url = urlsplit(text)
    if url.scheme != "https" or not url.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is no https URL")
    return text


if __name__ == "__main__":
    sys.exit(main())
