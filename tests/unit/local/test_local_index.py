"""Indexing: what the platform's worker accepts of an app, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.host.index import IndexingError, load_functions

HEAD = """
from __future__ import annotations
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
GOOD = """
@app.function_name("GetThing")
@app.route(route="things/{id}", methods=["GET"])
async def get_thing(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse()
"""


def load(folder: Path, text: str) -> list[str]:
    # A name of its own for each module: they stay imported.
    name = "indexed_" + folder.name
    (folder / f"{name}.py").write_text(text)
    return [function.name for function in load_functions(folder, name)]


def test_an_app_with_all_kinds_of_triggers() -> None:
    app = Path(__file__).with_name("sample_app")
    functions = {function.name: function for function in load_functions(app)}
    assert functions["PutThing"].wants_context
    assert functions["GetThing"].is_async
    assert not functions["PlainText"].is_async
    assert functions["OnEvent"].trigger == "eventGridTrigger"
    assert functions["OnTick"].settings["schedule"] == "* * * * * *"
    assert functions["CancelThing"].settings["route"] == "things/{thingId}:cancel"


def test_the_good_example_is_good(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD + GOOD) == ["GetThing"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "0 function apps"),
        (HEAD + GOOD + "again = app\n", "2 function apps"),
        (HEAD, "registers no functions"),
        (HEAD + GOOD.replace("GetThing", "1Thing"), "name must match"),
        (HEAD + GOOD.replace("context: func.Context", "other: str"), "are not its bindings"),
        (HEAD + GOOD.replace("req: func.HttpRequest", "req: func.EventGridEvent"), "does not fit httpTrigger"),
        (HEAD + GOOD.replace("-> func.HttpResponse", "-> dict"), "must return"),
        (HEAD + GOOD.replace("-> func.HttpResponse", "-> Unknown"), "cannot be resolved"),
        (
            HEAD + GOOD.replace('@app.route(route="things/{id}", methods=["GET"])', '@app.warm_up_trigger("req")'),
            "does not serve a trigger",
        ),
    ],
)
def test_an_app_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(IndexingError, match=message):
        load(tmp_path, text)


def test_two_functions_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unique"):
        load(tmp_path, HEAD + GOOD + GOOD)


def test_a_folder_without_an_app(tmp_path: Path) -> None:
    with pytest.raises(IndexingError, match=r"no function_app\.py"):
        load_functions(tmp_path)
