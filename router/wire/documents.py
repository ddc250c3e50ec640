"""What is stored and what is answered: canonical documents of policies and queues, bodies of all resources.

A canonical document is the model by its wire names, defaults filled in, unset scalars left out. It is what the
engine reads back with `Model.model_validate`; an answer adds `id` and `etag` and hides secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from router.models.jobs import JobRecord, RouterJobInput
from router.models.operations import GA
from router.models.types import whole_numbers, with_id_label
from router.models.workers import RouterWorkerInput, WorkerRecord
from router.rules.secrets import redact_secrets
from router.wire.conditions import quote_etag

_JOB_FIELDS: Final = set(RouterJobInput.model_fields)
_WORKER_FIELDS: Final = set(RouterWorkerInput.model_fields)
#: A note without a time is not stored yet.
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


def canonical(model: BaseModel) -> dict[str, Any]:
    """The document of a model: wire names, defaults, no unset scalars."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def render_distribution_policy(id: str, etag: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"etag": quote_etag(etag), "id": id, **redact_secrets(document)}


def render_classification_policy(id: str, etag: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"etag": quote_etag(etag), "id": id, **redact_secrets(document)}


def render_exception_policy(id: str, etag: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"etag": quote_etag(etag), "id": id, **document}


def render_queue(id: str, etag: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"etag": quote_etag(etag), "id": id, **document, "labels": with_id_label(document.get("labels", {}), id)}


def job_document(record: JobRecord) -> dict[str, Any]:
    """What a client may write of a job, as it stands: a merge patch starts from it."""
    return record.job.model_dump(mode="json", by_alias=True, exclude_none=True, include=_JOB_FIELDS)


def render_job(record: JobRecord) -> dict[str, Any]:
    job = canonical(record.job)
    notes = record.job.notes
    if len(notes) > 1:
        order = sorted(range(len(notes)), key=lambda place: notes[place].added_at or _LATEST)
        job["notes"] = [job["notes"][place] for place in order]
    return {"etag": quote_etag(record.etag), "id": job.pop("id"), **job}


def worker_document(record: WorkerRecord) -> dict[str, Any]:
    """What a client may write of a worker, as it stands: a merge patch starts from it."""
    return record.worker.model_dump(mode="json", by_alias=True, exclude_none=True, include=_WORKER_FIELDS)


def render_worker(record: WorkerRecord, api_version: str) -> dict[str, Any]:
    worker = canonical(record.worker)
    if api_version == GA:
        worker.pop("maxConcurrentOffers", None)
    worker["labels"] = with_id_label(worker["labels"], record.id)
    return {"etag": quote_etag(record.etag), "id": worker.pop("id"), **worker}


def page_body(items: Sequence[dict[str, Any]], next_link: str | None) -> dict[str, Any]:
    """One page of a list; the last one has no `nextLink`."""
    return {"value": list(items), "nextLink": next_link} if next_link is not None else {"value": list(items)}


def json_bytes(body: Any) -> bytes:
    """An answer's body. A number without a fraction is written without one (docs/behaviour.md, "Answers")."""
    body = whole_numbers(body)
    try:
        return to_json(body)
    except PydanticSerializationError:
        # A message may quote a header whose bytes are no UTF-8.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
