"""The Java tests (tests/java), run by Maven. They use what the Java client is made of: azure-core's pipeline and the
signatures of `azure-communication-common` (docs/sdks.md says why not the client itself). Where there is no JDK or no
Maven they are not run, and the run says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.options import ROOT
from tests.acceptance.service import Service

#: How many tests there are: a run that leaves some out would end with 0 as well.
TESTS = 5
PASSWORD = "changeit"

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        not (shutil.which("mvn") and shutil.which("javac")),
        reason="THE JAVA TESTS WERE NOT RUN: there is no JDK or no Maven here",
    ),
]


def run(environment: dict[str, str], *options: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    command = ["mvn", "-B", "-f", str(ROOT / "tests" / "java" / "pom.xml"), "test", *options]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    counts = re.findall(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0", done.stdout)
    assert counts, done.stdout[-2000:]
    assert int(counts[-1]) == TESTS


def trusting(certificate: Path, folder: Path) -> str:
    """What makes a Java process trust this certificate."""
    store = folder / "trusted.p12"
    command = ["keytool", "-importcert", "-noprompt", "-alias", "router", "-file", str(certificate)]
    command += ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", PASSWORD]
    subprocess.run(command, check=True, capture_output=True)
    return f"-DargLine=-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword={PASSWORD}"


def test_from_a_connection_string_over_https(service: Service, tmp_path: Path) -> None:
    assert service.certificate is not None
    run({"ROUTER_CONNECTION_STRING": service.connection_string}, trusting(service.certificate, tmp_path))


def test_with_endpoint_and_key(service: Service, tmp_path: Path) -> None:
    """Over https too: the signing policy refuses plain http before anything is sent."""
    assert service.certificate is not None
    found = re.search(r"endpoint=(https://[^;]+)", service.connection_string)
    assert found
    run({"ROUTER_ENDPOINT": found[1], "ROUTER_ACCESS_KEY": service.key}, trusting(service.certificate, tmp_path))
