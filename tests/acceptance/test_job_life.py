"""The life of a job, from created to closed and deleted (contract section 5, "Job life")."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.options import ROOT
from tests.acceptance.desk import Desk
from tests.acceptance.service import Service


@pytest.mark.ours
@pytest.mark.parametrize("over", ["http", "https"])
def test_the_quick_start(service: Service, over: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    if over == "https":
        environment["ROUTER_CONNECTION_STRING"] = service.connection_string
        environment["REQUESTS_CA_BUNDLE"] = str(service.certificate)
    else:
        environment |= {"ROUTER_ENDPOINT": service.endpoint, "ROUTER_ACCESS_KEY": service.key}
    command = [sys.executable, "examples/quickstart.py"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "is closed, disposition Resolved" in run.stdout


def test_from_created_to_closed_and_deleted(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue, capacity=2, cost=2)
    job = desk.job(queue)
    accepted = desk.accept(worker, job)
    assert (accepted.job_id, accepted.worker_id) == (job, worker)
    assigned = desk.client.get_job(job)
    assert assigned.status == "assigned"
    [assignment] = assigned.assignments.values()
    assert assignment.assignment_id == accepted.assignment_id
