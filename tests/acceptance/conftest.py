"""The acceptance tests' service and clients. docs/acceptance.md tells how to run them against a real ACS resource."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient

from tests.acceptance.desk import Desk
from tests.acceptance.service import PREVIEW, Service, acs_service, local_service

ACS = os.environ.get("ROUTER_ACCEPTANCE_CONNECTION_STRING")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not ACS:
        return
    for item in items:
        if "ours" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="not in ACS"))


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Service:
    return acs_service(ACS) if ACS else local_service(request.getfixturevalue("local_router"))


@pytest.fixture(scope="session")
def administration(service: Service) -> Iterator[JobRouterAdministrationClient]:
    client = service.administration()
    with client:
        yield client


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[JobRouterClient]:
    client = service.client()
    with client:
        yield client


@pytest.fixture(scope="session")
def preview(service: Service) -> Iterator[JobRouterClient]:
    """A client of the preview version."""
    client = service.client(api_version=PREVIEW)
    with client:
        yield client


@pytest.fixture
def desk(service: Service, administration: JobRouterAdministrationClient, client: JobRouterClient) -> Iterator[Desk]:
    desk = Desk(administration, client)
    yield desk
    if not service.ours:
        desk.clear()
