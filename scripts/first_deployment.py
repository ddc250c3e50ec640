"""Ask a router that has just been deployed whether it works: what needs no judgement (docs/deployment.md has the rest).

    python -m scripts.first_deployment [--seconds N]

Environment: ROUTER_CONNECTION_STRING (`endpoint=...;accesskey=...`). Prints a line for each question, and fails if one
is answered wrongly. Reads only, but for one job with its worker, queue and policy, which it removes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import (
    DistributionPolicy,
    LongestIdleMode,
    QueueAndMatchMode,
    RouterChannel,
    RouterJob,
    RouterJobStatus,
    RouterQueue,
    RouterWorker,
    ScheduleAndSuspendMode,
)
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError, HttpResponseError

#: A key that no router has.
_WRONG_KEY: Final = "bm90IHRoZSBrZXkgb2YgdGhpcyByb3V0ZXI="
_AHEAD: Final = timedelta(seconds=3)
_PAUSE_SECONDS: Final = 0.1


class Wrong(Exception):
    """A question that was answered wrongly."""


class Deployment:
    """The questions, in order. `seconds` is how long each is waited for."""

    def __init__(self, endpoint: str, key: str, seconds: float) -> None:
        self.endpoint, self.key, self.seconds = endpoint.rstrip("/"), key, seconds
        credential = AzureKeyCredential(key)
        self.administration = JobRouterAdministrationClient(self.endpoint, credential, retry_total=2)
        self.router = JobRouterClient(self.endpoint, credential, retry_total=2)
        self.name = f"first-deployment-{uuid.uuid4().hex[:8]}"
        self._due = datetime.now(UTC)

    def health(self) -> str:
        """Settings, keys, storage and roles: /health names what is wrong."""
        last = "no answer"

        def look() -> bool:
            nonlocal last
            status, last = _get(f"{self.endpoint}/health")
            return status == 200

        seconds = self._until(look, lambda: f"/health says {last}")
        return f"ready after {seconds:.1f} s"

    def signature(self) -> str:
        """A signed request is taken."""
        queues = sum(1 for _ in self.administration.list_queues())
        return f"the key is taken, {queues} queues"

    def wrong_key(self) -> str:
        """One signed by another key is not."""
        stranger = JobRouterAdministrationClient(self.endpoint, AzureKeyCredential(_WRONG_KEY), retry_total=0)
        try:
            list(stranger.list_queues())
        except HttpResponseError as error:
            if error.status_code == 401:
                return "refused with 401"
            raise Wrong(f"answered {error.status_code}, not 401") from None
        raise Wrong("a request signed with another key was taken")

    def unsigned(self) -> str:
        status, _ = _get(f"{self.endpoint}/routing/queues?api-version=2023-11-01")
        if status != 401:
            raise Wrong(f"a request without a signature was answered {status}, not 401")
        return "refused with 401"

    def made(self) -> str:
        """Policy, queue, worker and a job that waits for its time."""
        self.administration.upsert_distribution_policy(
            self.name, DistributionPolicy(offer_expires_after_seconds=60, mode=LongestIdleMode(), name=self.name)
        )
        self.administration.upsert_queue(self.name, RouterQueue(distribution_policy_id=self.name, name=self.name))
        self.router.upsert_worker(
            self.name,
            RouterWorker(
                capacity=1,
                queues=[self.name],
                channels=[RouterChannel(channel_id=self.name, capacity_cost_per_job=1)],
                available_for_offers=True,
            ),
        )
        self._due = datetime.now(UTC) + _AHEAD
        job = self.router.upsert_job(
            self.name,
            RouterJob(
                channel_id=self.name, queue_id=self.name, priority=1,
                matching_mode=ScheduleAndSuspendMode(schedule_at=self._due),
            ),
        )  # fmt: skip
        return f"job {job.id} in a queue of its own, due in {_AHEAD.seconds} s"

    def timer(self) -> str:
        """OnDeadlines runs: the job comes to its time without anybody asking for it."""

        def look() -> bool:
            return self.router.get_job(self.name).status == RouterJobStatus.WAITING_FOR_ACTIVATION

        self._until(look, lambda: "the job is still scheduled: OnDeadlines does not run", self._due)
        late = (datetime.now(UTC) - self._due).total_seconds()
        return f"the scheduled job was due {max(late, 0):.1f} s ago and is ready"

    def routed(self) -> str:
        """Matching works: the job is offered to the worker."""
        self.router.upsert_job(self.name, RouterJob(matching_mode=QueueAndMatchMode()))

        def look() -> bool:
            return any(offer.job_id == self.name for offer in self.router.get_worker(self.name).offers or ())

        seconds = self._until(look, lambda: "the job was not offered to its worker")
        return f"offered after {seconds:.2f} s"

    def accepted(self) -> str:
        """An offer is taken by its worker, and the job ends."""
        offers = self.router.get_worker(self.name).offers or []
        if not offers:
            raise Wrong("the offer is gone")
        taken = self.router.accept_job_offer(self.name, offers[0].offer_id)
        self.router.complete_job(self.name, taken.assignment_id)
        self.router.close_job(self.name, taken.assignment_id)
        return "accepted, completed, closed"

    def removed(self) -> str:
        """Nothing of this stays."""
        kept: list[str] = []
        _quietly(lambda: self.router.upsert_worker(self.name, RouterWorker(available_for_offers=False)))
        _quietly(lambda: self.router.cancel_job(self.name))
        for what, delete in (
            ("job", lambda: self.router.delete_job(self.name)),
            ("worker", lambda: self.router.delete_worker(self.name)),
            ("queue", lambda: self.administration.delete_queue(self.name)),
            ("policy", lambda: self.administration.delete_distribution_policy(self.name)),
        ):
            if not self._gone(delete):
                kept.append(what)
        if kept:
            raise Wrong(f"{', '.join(kept)} {self.name} could not be removed")
        return "nothing is left"

    def _gone(self, delete: Callable[[], object]) -> bool:
        ends = time.monotonic() + self.seconds
        while True:
            try:
                delete()
                return True
            except HttpResponseError as error:
                if error.status_code == 404:
                    return True
            except AzureError:
                pass
            if time.monotonic() > ends:
                return False
            time.sleep(_PAUSE_SECONDS)

    def _until(self, look: Callable[[], bool], why_not: Callable[[], str], since: datetime | None = None) -> float:
        began = time.monotonic()
        ends = began + self.seconds + max((since - datetime.now(UTC)).total_seconds() if since else 0.0, 0.0)
        while not look():
            if time.monotonic() > ends:
                raise Wrong(f"{why_not()} (waited {self.seconds:.0f} s)")
            time.sleep(_PAUSE_SECONDS)
        return time.monotonic() - began


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace").strip() or str(error.code)
    except OSError as error:
        return 0, str(error)


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except AzureError:
        return


def ask(deployment: Deployment, say: Callable[[str], None] = print) -> bool:
    """All questions; whether each was answered rightly. What a failed one would have made is not asked for."""
    first = (deployment.health, deployment.signature, deployment.wrong_key, deployment.unsigned)
    story = (deployment.made, deployment.timer, deployment.routed, deployment.accepted)
    answers = [_one(question, say) for question in first]  # each, also after one that failed
    if not all(answers):
        return False
    right = False
    try:
        right = all(_one(question, say) for question in story)
    finally:
        right = _one(deployment.removed, say) and right
    return right


def _one(question: Callable[[], str], say: Callable[[str], None]) -> bool:
    name = question.__name__.replace("_", " ")
    try:
        say(f"ok    {name}: {question()}")
    except Wrong as wrong:
        say(f"FAIL  {name}: {wrong}")
    except (AzureError, ValueError) as error:
        say(f"FAIL  {name}: {' '.join(str(error).split())}")
    else:
        return True
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m scripts.first_deployment", description="Ask a deployed router whether it works."
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each answer is waited for")
    options = parser.parse_args(arguments)
    given = os.environ.get("ROUTER_CONNECTION_STRING", "")
    parts = dict(part.split("=", 1) for part in given.strip().split(";") if "=" in part)
    endpoint, key = parts.get("endpoint", ""), parts.get("accesskey", "")
    if not endpoint.startswith(("https://", "http://")) or not key:
        print("error: ROUTER_CONNECTION_STRING must read endpoint=https://...;accesskey=...", file=sys.stderr)
        return 2
    return 0 if ask(Deployment(endpoint, key, options.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
