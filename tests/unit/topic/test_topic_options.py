"""The command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.topic import subscriptions
from local.topic.options import DEFAULT_RETRY_SCHEDULE, parse_options
from local.topic.schemas import Schema

PAGE = Path(__file__).parents[3] / "docs" / "local-topic.md"

NEEDED = ["--port", "7000", "--key", "k", "--data-dir", "d", "--subscriptions", "s.json"]


def test_what_must_be_said_is_enough() -> None:
    options = parse_options(NEEDED)
    assert (options.port, options.keys, options.data_dir, options.subscriptions) == (
        7000,
        ("k",),
        Path("d"),
        Path("s.json"),
    )
    assert (options.schema, options.retry_schedule) == (Schema.EVENT_GRID, DEFAULT_RETRY_SCHEDULE)


def test_everything_may_be_said() -> None:
    options = parse_options([*NEEDED, "--key", "l", "--schema", "cloudevents", "--retry-schedule", "0.5, 2,10"])
    assert options.keys == ("k", "l")
    assert options.schema is Schema.CLOUD_EVENTS
    assert options.retry_schedule == (0.5, 2, 10)


@pytest.mark.parametrize(
    "more",
    [
        ["--port", "0"],
        ["--schema", "Custom"],
        ["--retry-schedule", "soon"],
        ["--retry-schedule", "0"],
        ["--retry-schedule", ""],
        ["--concurrency", "0"],
        ["--delivery-timeout", "0"],
    ],
)
def test_what_makes_no_sense_is_refused(more: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(NEEDED + more)


def test_the_documentation_names_every_option_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    page = PAGE.read_text()
    assert len(options) == 9
    assert [name for name in sorted(options | subscriptions._FIELDS) if f"`{name}`" not in page] == []


def test_the_documentation_shows_the_default_retry_schedule() -> None:
    assert ",".join(f"{step:g}" for step in DEFAULT_RETRY_SCHEDULE) in PAGE.read_text()
