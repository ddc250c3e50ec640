"""What the tests of the console share: a router, a browser, a desk and a tenant."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from tests.acceptance.chromium import Browser
from tests.acceptance.console.tenant import Tenant
from tests.acceptance.desk import Desk, selector
from tests.local_router import LocalRouter

#: After so long what a commit leaves to do is done, and what was is counted.
SETTLED_SECONDS: Final = 16
COUNTED_SECONDS: Final = 16
READ_KEY: Final = base64.b64encode(b"a key that only reads, for tests").decode()


@dataclass(frozen=True)
class Past:
    """What happened before the first test: until reports count it, others have run."""

    queue: str
    worker: str
    #: Declined what it was offered.
    picky: str
    declined: str


def furnish(desk: Desk) -> Past:
    """A queue with a job that was completed and one that was given up; a worker that declined an offer."""
    queue = desk.queue(expires=300, name="Reported", labels={"serviceLevelSeconds": 600})
    worker = desk.worker(queue)
    job = desk.job(queue)
    accepted = desk.client.accept_job_offer(worker, desk.offer(worker, job).offer_id)
    desk.client.complete_job(job, accepted.assignment_id)
    desk.client.cancel_job(desk.queued(queue, requested_worker_selectors=[selector("language", "equal", "fr")]))
    other = desk.queue(expires=300)
    picky = desk.worker(other)
    declined = desk.job(other)
    desk.client.decline_job_offer(picky, desk.offer(picky, declined).offer_id)
    return Past(queue, worker, picky, declined)


@dataclass
class Floor:
    """A router, a browser and a desk for all tests of the console."""

    router: LocalRouter
    browser: Browser
    desk: Desk
    tenant: Tenant
    past: Past

    def later(self, seconds: float) -> None:
        """Puts the router's clock forward: what has come due by then is begun."""
        self.router.advance(seconds)
