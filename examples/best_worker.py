"""The best worker gets the job: a scoring function of the application's own decides who that is.

    .venv/bin/python examples/best_worker.py

The router asks the function over HTTP, which `make start` allows on this machine. On Azure the function is an
https address, an Azure Function for example.
Environment: ROUTER_ENDPOINT and ROUTER_ACCESS_KEY (default: the local router)."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import BestWorkerMode, FunctionRouterRule, RouterChannel
from azure.core.credentials import AzureKeyCredential

ENDPOINT = os.environ.get("ROUTER_ENDPOINT", "http://localhost:7071")
KEY = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="))
WORKERS = {
    "ann": {"language": "fr", "rating": 3},
    "ben": {"language": "en", "rating": 5},
    "cleo": {"language": "fr", "rating": 4},
}


def score(job: dict[str, Any], worker: dict[str, Any]) -> float:
    """Who speaks the customer's language comes first; among them who is rated best."""
    return (100 if worker.get("language") == job.get("language") else 0) + float(worker.get("rating", 0))


class Function(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(score(asked["job"], asked["worker"])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def main(function_uri: str) -> None:
    administration, router = JobRouterAdministrationClient(ENDPOINT, KEY), JobRouterClient(ENDPOINT, KEY)
    mode = BestWorkerMode(scoring_rule=FunctionRouterRule(function_uri=function_uri))
    administration.upsert_distribution_policy("best", offer_expires_after_seconds=60, mode=mode)
    queue = administration.upsert_queue(f"best-{uuid.uuid4()}", distribution_policy_id="best").id
    channel = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
    for name, labels in WORKERS.items():
        router.upsert_worker(
            f"{name}-{queue}", capacity=1, queues=[queue], labels=labels, channels=[channel], available_for_offers=True
        )
    job = router.upsert_job(f"job-{queue}", channel_id="chat", queue_id=queue, labels={"language": "fr"}).id

    deadline = time.monotonic() + 30
    while True:
        offered = [name for name in WORKERS if router.get_worker(f"{name}-{queue}").offers]
        if offered or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    print(f"{job} is offered to {offered[0]}" if offered else "No offer within 30 s: `jobrouter explain` says why.")


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Function) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        main(f"http://127.0.0.1:{server.server_port}/score")
        server.shutdown()
