"""The catalogue against the official system-event models, field by field and type by type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azure.eventgrid import SystemEventNames

from local.options import ROOT
from router.models import event_catalogue
from router.models.event_catalogue import CATALOGUE, EVENT_TYPE_PREFIX, EventName
from router.wire.documents import json_bytes
from tests.unit.events.event_samples import drafts

OFFICIAL = json.loads((Path(__file__).parent / "official_models.json").read_text())
#: The official model of a deleted worker inherits a job's three fields, which then have no value.
#: A job has no classification policy where its event tells a queue.
WITHOUT_VALUE = {
    *((EventName.WORKER_DELETED, name) for name in ("jobId", "channelReference", "channelId")),
    (EventName.JOB_RECEIVED, "classificationPolicyId"),
}


def official_fields(interface: str) -> dict[str, str]:
    model = OFFICIAL["interfaces"][interface]
    inherited = official_fields(model["extends"]) if model["extends"] else {}
    return inherited | {name: field["type"] for name, field in model["fields"].items()}


def check_value(value: Any, kind: str, where: str) -> None:
    """`value`, as sent, is what the official model says; null where there is nothing to tell."""
    if value is None:
        return
    if kind.endswith("[]"):
        assert isinstance(value, list), where
        for index, item in enumerate(value):
            check_value(item, kind[:-2], f"{where}[{index}]")
    elif kind in OFFICIAL["enums"]:
        assert value in OFFICIAL["enums"][kind], where
    elif kind in OFFICIAL["interfaces"]:
        assert isinstance(value, dict), where
        for name, inner in official_fields(kind).items():
            assert name in value, f"{where} has no {name}"
            check_value(value[name], inner, f"{where}.{name}")
    elif kind == "Labels":
        assert isinstance(value, dict), where
    elif kind == "number":
        assert isinstance(value, int | float), where
        assert not isinstance(value, bool), where
    elif kind == "boolean":
        assert isinstance(value, bool), where
    elif kind == "string":
        assert isinstance(value, str), where
    else:
        assert kind == "Record<string, unknown>", f"{where}: no check for {kind}"


def test_the_names_are_the_official_ones() -> None:
    ours = {EVENT_TYPE_PREFIX + name for name in EventName}
    assert ours == {name.value for name in SystemEventNames if "Communication.Router" in name.value}
    assert len(ours) == 22


def test_every_event_has_a_model_and_a_builder() -> None:
    assert set(CATALOGUE) == set(EventName) == set(drafts())


@pytest.mark.parametrize("name", list(EventName))
def test_every_official_field_is_sent_with_its_type(name: EventName) -> None:
    data = json.loads(json.dumps(drafts()[name].data))
    for field, kind in official_fields(f"Acs{name}EventData").items():
        assert field in data, f"{name} has no {field}"
        if (name, field) not in WITHOUT_VALUE:
            assert data[field] is not None, f"the sample of {name} shows no {field}"
        check_value(data[field], kind, f"{name}.{field}")


@pytest.mark.parametrize("name", list(EventName))
def test_the_payload_is_exactly_its_model(name: EventName) -> None:
    data = drafts()[name].data
    model = CATALOGUE[name].model_validate(data, strict=False)
    assert model.model_dump(mode="json", by_alias=True) == data


@pytest.mark.parametrize(
    ("enum", "official"),
    [
        (event_catalogue.EventLabelOperator, "AcsRouterLabelOperator"),
        (event_catalogue.SelectorState, "AcsRouterWorkerSelectorState"),
        (event_catalogue.EventJobStatus, "AcsRouterJobStatus"),
        (event_catalogue.WorkerProperty, "AcsRouterUpdatedWorkerProperty"),
    ],
)
def test_the_enums_have_the_official_values(enum: Any, official: str) -> None:
    assert {member.value for member in enum} == set(OFFICIAL["enums"][official])


def test_a_model_refuses_a_field_too_many_or_too_few() -> None:
    data = drafts()[EventName.JOB_DELETED].data
    model = CATALOGUE[EventName.JOB_DELETED]
    with pytest.raises(ValueError, match="extra"):
        model.model_validate({**data, "more": 1})
    with pytest.raises(ValueError, match="tags"):
        model.model_validate({key: value for key, value in data.items() if key != "tags"})


@pytest.mark.parametrize("name", EventName)
def test_the_page_shows_what_is_sent(name: EventName) -> None:
    """Examples of docs/events.md, which a run has written: `python -m scripts.event_catalogue`."""
    page = (ROOT / "docs" / "events.md").read_text("utf-8")
    text = page.partition(f"### {name}\n")[2].partition("```json\n")[2].partition("```")[0]
    data = json.loads(text)["data"]
    model = CATALOGUE[name]
    sent = json.loads(json_bytes(model.model_validate(data).model_dump(mode="json", by_alias=True)))
    # As text: a number that was whole and is written with a fraction is another one.
    assert json.dumps(data, sort_keys=True) == json.dumps(sent, sort_keys=True)
    if name == EventName.JOB_RECEIVED:
        assert data["jobStatus"] in ("PendingClassification", "Queued")
