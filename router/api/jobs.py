"""Handlers of jobs and their assignments."""

from __future__ import annotations

from functools import partial

from router.api.call import Call, Reply, resource_headers
from router.api.pages import one_of, page_of, place_of
from router.models.jobs import (
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobRecord,
    ReclassifyJobOptions,
    UnassignJobOptions,
)
from router.models.results import RouterJobPositionDetails, UnassignJobResult
from router.offload import by_weight
from router.usecases import figures as figure_usecases
from router.usecases import jobs as job_usecases
from router.wire import apply, documents
from router.wire.parse import parse_options, parse_patch
from router.wire.query import read_job_list


async def upsert(call: Call) -> Reply:
    patch = await by_weight(parse_patch, call.body, call.content_type)
    now = call.parts.clock.now()
    record, created = await job_usecases.upsert(
        call.parts, call.id, lambda current: apply.job_input(current, patch, now), call.check
    )
    return await _reply(record, 201 if created else 200)


async def get(call: Call) -> Reply:
    return await _reply(await job_usecases.get(call.parts, call.id, call.own))


async def delete(call: Call) -> Reply:
    await job_usecases.delete(call.parts, call.id)
    return Reply(204)


async def list_page(call: Call) -> Reply:
    request = read_job_list(call.query, call.operation, call.token_keys)
    found, after = await job_usecases.page(call.parts, request.filter, request.size, place_of(request))
    return await page_of(
        found, documents.render_job, lambda record: record.weight, request.next_link(after, call.token_keys)
    )


async def position(call: Call) -> Reply:
    figures = await figure_usecases.position(call.parts, call.id)
    details = RouterJobPositionDetails(
        job_id=figures.job_id,
        position=figures.position,
        queue_id=figures.queue_id,
        queue_length=figures.queue_length,
        estimated_wait_time_minutes=figures.wait.minutes,
        estimated_wait=figures.wait.range,
        estimated_wait_unknown=figures.wait.unknown,
    )
    return Reply(body=documents.canonical(details))


async def reclassify(call: Call) -> Reply:
    await by_weight(parse_options, call.body, call.content_type, ReclassifyJobOptions)
    await job_usecases.reclassify(call.parts, call.id)
    return Reply(body={})


async def cancel(call: Call) -> Reply:
    options = await by_weight(parse_options, call.body, call.content_type, CancelJobOptions)
    await job_usecases.cancel(call.parts, call.id, options)
    return Reply(body={})


async def complete(call: Call) -> Reply:
    options = await by_weight(parse_options, call.body, call.content_type, CompleteJobOptions)
    await job_usecases.complete(call.parts, call.id, call.ids[1], options, call.own)
    return Reply(body={})


async def close(call: Call) -> Reply:
    options = await by_weight(parse_options, call.body, call.content_type, CloseJobOptions)
    await job_usecases.close(call.parts, call.id, call.ids[1], options, call.own)
    return Reply(body={})


async def unassign(call: Call) -> Reply:
    options = await by_weight(parse_options, call.body, call.content_type, UnassignJobOptions)
    count = await job_usecases.unassign(call.parts, call.id, call.ids[1], options)
    return Reply(body=documents.canonical(UnassignJobResult(job_id=call.id, unassignment_count=count)))


async def _reply(record: JobRecord, status: int = 200) -> Reply:
    headers = resource_headers(record.etag, record.modified)
    return await one_of(record.weight, partial(documents.render_job, record), status, headers)
