"""The JavaScript tests (tests/javascript), run by node in each version of Azure's signing package."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from local.options import ROOT
from tests.acceptance.service import Service

#: How many tests each file has: a run that leaves some out would end with 0 as well.
TESTS = {"operations.test.mjs": 10, "models.test.mjs": 18, "wire.test.mjs": 11}
#: The one among operations and models that asks for codes of ours.
CODES_OF_OURS = "every kind of refusal is a RestError with its code"

clients = pytest.mark.parametrize(
    ("package", "by"),
    # Before 2.5.0 a port is sent and signed twice; before 2.3.0 a URL without a query is signed with a "?".
    [
        ("@azure/communication-common", "endpoint and key"),
        ("communication-common-2.4.0", "endpoint and key"),
        ("communication-common-2.2.0", "connection string"),
    ],
)


def run(service: Service, package: str, by: str, *files: str, leave_out: str | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "NODE_"))}
    environment["COMMUNICATION_COMMON"] = package
    if by == "connection string":
        environment["ROUTER_CONNECTION_STRING"] = service.connection_string
        if service.certificate is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(service.certificate)
    else:
        environment |= {"ROUTER_ENDPOINT": service.endpoint, "ROUTER_ACCESS_KEY": service.key}
    command = ["node", "--test", "--test-concurrency=2", "--test-reporter=tap"]
    if leave_out is not None:
        # Without <root>, the parent of all tests, every test would match by its parent.
        command.append(f"--test-name-pattern=^(?!{leave_out}|<root>)")
    command += [str(ROOT / "tests" / "javascript" / file) for file in files]
    # ACS takes seconds for what takes milliseconds here.
    seconds = 100 if service.ours else 500
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    counts = dict(re.findall(r"^# (pass|skipped) (\d+)$", run.stdout, re.MULTILINE))
    left_out = 0 if leave_out is None else 1
    assert int(counts["pass"]) >= sum(TESTS[file] for file in files) - left_out
    assert int(counts["skipped"]) == left_out


@pytest.mark.timeout(520)
@clients
def test_every_operation_and_model_through_the_javascript_client(service: Service, package: str, by: str) -> None:
    leave_out = None if service.ours else CODES_OF_OURS
    run(service, package, by, "operations.test.mjs", "models.test.mjs", leave_out=leave_out)


@clients
@pytest.mark.ours
def test_the_wire_through_the_javascript_client(service: Service, package: str, by: str) -> None:
    run(service, package, by, "wire.test.mjs")
