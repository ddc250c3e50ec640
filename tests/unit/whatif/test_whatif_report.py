"""What the command prints and writes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from jobrouter.command import main
from jobrouter.whatif.figures import Estimate, estimates
from jobrouter.whatif.report import Comparison, page
from tests.unit.whatif.whatif_days import lines, profile, worker

CELL = ("all", "")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "day.ndjson").write_text("\n".join(lines()), "utf-8")
    (tmp_path / "profile.json").write_text(json.dumps(profile(hours=2)), "utf-8")
    more = {"id": "x", "resource": worker(french=True), "from": "08:00", "to": "11:00"}
    (tmp_path / "change.json").write_text(
        json.dumps({"name": "<one> French speaker more", "workers": {"add": [more]}}), "utf-8"
    )
    return tmp_path


def whatif(*arguments: Any) -> int:
    return main(["whatif", *(str(one) for one in arguments)])


def test_a_change_beside_the_day(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = files / "page.html"
    given = ["--history", files / "day.ndjson", "--change", files / "change.json", "--replications", 3]
    assert whatif(*given, "--html", html) == 0
    printed = capsys.readouterr().out
    assert "<one> French speaker more: service level" in printed
    assert re.search(r"hour 01 +service level +[\d.]+ ±[\d.]+ %", printed)
    assert "skill french=True" in printed
    written = html.read_text("utf-8")
    assert "&lt;one&gt;" in written
    assert "<one>" not in written
    assert written.count("<svg") == 3
    assert not re.search(r"(src|href)=", written), "it needs nothing else"
    assert whatif(*given, "--json") == 0
    found = json.loads(capsys.readouterr().out)["comparisons"][0]
    level = next(one for one in found["figures"] if one["figure"] == "serviceLevel" and one["dimension"] == "all")
    assert level["difference"]["mean"] == pytest.approx(level["after"]["mean"] - level["before"]["mean"], abs=1e-3)
    assert level["difference"]["half95"] > 0
    assert {one["figure"] for one in found["figures"]} >= {"p50", "p80", "p95", "abandonment", "occupancy", "meanWait"}


def test_days_of_a_profile(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--generate", files / "profile.json", "--change", files / "change.json", "--replications", 2]
    assert whatif(*given, "--json") == 0
    first = capsys.readouterr().out
    assert whatif(*given, "--json") == 0
    assert capsys.readouterr().out == first, "the same draws"


def test_what_cannot_be_believed_predicts_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = files / "day.ndjson"
    kept = [line for line in day.read_text("utf-8").splitlines() if '"id": "french-' not in line]
    day.write_text("\n".join(kept), "utf-8")
    assert whatif("--history", day, "--change", files / "change.json") == 1
    told = capsys.readouterr()
    assert "nothing is predicted" in told.err
    assert re.search(r"mean wait: [\d.]+ s in reality, [\d.]+ s in the replay; most in queue 'q' from hour", told.err)
    assert told.out == ""


def test_a_search_prints_the_best_first(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert whatif("--generate", files / "profile.json", "--search", "policy", "--replications", 1, "--json") == 0
    tried = json.loads(capsys.readouterr().out)["tried"]
    assert len(tried) == 6
    reached = [one["serviceLevel"] >= 80 for one in tried]
    assert reached == sorted(reached, reverse=True)


def test_bad_input(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert whatif("--history", files / "day.ndjson") == 2
    (files / "profile.json").write_text('{"from": "2026-01-05T08:00:00Z"}', "utf-8")
    assert whatif("--generate", files / "profile.json", "--search", "team") == 2
    (files / "change.json").write_text("[", "utf-8")
    assert whatif("--history", files / "day.ndjson", "--change", files / "change.json") == 2
    with (files / "day.ndjson").open("a") as file:
        file.write("\n{")
    assert whatif("--history", files / "day.ndjson", "--search", "team") == 2
    assert re.search(r"day\.ndjson:\d+: it is no JSON", capsys.readouterr().err)


def test_intervals() -> None:
    found = estimates([{CELL: {"p50": value}} for value in (1.0, 2.0, 3.0)])[CELL]["p50"]
    assert found.mean == 2
    assert found.half == pytest.approx(4.30 / math.sqrt(3))
    assert estimates([{CELL: {"p50": 1.0}}])[CELL]["p50"] == Estimate(1.0, math.inf)


def test_one_replication_has_no_interval() -> None:
    one = {CELL: {"serviceLevel": 71.0, "p80": 30.0}, ("hour", "00"): {"serviceLevel": 71.0, "p80": 30.0}}
    other = {CELL: {"serviceLevel": 83.0, "p80": 400.0}, ("hour", "00"): {"serviceLevel": 83.0, "p80": 400.0}}
    found = Comparison("more", 20, [one], [other])
    assert found.sentence() == ("more: service level 71 to 83 %; four of five wait less than 6.7 min instead of 30 s.")
    assert "±" not in page([found]).split("<p>±")[0]


def test_shadow_policies(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A queue's label names the candidate; the policy as it is at the day's end counts, whenever it was made."""
    day = files / "shadow.ndjson"
    made = profile(hours=2)
    made["queues"]["q"]["labels"] = {"shadowPolicyId": "c"}
    given = lines(made)
    candidate = {"offerExpiresAfterSeconds": 60, "mode": {"kind": "longestIdle", "bypassSelectors": True}}
    at = "2026-01-05T09:59:00Z"
    made_late = {
        "kind": "distributionPolicy",
        "id": "c",
        "resource": None,
        "changes": [{"at": at, "resource": candidate}],
    }
    day.write_text("\n".join([*given, json.dumps(made_late)]), "utf-8")
    assert whatif("--history", day, "--shadow", "--replications", 2, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert found["name"] == "queue 'q' with policy 'c' instead of 'd'"
    waits = next(one for one in found["figures"] if one["figure"] == "meanWait" and one["dimension"] == "all")
    assert waits["difference"]["mean"] < 0, "who may be served by anybody waits less"
    day.write_text("\n".join(given), "utf-8")
    assert whatif("--history", day, "--shadow") == 2
    assert "'c' is no distribution policy of the file" in capsys.readouterr().err
    assert whatif("--history", files / "day.ndjson", "--shadow") == 2
    assert "no queue names a candidate policy" in capsys.readouterr().err
