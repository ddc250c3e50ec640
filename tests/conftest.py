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
#: Unit tests that compute for long, or start processes: they run beside the tests that start routers, so that the others
#: are done within a minute.
_LATER: Final = (
    "tests/unit/bench/test_bench_waits.py",
    "tests/unit/engine/test_waiting_estimates.py::test_the_error",
    "tests/unit/infra/test_references.py",
    "tests/unit/scripts/test_lock.py",
    "tests/unit/scripts/test_other_pythons.py::test_the_failure",
    "tests/unit/upkeep/test_shadows.py::test_a_process",
    "tests/unit/usecases/test_sizes.py",
)
#: What `make test` leaves to `make long`: most of the time goes to these, and what they are about changes seldom.
_LONG: Final = (
    "tests/acceptance/console/",
    "tests/acceptance/test_chaos.py",
    "tests/acceptance/test_crash.py",
    "tests/acceptance/test_documented_commands.py",
    "tests/acceptance/test_event_completeness.py",
    "tests/acceptance/test_java.py",
    "tests/acceptance/test_javascript.py",
    "tests/acceptance/test_metrics_explorer.py",
    "tests/acceptance/test_migrate.py",
    "tests/acceptance/test_overload.py",
    "tests/acceptance/test_races.py",
    "tests/acceptance/test_request_metrics.py::test_telemetry_costs",
    "tests/acceptance/test_testkit.py",
    "tests/fuzz/test_openapi.py",
    "tests/integration/test_bench.py",
    "tests/integration/test_local_debug.py",
    "tests/integration/test_local_host.py::test_messages",
    "tests/integration/test_local_host.py::test_parts_do_not",
    "tests/integration/test_local_host.py::test_the_app_alone",
    "tests/integration/test_local_processes.py",
    "tests/integration/test_package_starts.py",
    "tests/integration/test_telemetry.py::test_memory",
    "tests/integration/test_telemetry.py::test_switching_on",
    "tests/integration/topic/test_topic_durability.py",
    "tests/sim/test_scale.py::test_a_scenario_measures",
    "tests/sim/test_scale.py::test_what_must_hold_on_many_instances_holds[eight",
    "tests/sim/test_scale.py::test_what_must_hold_on_many_instances_holds[one-queue-8",
    "tests/sim/test_scale.py::test_what_must_hold_on_many_instances_holds[two",
    "tests/sim/test_simulation.py::test_more_seeds",
    "tests/sim/test_storms.py",
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two lanes for `-n 2 --dist loadgroup`: in each, tests come one after the other in their usual order."""
    for item in items:
        lane = "computing" if item.nodeid.startswith(_ALONE) else "processes"
        item.add_marker(pytest.mark.xdist_group(lane))
        if item.nodeid.startswith("tests/unit/") and not item.nodeid.startswith(_LATER):
            item.add_marker(pytest.mark.first)
        if item.nodeid.startswith(_LONG):
            item.add_marker(pytest.mark.long)


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
