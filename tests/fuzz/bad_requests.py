"""Requests that a router must refuse, thousands of them, each made by chance from a seed."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from tests.fuzz.bad_values import FIELDS, OPTIONS
from tests.fuzz.world import World
from tests.raw_wire import CONTAINERS, GA, JSON, MERGE_PATCH, Answer, RawWire, segment, sign

STRANGER = base64.b64encode(b"fuzz" * 8).decode()
CHANGES: dict[str, dict[str, Any]] = {
    "DistributionPolicy": {"name": "changed"},
    "ExceptionPolicy": {"name": "changed"},
    "ClassificationPolicy": {"name": "changed"},
    "Queue": {"name": "changed", "labels": {"changed": True}},
    "Worker": {"tags": {"changed": True}},
    "Job": {"tags": {"changed": True}},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "MKCOL")
Sign = Callable[[RawWire, str, str, bytes], dict[str, str]]


def _signed(wire: RawWire, method: str, target: str, body: bytes) -> dict[str, str]:
    return sign(wire.key, method, target, wire.host, body)


@dataclass(frozen=True)
class BadRequest:
    """One of them: `what` says why it is bad."""

    what: str
    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    signed: Sign = _signed

    async def send(self, wire: RawWire) -> Answer:
        headers = {**self.signed(wire, self.method, self.target, self.body), **self.headers}
        return await wire.exchange(self.method, self.target, headers, self.body)

    def __str__(self) -> str:
        return f"{self.what}: {self.method} {self.target[:300]} {self.headers} {self.body[:300]!r}"


class BadRequests:
    """Endless, and the same for the same seed and world."""

    def __init__(self, world: World, run: str, seed: int) -> None:
        self._world = world
        self._run = run
        self._random = random.Random(seed)
        self._kinds = [name for name in dir(self) if name.startswith("bad_")]

    def __iter__(self) -> Iterator[BadRequest]:
        while True:
            what = self._random.choice(self._kinds)
            request: BadRequest = getattr(self, what)(what.removeprefix("bad_").replace("_", " "))
            yield request

    # What is wrong with the body

    def bad_json(self, what: str) -> BadRequest:
        kind, path = self._existing()
        text = json.dumps(self._change(kind)).encode()
        cut = self._random.randrange(len(text))
        broken: bytes = self._random.choice([
            text[:cut], text + b"x", text + text, text[1:], text.replace(b'"', b"'"), text[:-1] + b",}", b"/* c */" + text,
            text[:-1] + b', "a": NaN}', text[:-1] + b', "a": -Infinity}', text[:-1] + b', "a": 1e999}', text[:-1] + b', "a": 01}',
            text[:-1] + b', "a": .5}', text[:-1] + b', "a": "\n"}', text[:-1] + b', "a": "\\x"}', text[:-1] + b', "a": "\\ud800"}',
            text[:-1] + b', "a": "\xff"}', text[:-1] + b', a: 1}', text[:-1] + b', "a": ' + b"9" * 400 + b"}",
            text.decode().encode("utf-16"), b"\0" + text, bytes(self._random.randbytes(cut + 1)) + b"{", b"", b" ", b"{", b"}",
        ])  # fmt: skip
        return self._patch(what, path, broken)

    def bad_json_of_an_action(self, what: str) -> BadRequest:
        path = self._random.choice([*self._action_paths()])
        body = self._random.choice(
            [b"{", b'{"note": }', b"[}", b"nul", b'{"note": "\xff"}', b"5", b"[]", b'"x"', b"true"]
        )
        return BadRequest(what, "POST", self._with_version(path), body, {"Content-Type": JSON})

    def bad_shape(self, what: str) -> BadRequest:
        _, path = self._existing()
        return self._patch(
            what, path, self._random.choice([b"[]", b"5", b'"x"', b"true", b"null", b"[{}]", b"-1.5", b'""'])
        )

    def bad_type(self, what: str) -> BadRequest:
        """One field wrong, others fine: nothing of them is written."""
        kind, path = self._existing()
        name = self._random.choice(list(FIELDS[kind]))
        value = self._random.choice(FIELDS[kind][name])
        spelled = self._random.choice([name, name, name.upper(), name.lower()])
        fields = [*self._change(kind).items(), (spelled, value)]
        if any(other.lower() == name.lower() for other, _ in fields[:-1]):
            fields = fields[-1:]
        self._random.shuffle(fields)
        return self._patch(what, path, json.dumps(dict(fields)).encode())

    def bad_type_of_something_new(self, what: str) -> BadRequest:
        kind = self._random.choice(list(FIELDS))
        name = self._random.choice(list(FIELDS[kind]))
        value = self._random.choice([value for value in FIELDS[kind][name] if value is not None])
        return self._patch(what, self._new(kind), json.dumps({**self._whole(kind), name: value}).encode())

    def bad_creation(self, what: str) -> BadRequest:
        """What is required is not there."""
        kind = self._random.choice(["DistributionPolicy", "Queue", "Worker", "Job"])
        return self._patch(what, self._new(kind), json.dumps({**CHANGES[kind], "unknown": 1}).encode())

    def bad_options(self, what: str) -> BadRequest:
        action = self._random.choice(list(OPTIONS))
        name = self._random.choice(list(OPTIONS[action]))
        value = self._random.choice(OPTIONS[action][name])
        paths = [path for path in self._action_paths() if path.endswith(f":{action}")]
        return self._post(what, self._random.choice(paths), {name: value})

    def bad_depth(self, what: str) -> BadRequest:
        kind, path = self._existing()
        depth = self._random.choice([101, 150, 1000, 20_000])
        name = self._random.choice(["unknown", "labels", "tags", "mode", "prioritizationRule"])
        opening, closing = self._random.choice([(b"[", b"]"), (b'{"a":', b"}")])
        text = json.dumps(CHANGES[kind]).encode()[:-1]
        return self._patch(
            what, path, text + f', "{name}": '.encode() + opening * depth + b"1" + closing * depth + b"}"
        )

    def bad_size(self, what: str) -> BadRequest:
        if self._random.random() > 0.1:  # they cost more than the others
            return self.bad_type("type")
        kind, path = self._existing()
        filler = "x" * (1024 * 1024 + self._random.randrange(300_000))
        return self._patch(what, path, json.dumps({**self._change(kind), "unknown": filler}).encode())

    def bad_content_type(self, what: str) -> BadRequest:
        kind, path = self._existing()
        content_type = self._random.choice([
            "", "text/plain", "text/html; charset=utf-8", "application/xml", "application/json-patch+json", "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/merge-patch+json; charset=latin-1",
            "json", "*/*", ";", "application/", "application/json+x", "application/json, application/json", self._word(300),
        ])  # fmt: skip
        if self._random.random() < 0.3:
            return BadRequest(
                what,
                "POST",
                self._with_version(self._random.choice([*self._action_paths(bodiless=False)])),
                b'{"note": "n"}',
                {"Content-Type": content_type},
            )
        return BadRequest(
            what,
            "PATCH",
            self._with_version(path),
            json.dumps(self._change(kind)).encode(),
            {"Content-Type": content_type},
        )

    # What is wrong with method, path and query

    def bad_method(self, what: str) -> BadRequest:
        kind, path = self._existing()
        path, allowed = self._random.choice([
            (path, {"GET", "PATCH", "DELETE"}), (f"/routing/{CONTAINERS[kind]}", {"GET"}),
            (f"{self._world.paths['Queue'][0]}/statistics", {"GET"}), (f"{self._world.assigned_job}/position", {"GET"}),
            (f"{self._world.assigned_job}/assignments/{self._world.assignment}:complete", {"POST"}),
            (f"{self._world.worker}/offers/x:accept", {"POST"}),
        ])  # fmt: skip
        method = self._random.choice([method for method in METHODS if method not in allowed])
        return BadRequest(what, method, self._with_version(path))

    def bad_route(self, what: str) -> BadRequest:
        _, path = self._existing()
        tail = self._word(self._random.randrange(1, 12))
        unknown = self._random.choice([
            f"/{tail}", f"/{tail}/{self._word(5)}/{self._word(5)}", f"/routing/{tail}", f"/routing/{tail}/{self._word(4)}",
            f"{path}/{tail}", f"{path}/{tail}/{self._word(3)}:complete", f"/{tail}{path}", "/routing//jobs", f"/routing/{'x/' * 60}x",
            f"{path}//{tail}", f"/routing/{tail}/%2E%2E/{self._word(3)}/..", f"{path}/../../{tail}",
        ])  # fmt: skip
        return BadRequest(what, self._random.choice(METHODS), self._with_version(unknown))

    def bad_way_round(self, what: str) -> BadRequest:
        """Dots that lead to something that is there: it is reached by its own path alone."""
        kind, path = self._existing()
        container, _, id = path.rpartition("/")
        dots = self._random.choice(["..", "%2e%2e", ".%2E", "%2E."])
        around = self._random.choice([f"{container}/x/{dots}/{id}", f"/x/{dots}{path}", f"{container}/./{id}"])
        method = self._random.choice(["GET", "DELETE", "PATCH"])
        if method == "PATCH":
            return self._patch(what, around, json.dumps(self._change(kind)).encode())
        return BadRequest(what, method, self._with_version(around))

    def bad_id(self, what: str) -> BadRequest:
        kind = self._random.choice(list(CONTAINERS))
        container = CONTAINERS[kind]
        letter = self._random.choice(
            ["%01", "%09", "%0A", "%0D%0A", "%1F", "%7F", "%C2%80", "%C2%9F", "%FF", "%C3", "%ED%A0%80", "%80abc"]
        )
        fine = segment(self._word(self._random.randrange(5)))
        id = self._random.choice(
            [f"{fine}{letter}", f"{letter}{fine}", letter, "x" * self._random.randrange(257, 3000), "%C3%A9" * 257]
        )
        if self._random.random() < 0.3:
            path = self._random.choice(
                [
                    f"/routing/jobs/{id}:cancel",
                    f"/routing/workers/{id}/offers/o:accept",
                    f"{self._world.assigned_job}/assignments/{id}:complete",
                ]
            )
            return self._post(what, path, None)
        method = self._random.choice(["GET", "DELETE", "PATCH"])
        if method == "PATCH":
            return self._patch(what, f"/routing/{container}/{id}", json.dumps(self._whole(kind)).encode())
        return BadRequest(what, method, self._with_version(f"/routing/{container}/{id}"))

    def bad_reference(self, what: str) -> BadRequest:
        """Of something that is not there, or not in the state for it."""
        world, none = self._world, segment(self._word(8))
        gone, suspended = segment(f"{self._run}gone{self._word(5)}"), world.paths["Job"][0]
        method, path = self._random.choice([
            ("GET", f"/routing/{self._random.choice(list(CONTAINERS.values()))}/{gone}"), ("GET", f"/routing/queues/{gone}/statistics"),
            ("GET", f"/routing/jobs/{gone}/position"), ("GET", f"{suspended}/position"), ("GET", f"/routing/jobs/{gone}/explain"),
            ("POST", f"/routing/jobs/{gone}:cancel"), ("POST", f"/routing/jobs/{gone}:reclassify"),
            ("POST", f"{world.assigned_job}/assignments/{none}:complete"), ("POST", f"{world.assigned_job}/assignments/{none}:unassign"),
            ("POST", f"{world.assigned_job}/assignments/{world.assignment}:close"), ("POST", f"{world.assigned_job}:reclassify"),
            ("POST", f"{world.worker}/offers/{none}:accept"), ("POST", f"{world.worker}/offers/{none}:decline"),
            ("POST", f"/routing/workers/{gone}/offers/{none}:accept"), ("POST", f"{world.cancelled_job}:cancel"),
            ("POST", f"{world.cancelled_job}:reclassify"), ("POST", f"{suspended}/assignments/{none}:close"),
            ("DELETE", self._random.choice(world.in_use)),
        ])  # fmt: skip
        return BadRequest(what, method, self._with_version(path))

    def bad_query(self, what: str) -> BadRequest:
        def pick(*values: str) -> str:
            return quote(self._random.choice(values), safe="%")

        junk = self._word(6)
        path, query = self._random.choice([
            (self._list(), f"maxpagesize={pick('0', '-1', '1001', '1.5', 'ten', '', '1e2', '9' * 5000, ' 5', '+5', '0x10', 'NaN')}"),
            (self._list(), f"continuationToken={pick('', 'A', junk, junk * 40, '%00', '=', '..', '%FF', 'é' * 20)}"),
            ("/routing/jobs", f"status={pick('waiting', 'active,queued', junk, 'null', '%00')}"),
            ("/routing/jobs", f"{pick('scheduledBefore', 'scheduledAfter')}={pick('soon', '1', '2024-02-30T00:00:00Z', 'null', '%FF')}"),
            ("/routing/jobs", f"{pick('queueId', 'channelId', 'classificationPolicyId')}={pick('%00', 'x' * 257, '.', '..', '%0A')}"),
            ("/routing/workers", f"state={pick('idle', junk, 'active,inactive', '%FF')}"),
            ("/routing/workers", f"hasCapacity={pick('1', 'yes', 'null', '%00', 'TRUE!')}"),
        ])  # fmt: skip
        return BadRequest(what, "GET", f"{path}?{query}&api-version={GA}")

    def bad_version(self, what: str) -> BadRequest:
        kind, path = self._existing()
        query = self._random.choice(["", "?", "?api-version=", f"?api-version={self._word(5)}", "?api-version=2023-11-02", f"?api-version={GA}%20",
                                     f"?apiversion={GA}", f"?api-version={GA}&api-version=1", "?api-version=%FF", "?&&=&"])  # fmt: skip
        method = self._random.choice(["GET", "PATCH", "DELETE"])
        if method == "PATCH":
            return BadRequest(
                what, method, path + query, json.dumps(self._change(kind)).encode(), {"Content-Type": MERGE_PATCH}
            )
        return BadRequest(what, method, path + query)

    # What is wrong with the headers

    def bad_condition(self, what: str) -> BadRequest:
        kind, path = self._existing()
        other = self._word(20)
        headers = self._random.choice([
            {"If-Match": f'"{other}"'}, {"If-Match": other}, {"If-Match": f'W/"{other}"'}, {"If-Match": '""'}, {"If-Match": ","},
            {"If-Match": '"' * 500}, {"If-None-Match": "*"}, {"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
            {"If-Unmodified-Since": "Monday, 01-Jan-01 00:00:00 GMT"}, {"If-Match": '"a", ' * 500 + '"b"'}, {"If-Match": "é"},
            {"If-Match": ""}, {"If-None-Match": ""}, {"If-Match": "", "If-Unmodified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        ])  # fmt: skip
        return BadRequest(
            what,
            "PATCH",
            self._with_version(path),
            json.dumps(self._change(kind)).encode(),
            {"Content-Type": MERGE_PATCH, **headers},
        )

    def bad_headers(self, what: str) -> BadRequest:
        """Headers that have nothing to do with it, on a request that is refused for another reason."""
        request = self.bad_type(what)
        noise = {
            "x-ms-client-request-id": ["", "é" * 100, self._word(3000), "\t", "a,b;c=d"],
            "traceparent": ["", "00-0-0-00", "ff-" + "f" * 32 + "-" + "f" * 16 + "-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", self._word(200)],
            "tracestate": ["=", "a=b,c", "x" * 600],
            "Accept": ["", ";;;", "text/html", "*/*;q=2", "é"],
            "Accept-Encoding": ["br", "nothing", "gzip;q=x"],
            "X-WAWS-Unencoded-URL": ["/", "/routing/jobs", "é"],
            "X-Forwarded-For": ["::1", "x" * 300], "X-Original-URL": ["/health"], "X-HTTP-Method-Override": ["DELETE", "GET"],
            "Range": ["bytes=0-1"], "Cookie": ["a" * 3000], "Prefer": ["return=minimal"], "If-Modified-Since": ["x"],
        }  # fmt: skip
        chosen = self._random.sample(list(noise), self._random.randrange(1, 4))
        more = {name: self._random.choice(noise[name]) for name in chosen}
        return BadRequest(what, request.method, request.target, request.body, {**request.headers, **more})

    def bad_encoding(self, what: str) -> BadRequest:
        """A body that is said to be compressed is taken as it is."""
        _, path = self._existing()
        headers = {"Content-Type": MERGE_PATCH, "Content-Encoding": self._random.choice(["gzip", "deflate", "br", "x"])}
        return BadRequest(
            what,
            "PATCH",
            self._with_version(path),
            self._random.randbytes(self._random.randrange(1, 200)) + b"{",
            headers,
        )

    # What is wrong with the credentials

    def bad_signature(self, what: str) -> BadRequest:
        method, target, body, headers = self._fine()
        return BadRequest(what, method, target, body, headers, signed=self._random.choice(self._forgeries()))

    def bad_token(self, what: str) -> BadRequest:
        method, target, body, headers = self._fine()
        junk = self._word(30)
        token = self._random.choice([
            "", junk, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", f"{junk}.{junk}.{junk}", "." * 50, "é", "x" * 7000,
        ])  # fmt: skip
        scheme = self._random.choice(
            ["Bearer", "bearer", "Basic", "Digest", "Negotiate", "SharedKey", "HMAC-SHA1", "", junk]
        )
        return BadRequest(what, method, target, body, headers, signed=lambda *_: {"Authorization": f"{scheme} {token}"})

    def _forgeries(self) -> list[Sign]:
        skew = timedelta(minutes=self._random.choice([-10_000_000, -6, 6, 1_000_000]))
        junk = self._word(44)

        def edit(**changes: str) -> Sign:
            def forged(wire: RawWire, method: str, target: str, body: bytes) -> dict[str, str]:
                headers = {
                    **_signed(wire, method, target, body),
                    **{name.replace("_", "-"): value for name, value in changes.items()},
                }
                return {name: value for name, value in headers.items() if value}

            return forged

        scheme = "HMAC-SHA256 SignedHeaders"
        return [
            lambda *_: {},
            lambda wire, method, target, body: sign(STRANGER, method, target, wire.host, body),
            lambda wire, method, target, body: sign(wire.key, "HEAD", target, wire.host, body),
            lambda wire, method, target, body: sign(wire.key, method, target + "&x=1", wire.host, body),
            lambda wire, method, target, body: sign(wire.key, method, target, wire.host, body + b" "),
            lambda wire, method, target, body: {**sign(wire.key, method, target, "elsewhere", body), "Host": wire.host},
            lambda wire, method, target, body: sign(wire.key, method, target, wire.host, body, now=datetime.now(UTC) + skew),
            edit(Authorization=""), edit(Authorization=junk), edit(Authorization="HMAC-SHA256"), edit(Authorization=f"HMAC-SHA256 {junk}"),
            edit(Authorization=f"{scheme}=x-ms-date;host;x-ms-content-sha256&Signature={junk}"),
            edit(Authorization=f"{scheme}=host&Signature={junk}"), edit(Authorization=f"{scheme}=;;&Signature={junk}"),
            edit(Authorization=f"{scheme}=x-ms-date;host;x-ms-content-sha256&Signature=&Signature="),
            edit(Authorization=f"{scheme}={'x;' * 1000}&Signature={junk}"), edit(x_ms_date=""), edit(x_ms_date=junk),
            edit(x_ms_content_sha256=""), edit(x_ms_content_sha256=junk), edit(x_ms_content_sha256="é"),
        ]  # fmt: skip

    # Parts

    def _fine(self) -> tuple[str, str, bytes, dict[str, str]]:
        """A request with which nothing is wrong, but for its credentials."""
        kind, path = self._existing()
        method = self._random.choice(["GET", "PATCH", "DELETE", "GET list", "POST"])
        if method == "PATCH":
            return (
                method,
                self._with_version(path),
                json.dumps(self._change(kind)).encode(),
                {"Content-Type": MERGE_PATCH},
            )
        if method == "GET list":
            return "GET", self._with_version(self._list()), b"", {}
        if method == "POST":
            return method, self._with_version(f"{self._world.paths['Job'][0]}:cancel"), b"", {}
        return method, self._with_version(path), b"", {}

    def _existing(self) -> tuple[str, str]:
        kind = self._random.choice(list(self._world.paths))
        return kind, self._random.choice(self._world.paths[kind])

    def _new(self, kind: str) -> str:
        return f"/routing/{CONTAINERS[kind]}/{segment(f'{self._run}new{self._word(6)}')}"

    def _whole(self, kind: str) -> dict[str, Any]:
        """All that a new one needs."""
        queue, policy = (self._world.paths[name][0].rpartition("/")[2] for name in ("Queue", "DistributionPolicy"))
        needed: dict[str, dict[str, Any]] = {
            "DistributionPolicy": {"mode": {"kind": "roundRobin"}},
            "Queue": {"distributionPolicyId": policy},
            "Worker": {"capacity": 1},
            "Job": {"channelId": "voice", "queueId": queue},
        }
        return {**needed.get(kind, {}), **CHANGES[kind]}

    def _change(self, kind: str) -> dict[str, Any]:
        number = self._random.randrange(10**9)
        return {
            name: {**value, "n": number} if isinstance(value, dict) else f"{value}{number}"
            for name, value in CHANGES[kind].items()
        }

    def _list(self) -> str:
        return f"/routing/{self._random.choice(list(CONTAINERS.values()))}"

    def _action_paths(self, *, bodiless: bool = True) -> Iterator[str]:
        world = self._world
        yield f"{world.paths['Job'][0]}:cancel"
        yield f"{world.cancelled_job}:cancel"
        for action in ("complete", "close", "unassign"):
            yield f"{world.assigned_job}/assignments/{world.assignment}:{action}"
        yield f"{world.worker}/offers/none:decline"
        yield f"{world.worker}/offers/none:accept"

    def _patch(self, what: str, path: str, body: bytes) -> BadRequest:
        return BadRequest(
            what, "PATCH", self._with_version(path), body, {"Content-Type": self._random.choice([MERGE_PATCH, JSON])}
        )

    def _post(self, what: str, path: str, body: Any) -> BadRequest:
        content = b"" if body is None else json.dumps(body).encode()
        return BadRequest(what, "POST", self._with_version(path), content, {"Content-Type": JSON})

    def _with_version(self, path: str) -> str:
        return f"{path}?api-version={GA}"

    def _word(self, length: int) -> str:
        return "".join(self._random.choices(string.ascii_lowercase + string.digits, k=length))
