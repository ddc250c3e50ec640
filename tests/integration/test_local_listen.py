"""Who can reach a local run: this machine alone, unless it is told otherwise."""

from __future__ import annotations

import psutil
import pytest

from tests.acceptance.service import local_service
from tests.conftest import SECONDARY_KEY, StartRouter


@pytest.mark.parametrize(
    ("environment", "addresses"),
    [
        ({}, {"127.0.0.1", "::1"}),
        ({"LISTEN": "0.0.0.0", "ROUTER_ACCESS_KEYS": SECONDARY_KEY}, {"0.0.0.0"}),
    ],
)
def test_the_addresses_of_its_ports(
    start_router: StartRouter, environment: dict[str, str], addresses: set[str]
) -> None:
    router = start_router(environment=environment)
    found = {
        one.laddr.ip
        for one in psutil.Process(router.pid("app")).net_connections()
        if one.status == psutil.CONN_LISTEN and one.laddr.port in (router.port, router.https_port)
    }
    assert "127.0.0.1" in found or "0.0.0.0" in found
    assert found <= addresses
    assert list(local_service(router).client().list_jobs()) == []
