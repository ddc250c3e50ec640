"""The fixtures. pytest finds them by the package's entry point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from job_router_testkit.process import JobRouter


@pytest.fixture(scope="session")
def job_router_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRouter]:
    """The router of the whole session. It is not emptied: tests take `job_router`."""
    with JobRouter(tmp_path_factory.mktemp("job-router")) as router:
        yield router


@pytest.fixture
def job_router(job_router_process: JobRouter) -> Iterator[JobRouter]:
    """The router, empty. What a test leaves is there until the next one begins, so that it can be looked at."""
    job_router_process.empty()
    yield job_router_process
    job_router_process.unsubscribe_all()
