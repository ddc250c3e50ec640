"""A router's tables, saved and restored through a real table service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import EdmType, EntityProperty, TableServiceClient

from router.storage.azure import TABLES
from router.storage.deadlines import SHARDS
from scripts import backup
from tests.azurite import running_azurite


@pytest.fixture(scope="module")
def connection_string(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as text:
        yield text


def rows(service: TableServiceClient, table: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (entity["PartitionKey"], entity["RowKey"]): dict(entity)
        for entity in service.get_table_client(table).list_entities()
    }


def fill(service: TableServiceClient, prefix: str) -> None:
    for name in TABLES:
        service.create_table_if_not_exists(prefix + name)
    jobs = service.get_table_client(prefix + "jobs")
    for number in range(3):
        id = f"job {number} ü/#"
        columns = {"Kind": "job", "Id": id, "Active": True, "Doc0": '{"id":"\U0001f600"}', "Score": 1.0, "Count": 7}
        jobs.create_entity({"PartitionKey": f"j{number}", "RowKey": f"j{number}", **columns})
    jobs.create_entity({"PartitionKey": "j0", "RowKey": "j0~out~1", "Kind": "outbox", "Out0": "[]"})
    workers = service.get_table_client(prefix + "workers")
    workers.create_entity(
        {
            "PartitionKey": "w1",
            "RowKey": "w1",
            "Kind": "worker",
            "Id": "w1",
            "Large": EntityProperty(2**40, EdmType.INT64),
            "At": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            "Raw": b"\x00\xff",
        }
    )
    backlog = service.get_table_client(prefix + "backlog")
    for start in range(0, 250, 100):
        numbers = range(start, min(start + 100, 250))
        batch = [("create", {"PartitionKey": "q", "RowKey": f"{number:05d}", "JobId": "x"}) for number in numbers]
        backlog.submit_transaction(batch)


def test_what_was_saved_comes_back_row_for_row(connection_string: str, tmp_path: Path) -> None:
    with TableServiceClient.from_connection_string(connection_string) as service:
        fill(service, "one")
        assert backup.main(["save", str(tmp_path), "--connection-string", connection_string, "--prefix", "one"]) == 0
        assert backup.main(["restore", str(tmp_path), "--connection-string", connection_string, "--prefix", "two"]) == 0
        for name in TABLES:
            if name != "deadlines":
                assert rows(service, f"two{name}") == rows(service, f"one{name}"), name
        assert len(rows(service, "twobacklog")) == 250
        # Twice is no harm.
        assert backup.main(["restore", str(tmp_path), "--connection-string", connection_string, "--prefix", "two"]) == 0
        assert rows(service, "twojobs") == rows(service, "onejobs")


def test_every_job_and_worker_is_reconciled_after_a_restore(connection_string: str, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with TableServiceClient.from_connection_string(connection_string) as service:
        fill(service, "three")
        backup.save(service, "three", tmp_path)
        backup.restore(service, "four", tmp_path)
        armed = rows(service, "fourdeadlines").values()
    assert sorted((row["Kind"], row["Target"]) for row in armed) == [
        ("settle-job", "job 0 ü/#"),
        ("settle-job", "job 1 ü/#"),
        ("settle-job", "job 2 ü/#"),
        ("settle-worker", "w1"),
    ]
    assert {row["PartitionKey"] for row in armed} <= {f"{shard:02d}" for shard in range(SHARDS)}
    assert all(before <= datetime.fromisoformat(row["Due"]) <= datetime.now(UTC) for row in armed)


def test_a_file_that_was_cut_off_is_refused(connection_string: str, tmp_path: Path) -> None:
    with TableServiceClient.from_connection_string(connection_string) as service:
        fill(service, "five")
        backup.save(service, "five", tmp_path)
        (tmp_path / "jobs.jsonl.gz").write_bytes((tmp_path / "queues.jsonl.gz").read_bytes())
        with pytest.raises(backup.BackupError, match="jobs: 0 rows in the file, 4 when it was saved"):
            backup.restore(service, "six", tmp_path)
        assert not any(table.name.startswith("six") for table in service.list_tables())
