"""Write the catalogue in docs/events.md anew: every event with its fields and an example from a run of its own.

python -m scripts.event_catalogue
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import types
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

from local.options import ROOT
from router.models.event_catalogue import CATALOGUE, EventData, EventLabels, EventName
from scripts.event_run import running_router
from scripts.event_scenarios import SCENARIOS
from scripts.made_part import with_part

PAGE: Final = ROOT / "docs" / "events.md"
BEGIN: Final = "<!-- catalogue: written by scripts/event_catalogue.py -->"
END: Final = "<!-- end of the catalogue -->"

MEANINGS: Final[Mapping[EventName, str]] = {
    EventName.JOB_RECEIVED: "A job has been created.",
    EventName.JOB_CLASSIFIED: "A classification policy has found queue, priority and selectors for the job.",
    EventName.JOB_CLASSIFICATION_FAILED: "It has not; `errors` say why.",
    EventName.JOB_QUEUED: "The job waits in its queue: newly, again after an unassignment, or with changes.",
    EventName.JOB_WORKER_SELECTORS_EXPIRED: "Selectors with a duration no longer count for the waiting job.",
    EventName.JOB_EXCEPTION_TRIGGERED: "A rule of the queue's exception policy has fired; its actions follow.",
    EventName.JOB_COMPLETED: "The work is done; the worker's capacity stays in use until the job is closed.",
    EventName.JOB_UNASSIGNED: "The job has been taken from its worker.",
    EventName.JOB_CLOSED: "The job is over and the worker's capacity free.",
    EventName.JOB_CANCELLED: "The job was cancelled, by a client, an exception rule, or at the end of its life.",
    EventName.JOB_WAITING_FOR_ACTIVATION: "The job is suspended, or its scheduled time has come.",
    EventName.JOB_SCHEDULING_FAILED: "The job cannot be scheduled; `failureReason` says why.",
    EventName.JOB_DELETED: "The job is gone.",
    EventName.WORKER_OFFER_ISSUED: "A worker may accept the job until `expiresOn`.",
    EventName.WORKER_OFFER_ACCEPTED: "It has, and the job is assigned to it.",
    EventName.WORKER_OFFER_DECLINED: "It has declined.",
    EventName.WORKER_OFFER_EXPIRED: "It has done neither in time; the worker is deregistered.",
    EventName.WORKER_OFFER_REVOKED: "It was taken back: another worker was faster, or job or worker changed.",
    EventName.WORKER_REGISTERED: "The worker is available for offers.",
    EventName.WORKER_UPDATED: "The worker has changed; `updatedWorkerProperties` says in what.",
    EventName.WORKER_DELETED: "The worker is gone.",
    EventName.WORKER_DEREGISTERED: "The worker is no longer available for offers and holds none.",
}


def kind(annotation: Any) -> str:
    """A field's JSON type, in words."""
    if annotation == EventLabels:
        return "object of strings, numbers and booleans"
    if get_origin(annotation) is Annotated:
        return "time" if get_args(annotation)[0] is datetime else "string, number or boolean"
    if get_origin(annotation) in (Union, types.UnionType):
        known = [kind(part) for part in get_args(annotation) if part is not type(None)]
        return f"{known[0]} or null"
    if get_origin(annotation) is list:
        return f"array of {kind(get_args(annotation)[0])}"
    if isinstance(annotation, type):
        if issubclass(annotation, StrEnum):
            return "one of " + ", ".join(f"`{member.value}`" for member in annotation)
        if issubclass(annotation, EventData):
            fields = ", ".join(field.alias or name for name, field in annotation.model_fields.items())
            return f"{{{fields}}}"
        names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", datetime: "time"}
        return names[annotation]
    raise TypeError(f"no words for {annotation}")


def fields(model: type[EventData]) -> list[str]:
    return [f"| `{field.alias or name}` | {kind(field.annotation)} |" for name, field in model.model_fields.items()]


def section(name: EventName, example: Mapping[str, Any]) -> str:
    lines = [f"### {name}", "", MEANINGS[name], "", "| data | type |", "| --- | --- |", *fields(CATALOGUE[name])]
    return "\n".join([*lines, "", "```json", json.dumps(example, indent=2), "```", ""])


def settled(example: Mapping[str, Any]) -> dict[str, Any]:
    """The event with the ids of this run made readable: the same names in every run."""
    text = json.dumps(example)
    text = re.sub(r'"((?:job|worker|queue|classification|distribution|exception))-[0-9a-f]{8}', r'"\1-1', text)
    text = re.sub(r"/((?:job|worker|queue|classification|exception))-[0-9a-f]{8}", r"/\1-1", text)
    return dict(json.loads(text))


def write(examples: Mapping[EventName, Mapping[str, Any]]) -> None:
    sections = "\n".join(section(name, settled(examples[name])) for name in EventName)
    PAGE.write_text(with_part(PAGE.read_text(), BEGIN, END, f"\n\n{sections}\n"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m scripts.event_catalogue", description="Write docs/events.md anew.")
    parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running_router(Path(folder)) as run:
        examples = {name: SCENARIOS[name](run) for name in EventName}
    write(examples)
    print(f"{len(examples)} events in {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
