"""Route templates: matching, order, what is refused, and how paths are decoded."""

from __future__ import annotations

import pytest

from local.host.routes import RouteError, Router, decode_path, make_route, match_complex, parse_template, unreachable


def router(*routes: tuple[str, str, list[str] | None]) -> Router:
    return Router(make_route(name, template, methods) for name, template, methods in routes)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("health", "/health", {}),
        ("Health", "/hEALTH/", {}),
        ("routing/jobs/{jobId}", "/routing/jobs/a b", {"jobId": "a b"}),
        ("routing/jobs/{jobId}", "/ROUTING/Jobs/MyJob", {"jobId": "MyJob"}),
        ("routing/jobs/{jobId}", "/routing/jobs/a%2Fb", {"jobId": "a%2Fb"}),
        ("jobs/{jobId}:cancel", "/jobs/1:cancel", {"jobId": "1"}),
        ("jobs/{jobId}:cancel", "/jobs/a:cancel:cancel", {"jobId": "a:cancel"}),
        ("jobs/{jobId}:cancel", "/jobs/1:CANCEL", {"jobId": "1"}),
        ("jobs/{jobId}/assignments/{a}:close", "/jobs/x:y/assignments/z:close", {"jobId": "x:y", "a": "z"}),
        ("files/{name}.{ext}", "/files/a.b.c", {"name": "a.b", "ext": "c"}),
        ("v{major}-{minor}", "/v1-2-3", {"major": "1-2", "minor": "3"}),
        ("{*path}", "/", {}),
        ("{*path}", "/a//b/c", {"path": "a//b/c"}),
        ("x/{*path}", "/x", {}),
        ("x/{id?}", "/x", {}),
        ("x/{id?}", "/x/1", {"id": "1"}),
    ],
)
def test_a_path_that_fits(template: str, path: str, values: dict[str, str]) -> None:
    assert router(("F", template, None)).find("GET", path) == ("F", values)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("health", "/health/x"),
        ("health", "/"),
        ("jobs/{jobId}", "/jobs"),
        ("jobs/{jobId}", "/jobs//"),
        ("jobs/{jobId}", "/jobs/1/2"),
        ("jobs/{jobId}:cancel", "/jobs/:cancel"),
        ("jobs/{jobId}:cancel", "/jobs/1:cancelled"),
        ("jobs/{jobId}:cancel", "/jobs/1:close"),
        ("jobs/{jobId}:cancel", "/jobs/1"),
        ("files/{name}.{ext}", "/files/.c"),
        ("{*path}", "//double"),
    ],
)
def test_a_path_that_does_not_fit(template: str, path: str) -> None:
    assert router(("F", template, None)).find("GET", path) is None


def test_routes_are_tried_in_alphabetical_order_of_function_names() -> None:
    routes = router(("b", "things/{id}", None), ("C", "things/mine", None), ("A", "things/{id}:go", None))
    assert routes.find("GET", "/things/mine") == ("b", {"id": "mine"})
    assert routes.find("GET", "/things/1:go") == ("A", {"id": "1"})


def test_the_method_is_part_of_the_route() -> None:
    routes = router(("Get", "jobs/{id}", ["GET"]), ("Upsert", "jobs/{id}", ["patch"]), ("Z", "{*path}", None))
    assert routes.find("GET", "/jobs/1") == ("Get", {"id": "1"})
    assert routes.find("PATCH", "/jobs/1") == ("Upsert", {"id": "1"})
    assert routes.find("POST", "/jobs/1") == ("Z", {"path": "jobs/1"})
    assert routes.find("HEAD", "/jobs/1") == ("Z", {"path": "jobs/1"}), "HEAD goes nowhere by itself"


def test_the_prefix_of_host_json_stands_before_every_route() -> None:
    routes = Router([make_route("F", "jobs", ["GET"], "api")])
    assert routes.find("GET", "/api/jobs") == ("F", {})
    assert routes.find("GET", "/jobs") is None


def test_a_function_hidden_by_an_earlier_one_is_named() -> None:
    catch_all = make_route("Fallback", "{*path}", None)
    [message] = unreachable([make_route("Get", "jobs/{id}", ["GET"]), catch_all])
    assert "Fallback" in message
    assert "Get" in message
    assert unreachable([make_route("Get", "jobs/{id}", ["GET"]), make_route("ZFallback", "{*path}", None)]) == []


def test_the_same_route_for_the_same_method_twice_is_named() -> None:
    assert unreachable([make_route("A", "jobs/{id}", ["GET", "PUT"]), make_route("B", "Jobs/{other}", ["PUT"])])
    assert not unreachable([make_route("A", "jobs/{id}", ["GET"]), make_route("B", "jobs/{id}", ["PUT"])])
    assert not unreachable([make_route("A", "jobs/{id}:go", ["PUT"]), make_route("B", "jobs/{id}", ["PUT"])])


@pytest.mark.parametrize(
    "template",
    [
        "/jobs",
        "~/jobs",
        "jobs?x",
        "a//b",
        "jobs/{id",
        "jobs/id}",
        "jobs/{}",
        "{a}{b}",
        "{*p}/x",
        "{id}/{ID}",
        "{id:int}",
        "x{*p}",
    ],
)
def test_a_template_that_the_platform_or_this_host_refuses(template: str) -> None:
    with pytest.raises(RouteError):
        parse_template(template)


def test_folding_keeps_positions_of_letters_whose_lower_case_is_longer() -> None:
    [segment] = parse_template("{id}:Go")
    assert match_complex(segment, "İİ:gO") == {"id": "İİ"}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/a%20b", "/a b"),
        ("/a%2Fb%2fc", "/a%2Fb%2fc"),
        ("/a%252Fb", "/a%2Fb"),
        ("/%C3%A4%2F%C3%A4", "/ä%2Fä"),
        ("/%FF", "/%FF"),
        ("/100%", "/100%"),
        ("/a+b", "/a+b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2E%2E/../b", "/b"),
        ("/a/..", "/"),
        ("/a.b/c..", "/a.b/c.."),
    ],
)
def test_decoding_a_path_as_the_platform_does(raw: str, path: str) -> None:
    assert decode_path(raw) == path


def test_a_path_with_a_null_is_refused() -> None:
    assert decode_path("/a%00b") is None
