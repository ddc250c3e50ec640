"""The JavaScript tests (tests/javascript), run by node in each version of Azure's signing package."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from local.options import ROOT
from tests.acceptance.service import Service

NEWEST = "@azure/communication-common"


@pytest.mark.parametrize(
    ("package", "over"),
    # Before 2.5.0 the port is sent and signed twice; before 2.3.0 a URL without a query is signed with a "?".
    [(NEWEST, "http"), ("communication-common-2.4.0", "http"), ("communication-common-2.2.0", "https")],
)
@pytest.mark.ours
def test_every_operation_through_the_javascript_client(service: Service, package: str, over: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "NODE_"))}
    environment["COMMUNICATION_COMMON"] = package
    if over == "https":
        environment["ROUTER_CONNECTION_STRING"] = service.connection_string
        environment["NODE_EXTRA_CA_CERTS"] = str(service.certificate)
    else:
        environment |= {"ROUTER_ENDPOINT": service.endpoint, "ROUTER_ACCESS_KEY": service.key}
    files = sorted(str(path) for path in (ROOT / "tests" / "javascript").glob("*.test.mjs"))
    command = ["node", "--test", "--test-concurrency=2", "--test-reporter=tap", *files]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    # A run without tests, or with tests left out, would end with 0 as well.
    passed = re.search(r"^# pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 39
    assert "\n# skipped 0\n" in run.stdout
