"""One router and one browser for all tests of the console, a tab for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from local.certificate import ensure_certificate
from tests.acceptance.chromium import browser
from tests.acceptance.console.floor import COUNTED_SECONDS, READ_KEY, Floor, furnish
from tests.acceptance.console.tab import Console, console
from tests.acceptance.console.tenant import AUDIENCE, CLIENT, TENANT, Tenant
from tests.acceptance.desk import Desk
from tests.acceptance.service import local_service
from tests.local_router import LocalRouter


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def floor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    certificate = ensure_certificate(tmp_path_factory.mktemp("tenant"))
    tenant = Tenant()
    async with tenant.serve(certificate):
        environment = {
            "CLOCK": "movable",
            "ROUTER_READ_KEYS": READ_KEY,
            "ROUTER_ENTRA_TENANT_ID": TENANT,
            "ROUTER_ENTRA_AUDIENCE": AUDIENCE,
            "ROUTER_ENTRA_AUTHORITY": tenant.authority,
            "ROUTER_ENTRA_CLIENT_ID": CLIENT,
            "SSL_CERT_FILE": str(certificate.bundle),
        }
        folder = tmp_path_factory.mktemp("console")
        starting = asyncio.create_task(asyncio.to_thread(LocalRouter, folder, environment=environment))
        try:
            # One takes the processor while the other waits.
            async with browser(1280, 900, "--ignore-certificate-errors") as running:
                router = await starting
                tenant.redirect_uri = f"{router.endpoint}/console/signed-in.html"
                service = local_service(router)
                with service.administration() as administration, service.client() as client:
                    desk = Desk(administration, client)
                    past = await asyncio.to_thread(furnish, desk)
                    floor = Floor(router, running, desk, tenant, past)
                    # It is counted, and read every quarter of a minute, while others run.
                    await asyncio.to_thread(floor.later, COUNTED_SECONDS)
                    yield floor
        finally:
            await asyncio.to_thread((await starting).end)


@pytest_asyncio.fixture(loop_scope="session")
async def tab(floor: Floor) -> AsyncIterator[Console]:
    async with console(floor.browser, floor.router, quick=True) as opened:
        yield opened


@pytest.fixture
def tenant(floor: Floor) -> Iterator[Tenant]:
    """As it is for everybody; what a test changes of it is put back."""
    before = dict(vars(floor.tenant))
    floor.tenant.refused, floor.tenant.proofs, floor.tenant.renewed = [], [], 0
    yield floor.tenant
    vars(floor.tenant).update(before)


@pytest.fixture
def desk(floor: Floor) -> Desk:
    return floor.desk
