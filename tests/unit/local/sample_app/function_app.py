"""A small function app with every kind of trigger the development host serves."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
things = func.Blueprint()  # type: ignore[no-untyped-call]


def describe(req: func.HttpRequest, name: str) -> func.HttpResponse:
    seen = {
        "function": name,
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(errors="replace"),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


def record(line: str) -> None:
    with Path(os.environ.get("SAMPLE_RECORDS", os.devnull)).open("a") as file:
        file.write(line + "\n")


@things.function_name("GetThing")
@things.route(route="things/{thingId}", methods=["GET"])
async def get_thing(req: func.HttpRequest) -> func.HttpResponse:
    return describe(req, "GetThing")


@things.function_name("PutThing")
@things.route(route="things/{thingId}", methods=["PUT", "PATCH"])
async def put_thing(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    response = describe(req, context.function_name)
    response.headers.add("x-twice", "one")
    response.headers.add("x-twice", "two")
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")
    return response


@things.function_name("CancelThing")
@things.route(route="things/{thingId}:cancel", methods=["POST"])
async def cancel_thing(req: func.HttpRequest) -> func.HttpResponse:
    return describe(req, "CancelThing")


@things.function_name("Ping")
@things.route(route="ping", methods=["GET"])
async def ping(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"pong", mimetype="text/plain")


@things.function_name("Health")
@things.route(route="health", methods=["GET"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=200)


@things.function_name("PlainText")
@things.route(route="plain", methods=["GET"])
def plain_text(req: func.HttpRequest) -> str:
    return "ä"


@things.function_name("Break")
@things.route(route="break", methods=["GET"])
async def break_down(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("secret")


@things.function_name("Slow")
@things.route(route="slow", methods=["POST"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    record("slow began")
    await asyncio.sleep(float(req.get_body() or b"1"))
    record("slow ended")
    return func.HttpResponse(status_code=200)


@things.function_name("OnEvent")
@things.event_grid_trigger(arg_name="event")
async def on_event(event: func.EventGridEvent) -> None:
    if event.subject == "fail":
        raise RuntimeError("no")
    record(f"event {event.id} {event.event_type} {event.get_json()}")


@things.function_name("OnTick")
@things.timer_trigger(schedule="* * * * * *", arg_name="timer")
async def on_tick(timer: func.TimerRequest) -> None:
    record(f"tick {os.getpid()} {timer.past_due}")


@things.function_name("ZFallback")
@things.route(route="{*path}")
async def fallback(req: func.HttpRequest) -> func.HttpResponse:
    response = describe(req, "ZFallback")
    return func.HttpResponse(response.get_body(), status_code=404, mimetype="application/json")


app.register_functions(things)
