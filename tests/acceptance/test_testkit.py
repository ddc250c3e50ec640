"""The test kit as its users have it: the page's test in a pytest of its own, and the clock's routes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from azure.communication.jobrouter import JobRouterClient
from azure.communication.jobrouter.models import RouterChannel
from azure.core.credentials import AzureKeyCredential
from job_router_testkit import JobRouter, JobRouterError

from jobrouter import launcher
from local.options import ROOT
from tests.acceptance.rule_endpoint import rule_endpoint
from tests.acceptance.service import Service, send
from tests.eventually import eventually

pytestmark = pytest.mark.ours

PAGE = ROOT / "docs" / "testing-your-app.md"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(launcher.write(tmp_path_factory.mktemp("bin"), Path(sys.executable)))


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, command: str) -> Iterator[JobRouter]:
    with JobRouter(tmp_path_factory.mktemp("kit"), command) as router:
        yield router


def test_the_pages_test_passes(tmp_path: Path, command: str) -> None:
    (test,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "test_desk.py").write_text(test)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "testkit"), "JOB_ROUTER_COMMAND": command}
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "job_router_testkit.plugin", "test_desk.py"]
    done = subprocess.run(pytest_command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_clock_goes_forward_and_signatures_hold(router: JobRouter) -> None:
    before = router.now()
    assert router.advance(86400.5) >= before + timedelta(seconds=86400.5)
    client = JobRouterClient(router.endpoint, AzureKeyCredential(router.access_key))
    assert list(client.list_jobs()) == []
    for seconds in (-1, float("1e12"), True, "60"):
        with pytest.raises(JobRouterError, match="400 advanceSeconds"):
            router.advance(seconds)


def test_events_come_to_a_webhook_until_the_test_ends(router: JobRouter) -> None:
    client = JobRouterClient(router.endpoint, AzureKeyCredential(router.access_key))
    channel = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
    with rule_endpoint() as webhook:
        router.subscribe(webhook.url(), ["Microsoft.Communication.RouterWorkerRegistered"])
        client.upsert_worker("ada", capacity=1, channels=[channel], available_for_offers=True)
        eventually(lambda: [body[0]["data"]["workerId"] for body in webhook.bodies] == ["ada"])
        router.unsubscribe_all()


def test_a_router_without_the_setting_has_no_such_clock(service: Service) -> None:
    with service.client() as client:
        for method in ("GET", "POST"):
            assert send(client, method, "admin/clock").status_code == 404


def test_the_clock_wants_the_key(router: JobRouter) -> None:
    for headers in ({}, {"x-functions-key": "wrong"}):
        request = urllib.request.Request(f"{router.endpoint}/admin/clock", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 401


def test_a_router_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(JobRouterError, match="JOB_ROUTER_COMMAND"), JobRouter(tmp_path, "no-such-command"):
        pass
    (tmp_path / "data").write_text("no folder")
    broken = JobRouter(tmp_path, str(launcher.write(tmp_path, Path(sys.executable))))
    with pytest.raises(JobRouterError, match="is a file, not a folder"), broken:
        pass
