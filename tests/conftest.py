"""Routers for tests: one for the whole session, and more where a test wants one of its own."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Final

import hypothesis
import pytest

from local.options import DEVELOPMENT_KEY
from tests.local_router import LocalRouter

#: Beside the development key, so that both of two keys can be tried.
SECONDARY_KEY = base64.b64encode(b"the secondary key of the tests' router").decode()

# The same examples in every run; `--hypothesis-profile=default` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

StartRouter = Callable[..., LocalRouter]

#: Tests that need only a processor. They run beside all others, which wait for processes most of their time.
_ALONE: Final = ("tests/unit/", "tests/sim/")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two lanes for `-n 2 --dist loadgroup`: in each, tests come one after the other in their usual order."""
    for item in items:
        lane = "computing" if item.nodeid.startswith(_ALONE) else "processes"
        item.add_marker(pytest.mark.xdist_group(lane))


@pytest.fixture(scope="session")
def local_router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    """One router for all tests: take ids of your own, and expect others' resources in lists."""
    keys = f"{DEVELOPMENT_KEY},{SECONDARY_KEY}"
    router = LocalRouter(tmp_path_factory.mktemp("router"), environment={"ROUTER_ACCESS_KEYS": keys})
    try:
        yield router
    finally:
        router.end()


@pytest.fixture
def start_router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRouter]:
    """Starts a router for one test: `start_router(workers=2, environment={"ROUTER_RATE_LIMIT": "10"})`."""
    routers: list[LocalRouter] = []

    def start(*, workers: int = 1, timer_apart: bool = False, environment: dict[str, str] | None = None) -> LocalRouter:
        folder = tmp_path_factory.mktemp("own-router")
        routers.append(LocalRouter(folder, workers=workers, timer_apart=timer_apart, environment=environment))
        return routers[-1]

    yield start
    for router in routers:
        router.end()
