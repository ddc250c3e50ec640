"""Handlers of policies and queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from router.api.call import Call, Reply, resource_headers
from router.api.pages import one_of, page_of
from router.models.results import RouterQueueStatistics
from router.offload import by_weight
from router.rules.check import MOST_EXPRESSIONS, expressions_of
from router.rules.expressions import compile_all
from router.rules.secrets import seal_secrets, shown_secrets
from router.storage.resources import Resource
from router.usecases import figures as figure_usecases
from router.usecases import settings as setting_usecases
from router.wire import apply, documents
from router.wire.parse import parse_patch
from router.wire.query import read_list

Document = dict[str, Any]
Handler = Callable[[Call], Awaitable[Reply]]

_RENDER: dict[str, Callable[[str, str, Document], Document]] = {
    "DistributionPolicy": documents.render_distribution_policy,
    "ClassificationPolicy": documents.render_classification_policy,
    "ExceptionPolicy": documents.render_exception_policy,
    "Queue": documents.render_queue,
}


def _build(call: Call, current: Document | None, patch: Document, shown: Document) -> Document:
    """The document to store. `shown` becomes what the answer to this very request shows of its secrets."""
    match call.operation.resource:
        case "DistributionPolicy":
            document = apply.distribution_policy_document(current, patch, http_on_loopback=call.http_on_loopback)
        case "ClassificationPolicy":
            document = apply.classification_policy_document(current, patch, http_on_loopback=call.http_on_loopback)
        case "ExceptionPolicy":
            return apply.exception_policy_document(current, patch, call.parts.ids.guid)
        case _:
            return apply.queue_document(current, patch)
    shown.clear()
    shown.update(shown_secrets(document, current))
    context = f"{call.operation.resource}/{call.id}"
    return seal_secrets(document, call.secrets, context, current)


async def upsert(call: Call) -> Reply:
    patch = await by_weight(parse_patch, call.body, call.content_type)
    await _compile(call, patch)
    shown: Document = {}
    resource, created = await setting_usecases.upsert(
        call.parts,
        call.operation.resource,
        call.id,
        lambda current: _build(call, current, patch, shown),
        call.check,
    )
    return await _reply(resource, 201 if created else 200, shown or None)


async def _compile(call: Call, patch: Document) -> None:
    """The expressions of a policy are compiled before it is looked at, where that holds nobody up."""
    if call.operation.resource not in ("ClassificationPolicy", "DistributionPolicy"):
        return
    wanted = expressions_of(patch)
    current = await call.parts.resources.cached(call.operation.resource, call.id)
    if current is not None:
        wanted += expressions_of(dict(current.document))
    if sum(len(text) for text, _ in wanted) <= 2 * MOST_EXPRESSIONS:
        await compile_all(wanted)


async def get(call: Call) -> Reply:
    return await _reply(await setting_usecases.get(call.parts, call.operation.resource, call.id))


async def delete(call: Call) -> Reply:
    await setting_usecases.delete(call.parts, call.operation.resource, call.id)
    return Reply(204)


async def list_page(call: Call) -> Reply:
    request = read_list(call.query, call.operation, call.token_keys)
    found, after = await setting_usecases.page(call.parts, call.operation.resource, request.size, request.position)
    return await page_of(found, _rendered, lambda resource: resource.size, request.next_link(after, call.token_keys))


async def queue_statistics(call: Call) -> Reply:
    figures = await figure_usecases.statistics(call.parts, call.id)
    waits = [(str(priority), wait) for priority, wait in sorted(figures.waits.items())]
    statistics = RouterQueueStatistics(
        queue_id=figures.queue_id,
        length=figures.length,
        estimated_wait_time_minutes={name: wait.minutes for name, wait in waits},
        longest_job_wait_time_minutes=figures.longest_wait_minutes,
        estimated_wait={name: wait.range for name, wait in waits if wait.range is not None} or None,
        estimated_wait_unknown={name: wait.unknown for name, wait in waits if wait.unknown is not None} or None,
    )
    return Reply(body=documents.canonical(statistics))


def _rendered(resource: Resource) -> Document:
    return _RENDER[resource.kind](resource.id, resource.etag, dict(resource.document))


async def _reply(resource: Resource, status: int = 200, shown: Document | None = None) -> Reply:
    headers = resource_headers(resource.etag, resource.modified)
    return await one_of(resource.size, lambda: _rendered(resource) | (shown or {}), status, headers)
