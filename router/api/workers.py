"""Handlers of workers and their offers."""

from __future__ import annotations

from functools import partial

from router.api.call import Call, Reply, resource_headers
from router.api.pages import one_of, page_of, place_of
from router.models.results import AcceptJobOfferResult
from router.models.types import Model
from router.models.workers import DeclineJobOfferOptions, WorkerRecord
from router.offload import by_weight
from router.usecases import offers as offer_usecases
from router.usecases import workers as worker_usecases
from router.wire import apply, documents
from router.wire.parse import parse_options, parse_patch
from router.wire.query import read_worker_list


class AcceptJobOfferOptions(Model):
    """`:accept` names no fields."""


async def upsert(call: Call) -> Reply:
    patch = await by_weight(parse_patch, call.body, call.content_type)
    record, created = await worker_usecases.upsert(
        call.parts, call.id, lambda current: apply.worker_input(current, patch, call.api_version), call.check, call.own
    )
    return await _reply(call, record, 201 if created else 200)


async def get(call: Call) -> Reply:
    return await _reply(call, await worker_usecases.get(call.parts, call.id, call.own))


async def delete(call: Call) -> Reply:
    await worker_usecases.delete(call.parts, call.id)
    return Reply(204)


async def list_page(call: Call) -> Reply:
    request = read_worker_list(call.query, call.operation, call.token_keys)
    found, after = await worker_usecases.page(call.parts, request.filter, request.size, place_of(request))
    link = request.next_link(after, call.token_keys)
    render = partial(documents.render_worker, api_version=call.api_version)
    return await page_of(found, render, lambda record: record.weight, link)


async def accept(call: Call) -> Reply:
    await by_weight(parse_options, call.body, call.content_type, AcceptJobOfferOptions)
    job_id, assignment_id = await offer_usecases.accept(call.parts, call.id, call.ids[1], call.own)
    result = AcceptJobOfferResult(assignment_id=assignment_id, job_id=job_id, worker_id=call.id)
    return Reply(body=documents.canonical(result))


async def decline(call: Call) -> Reply:
    options = await by_weight(parse_options, call.body, call.content_type, DeclineJobOfferOptions)
    await offer_usecases.decline(call.parts, call.id, call.ids[1], options.retry_offer_at, call.own)
    return Reply(body={})


async def _reply(call: Call, record: WorkerRecord, status: int = 200) -> Reply:
    headers = resource_headers(record.etag, record.modified)
    return await one_of(record.weight, partial(documents.render_worker, record, call.api_version), status, headers)
