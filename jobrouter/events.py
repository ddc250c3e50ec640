"""`tail` and `listen`: the events of the local router, as they come."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from jobrouter import output
from jobrouter.failure import DONE, CommandError
from jobrouter.subscribe import Handler, subscribed

_PREFIX: Final = "Microsoft.Communication."
SCHEMAS: Final[Mapping[str, str]] = {"EventGrid": "EventGridSchema", "CloudEvents": "CloudEventSchemaV1_0"}
_HANDSHAKE: Final = "Microsoft.EventGrid.SubscriptionValidationEvent"
_SHAKE: Final = "handshake"
#: Of a request these belong to its connection; all others are handed on, in both directions.
_HOP: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive", "content-encoding"})
_ANSWER_SECONDS: Final = 30.0  # as long as Event Grid waits


async def tail(options: argparse.Namespace) -> int:
    """Prints events; `--count` ends it after so many."""
    left = options.count
    done = asyncio.Event()

    async def receive(request: web.Request) -> web.StreamResponse:
        nonlocal left
        for event in _events(await request.read()):
            if left is not None and left <= 0:
                break
            if not _is_wanted(event, options):
                continue
            if options.json:
                output.say_json(event, line=True)
            else:
                output.say(_line(event))
            if left is not None:
                left -= 1
        if left is not None and left <= 0:
            done.set()
        return web.Response()

    return await _run(receive, {**_filters(options), "trusted": True}, done)


async def listen(options: argparse.Namespace) -> int:
    """Hands on what the topic sends, the handshake too, and hands back what the webhook answers."""
    target = _url(options.forward_to)
    async with ClientSession(timeout=ClientTimeout(total=_ANSWER_SECONDS), auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
            what = _what(request, body)
            if what != _SHAKE and not any(_is_wanted(event, options) for event in _events(body)):
                return web.Response()
            try:
                async with session.request(
                    request.method, target, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    content = await answer.read()
                    handed_back = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                    status = answer.status
            except (ClientError, TimeoutError, OSError) as error:
                _tell_answer(options, what, None, type(error).__name__)
                # What Event Grid does when nobody answers: it tries again.
                return web.Response(status=503)
            _tell_answer(options, what, status, _handshake_remark(request, body, status, content, handed_back))
            return web.Response(status=status, headers=handed_back, body=content)

        subscription: dict[str, Any] = {**_filters(options), "trusted": options.no_handshake}
        if options.schema:
            subscription["deliverySchema"] = SCHEMAS[options.schema]
        output.tell(f"Events go to {target}. Ctrl-C ends it.")
        return await _run(forward, subscription, asyncio.Event())


async def _run(handler: Handler, subscription: Mapping[str, Any], done: asyncio.Event) -> int:
    async with subscribed(handler, subscription) as renewing:
        # As Ctrl-C: the subscription ends with the command.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
        ended = asyncio.create_task(done.wait())
        try:
            await asyncio.wait((ended, renewing), return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                renewing.result()
        finally:
            ended.cancel()
    return DONE


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    """What a subscription can say; `_is_wanted` says the rest."""
    filters: dict[str, Any] = {}
    if options.type:
        filters["includedEventTypes"] = [_PREFIX + _event_name(one) for one in options.type]
    if options.subject:
        filters |= {"subjectBeginsWith": options.subject, "isSubjectCaseSensitive": True}
    return filters


def _event_name(typed: str) -> str:
    """One of the 22, with or without prefix, in any case. Raises CommandError: of another nothing would ever come."""
    from router.models.event_catalogue import EventName  # pydantic with it: only where a name is typed

    names = {str(name).lower(): str(name) for name in EventName}
    found = names.get(typed.lower().removeprefix(_PREFIX.lower()))
    if found is None:
        near = get_close_matches(typed.lower(), names, 1, 0.5)
        hint = f"Do you mean {names[near[0]]}?" if near else "docs/events.md names them."
        raise CommandError(f"There is no event {output.clean(typed)}. {hint}")
    return found


def _is_wanted(event: Mapping[str, Any], options: argparse.Namespace) -> bool:
    """Events of a worker tell of a job too, under a subject that begins with the worker."""
    data = event.get("data") or {}
    wanted = ((options.job, data.get("jobId")), (options.worker, data.get("workerId")))
    return all(one is None or one == found for one, found in wanted)


def _events(body: bytes) -> Sequence[dict[str, Any]]:
    found = json.loads(body)
    return found if isinstance(found, list) else [found]


def _line(event: Mapping[str, Any]) -> str:
    data = event.get("data") or {}
    known = ("jobId", "workerId", "queueId", "offerId", "assignmentId", "channelId")
    facts = " ".join(f"{name}={output.clean(data[name])}" for name in known if data.get(name))
    time, kind = event.get("eventTime", event.get("time")), event.get("eventType", event.get("type"))
    return f"{output.clean(time)}  {output.clean(kind).removeprefix(_PREFIX):<30}  {facts}"


def _what(request: web.Request, body: bytes) -> str:
    if request.method == "OPTIONS":
        return _SHAKE
    events = _events(body)
    if events and events[0].get("eventType") == _HANDSHAKE:
        return _SHAKE
    kinds = [output.clean(one.get("eventType", one.get("type"))).removeprefix(_PREFIX) for one in events]
    subjects = [output.clean(one.get("subject")) for one in events]
    return "; ".join(f"{kind} {subject}" for kind, subject in zip(kinds, subjects, strict=True))


def _handshake_remark(
    request: web.Request, body: bytes, status: int, content: bytes, headers: Mapping[str, str]
) -> str | None:
    """Why a handshake has not succeeded, where that can be seen in the answer."""
    if _what(request, body) != _SHAKE:
        return None
    if request.method == "OPTIONS":
        allowed = {name.lower(): value for name, value in headers.items()}.get("webhook-allowed-origin")
        succeeded = status < 300 and allowed is not None
        needed = "the header WebHook-Allowed-Origin"
    else:
        code = str(_events(body)[0]["data"]["validationCode"])
        succeeded = status < 300 and code.encode() in content
        needed = '{"validationResponse": "<the validationCode>"}'
    return None if succeeded else f"no events before the handshake: answer it with {needed} (or --no-handshake)"


def _tell_answer(options: argparse.Namespace, what: str, status: int | None, remark: str | None) -> None:
    if options.json:
        output.say_json({"what": what, "status": status, "remark": remark}, line=True)
        return
    output.say(f"{status if status is not None else '---'}  {what}" + (f"  ({remark})" if remark else ""))


def _url(text: str) -> URL:
    text = text if "://" in text else f"http://{text}"
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise CommandError(f"--forward-to {text} is not an http or https URL.")
    return url
