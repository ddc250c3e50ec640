"""The running app against its own OpenAPI document: generated requests get only what the document announces."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from requests.adapters import HTTPAdapter
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.generation.meta import CoveragePhaseData
from urllib3.util import Retry

from local.options import ROOT
from tests.fuzz.signing import AccessKeyAuth
from tests.fuzz.world import World, build
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

if TYPE_CHECKING:
    from schemathesis.specs.openapi.schemas import OpenApiCase

#: `make fuzz` asks for more, and for other seeds.
LONG = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
#: How many of the thousands of boundary cases a short run sends; most are of PATCH.
SHARES = {"patch": 0.12}
OTHER_SHARE = 0.5

#: What an SDK does: on a slow machine "busy, try again" is an answer that the document announces, and no fault. A
#: connection that ends without an answer is one.
PATIENT = Retry(total=10, read=False, status_forcelist=[429, 503], allowed_methods=None, raise_on_status=False)
#: An answer that takes longer will not come: what is slow may be the machine.
LONGEST_SECONDS = 90

DOCUMENT = ROOT / "docs" / "openapi.json"
LABELS = [
    f"{method.upper()} {path}"
    for path, methods in json.loads(DOCUMENT.read_text("utf-8"))["paths"].items()
    for method in methods
]


#: Fields of a request by RFC 9110, 5.1 and 5.5. Others never come to the app: whatever serves HTTP refuses them.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def is_http(field: tuple[str, str]) -> bool:
    name, value = field
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


@dataclass
class Fuzzed:
    router: LocalRouter
    world: World
    session: requests.Session
    #: Every second request is for something that is there.
    turn: Iterator[int] = field(default_factory=itertools.count)
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def leaves_out(self, case: OpenApiCase) -> bool:
        if not all(map(is_http, case.headers.items())):
            return True
        if LONG or case.meta is None or not isinstance(case.meta.phase.data, CoveragePhaseData):
            return False
        return self.chance.random() >= SHARES.get(case.operation.method.lower(), OTHER_SHARE)

    @property
    def queue(self) -> str:
        return self._id("Queue")

    def _id(self, kind: str) -> str:
        return self.world.paths[kind][0].rpartition("/")[2]

    def direct(self, case: OpenApiCase) -> None:
        """Makes it a request for something that is there."""
        known = self.known(case.path)
        case.path_parameters.update({name: id for name, id in known.items() if name in case.path_parameters})
        if isinstance(case.body, dict):
            case.body = self.resolve(case.body)

    def known(self, path: str) -> dict[str, str]:
        """Ids of what is there, by the names of path parameters."""
        kind = next(
            (name for name, paths in self.world.paths.items() if paths[0].startswith(path.partition("/{")[0])), None
        )
        if kind is None:
            return {}
        job = self.world.assigned_job.rpartition("/")[2]
        if "assignments" in path:
            return {"jobId": job, "assignmentId": self.world.assignment}
        name = {"Job": "jobId", "Worker": "workerId", "Queue": "queueId"}.get(kind, "policyId")
        return {name: self._id(kind)}

    def resolve(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with references to what is there, so that it may be accepted."""
        known = {
            "queueId": self.queue,
            "distributionPolicyId": self._id("DistributionPolicy"),
            "fallbackQueueId": self.queue,
        }
        found = {
            name: known[name] if name in known and isinstance(value, str) else value for name, value in body.items()
        }
        for name in ("exceptionPolicyId", "classificationPolicyId"):
            found.pop(name, None)
        return {**found, "queues": [self.queue]} if isinstance(body.get("queues"), list) else found


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """A router of its own: what is made here would be in the way of other tests."""
    router = LocalRouter(tmp_path_factory.mktemp("fuzzed"), environment={"CLOCK": "movable"})

    async def prepare() -> World:
        async with RawWire(router.port, router.key) as wire:
            world = await build(wire)
        for _ in range(3):  # reports and levels have something to tell
            router.advance(1800)
        return world

    try:
        with requests.Session() as session:
            session.auth = AccessKeyAuth(router.key)
            session.mount("http://", HTTPAdapter(max_retries=PATIENT))
            yield Fuzzed(router, asyncio.run(prepare()), session)
    finally:
        router.end()
    said = router.output()
    assert "Traceback" not in said, said[max(said.index("Traceback") - 1000, 0) :][:6000]


@pytest.fixture(scope="module")
def announced() -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_path(
        DOCUMENT,
        config=SchemathesisConfig.from_dict(
            {
                "checks": {
                    # The router ignores unknown fields, matches names without regard to case, and asks for fields on
                    # creation alone: what is wrong by the document may be accepted, and what fits it refused.
                    "positive_data_acceptance": {"enabled": False},
                    "negative_data_rejection": {"enabled": False},
                    # Requests here are signed after they are made: see tests/integration/test_wire_auth.py instead.
                    "ignored_auth": {"enabled": False},
                    # A path such as jobs/x:cancel is also that of a job whose id ends so: it has the methods of both.
                    "allow_header_conformance": {"enabled": False},
                },
            }
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(900 + EXAMPLES * 10)
@pytest.mark.parametrize("label", LABELS)
def test_only_what_the_document_announces(label: str, announced: schemathesis.BaseSchema, fuzzed: Fuzzed) -> None:
    def send(case: OpenApiCase) -> None:
        if fuzzed.leaves_out(case):
            return
        if next(fuzzed.turn) % 2:
            fuzzed.direct(case)
        case.call_and_validate(base_url=fuzzed.router.endpoint, session=fuzzed.session, timeout=LONGEST_SECONDS)

    method, path = label.split()
    # What `announced.parametrize()` does, but when the test runs: thousands of cases would slow down every collection.
    generated = create_test(
        operation=announced[path][method],
        test_func=send,
        config=HypothesisTestConfig(
            project=announced.config,
            modes=[HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING],
            settings=settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
            ),
            seed=SEED,
        ),
    )
    generated()
