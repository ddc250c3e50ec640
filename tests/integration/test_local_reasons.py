"""What a developer reads on the console when a webhook gets no events, or a start is not possible."""

from __future__ import annotations

import json
import urllib.request

import pytest
from azure.communication.jobrouter import JobRouterClient
from azure.communication.jobrouter.models import RouterChannel, RouterWorker
from azure.core.credentials import AzureKeyCredential

from local.network import choose_port
from local.parts import load_parts
from tests.conftest import StartRouter
from tests.eventually import eventually
from tests.local_router import LocalRouter


def pending(router: LocalRouter) -> int:
    """Events that wait for the webhook."""
    parts = load_parts(router.data_dir)
    assert parts is not None
    request = urllib.request.Request(f"{parts.topic_endpoint}/admin/state", headers={"aeg-sas-key": parts.topic_key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(json.load(answer)["subscriptions"]["subscriber-1"]["pending"])


def test_a_webhook_that_does_not_answer_is_told(start_router: StartRouter) -> None:
    url = f"http://127.0.0.1:{choose_port(None, ())}/events"
    router = start_router(environment={"ROUTER_EVENT_SUBSCRIBERS": f"{url}?code=secret"})
    line = f"No events go to {url} yet: nobody answers there"
    eventually(lambda: line in router.output(), line)
    assert "secret" not in router.output()

    client = JobRouterClient(router.endpoint, AzureKeyCredential(router.key))
    channel = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
    client.upsert_worker("ada", RouterWorker(capacity=1, channels=[channel], available_for_offers=True))
    eventually(lambda: pending(router) > 0, "an event waits")
    router.end()
    router._environment["ROUTER_EVENTGRID_SCHEMA"] = "CloudEvents"
    with pytest.raises(RuntimeError) as refused:  # its events wait in the schema of before
        router.start()
    assert "holds undelivered events in EventGridSchema" in str(refused.value)
    assert "Start once more with ROUTER_EVENTGRID_SCHEMA=EventGrid, until they are delivered" in str(refused.value)
    assert list(router.data_dir.glob("*.pid")) == []
