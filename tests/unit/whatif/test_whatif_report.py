"""What the command prints and writes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from jobrouter.command import main
from jobrouter.whatif import search
from jobrouter.whatif.changes import changed
from jobrouter.whatif.report import page
from router.models.types import format_time
from router.replay.comparison import Comparison
from router.replay.figures import Estimate, estimates
from router.replay.history import parse
from tests.unit.whatif.whatif_days import lines, one_job, profile, worker

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
    assert not re.search(r"(src|href)=(?!data:)", written), "it needs nothing else"
    assert whatif(*given, "--json") == 0
    found = json.loads(capsys.readouterr().out)["comparisons"][0]
    level = next(one for one in found["figures"] if one["figure"] == "serviceLevel" and one["dimension"] == "all")
    assert level["difference"]["mean"] == pytest.approx(level["after"]["mean"] - level["before"]["mean"], abs=1e-3)
    assert level["difference"]["half95"] > 0
    assert {one["figure"] for one in found["figures"]} >= {"p50", "p80", "p95", "abandonment", "occupancy", "meanWait"}


def test_several_changes_are_told_in_one_sentence_with_what_they_cost(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {
        "relaxed": {
            "name": "relaxing the skill",
            "jobs": {"selectors": [{"key": "french", "expiresAfterSeconds": 40}]},
        },
        "fewer": {"name": "one less", "workers": {"remove": ["plain-1"]}},
    }
    given = ["--generate", files / "profile.json", "--replications", 2, "--change", files / "change.json"]
    for name, change in others.items():
        (files / f"{name}.json").write_text(json.dumps(change), "utf-8")
        given += ["--change", files / f"{name}.json"]
    html = files / "page.html"
    assert whatif(*given, "--cost-per-hour", 20, "--html", html) == 0
    *_, last = capsys.readouterr().out.splitlines()
    # The profile has two of the three hours for which somebody is added; what a worker less would save is not told.
    assert re.fullmatch(
        r"<one> French speaker more: service level \d+ to \d+ %, cost 40\.00; relaxing the skill: \d+ %, free;"
        r" one less: \d+ %\.",
        last,
    ), last
    assert "relaxing the skill: " in html.read_text("utf-8").split("<h2>")[0]
    assert whatif(*given, "--cost-per-hour", 20, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sentence"] == last


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
    assert "offers were made" not in told.err


def test_that_offers_came_late_is_told_where_nothing_is_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, change = tmp_path / "day.ndjson", tmp_path / "change.json"

    def at(second: int, what: str, **fields: str) -> dict[str, str]:
        return {"at": f"2026-01-05T08:10:{second:02}Z", "what": what, **fields}

    offer = {"workerId": "w", "offerId": "o"}
    lived = one_job(at(0, "queued"), at(30, "offered", **offer), at(31, "accepted", **offer))
    day.write_text("\n".join(lived), "utf-8")
    change.write_text('{"queues": {"q": {"name": "another"}}}', "utf-8")
    assert whatif("--history", day, "--change", change) == 1
    told = capsys.readouterr().err
    assert "mean wait: 31.0 s in reality, 1.0 s in the replay" in told
    assert "1 of 1 offers were made 30.0 s on average after the last thing that happened to their job or worker" in told


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


def test_what_stays_as_it_was_is_told_so() -> None:
    before = [{CELL: {"serviceLevel": 71.0, "p80": 30.2}}, {CELL: {"serviceLevel": 75.0, "p80": 29.8}}]
    found = Comparison("same", 20, before, before)
    assert (
        found.sentence()
        == "same: service level 73 to 73 % (no difference); four of five wait less than 30 s as before."
    )
    written = page([found])
    assert "<td>+0.0 ±0.0" in written, "that there is none is no chance"
    by_chance = page([Comparison("other", 20, before, [before[1], before[0]])])
    assert "<tr class=chance><td>all<td>service level" in by_chance
    assert "<td>≈ +0.0 ±" in by_chance


@pytest.mark.parametrize(("p80", "told"), [(5.0, "2.5"), (4.0, "2"), (2469.0, "1234")])
def test_the_scale_of_a_plot(p80: float, told: str) -> None:
    hours = {("hour", "00"): {"p80": p80}, CELL: {"serviceLevel": 71.0, "p80": p80}}
    assert f">{told}</text>" in page([Comparison("same", 20, [hours], [hours])])


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


def test_a_day_without_jobs_is_nothing_to_play_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "day.ndjson"
    empty.write_text('{"kind":"header","version":1,"from":"2026-01-05T08:00:00Z","to":"2026-01-05T09:00:00Z"}\n')
    assert main(["whatif", "--history", str(empty), "--search", "team"]) == 1
    assert capsys.readouterr().err == f"{empty} tells of no job in its span, so there is nothing to play again.\n"
    assert main(["whatif", "--history", str(tmp_path / "none"), "--search", "team"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/none cannot be read: No such file or directory.\n"


ADDED: dict[str, Any] = {"id": "x", "resource": worker()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": 1}, "a change has no 'extra'"),
        ({"workers": {"hire": [ADDED]}}, "'workers' of a change has no 'hire': add, change, remove, shifts"),
        ({"workers": {"add": [{**ADDED, "until": "10:00"}]}}, "a worker that is added has no 'until'"),
        ({"workers": {"add": [{"id": "x", "resource": {**worker(), "lables": {}}}]}}, "worker 'x' has 'lables'"),
        ({"workers": {"change": {"plain-1": {"lables": {"french": True}}}}}, "worker 'plain-1' has 'lables'"),
        ({"workers": {"shifts": {"plain-1": [{"form": "08:00"}]}}}, "a shift of worker 'plain-1' has no 'form'"),
        ({"workers": {"shifts": {"plain-1": [{"from": "12:00", "to": "10:00"}]}}}, "ends before it begins"),
        ({"workers": {"add": [{"id": "x"}]}}, "'resource' is missing"),
        ({"queues": {"q": {"distributionPolicy": "d"}}}, "queue 'q' has 'distributionPolicy'"),
        (
            {"queues": {"q": {"distributionPolicyId": "e"}}},
            "queue 'q' names distributionPolicy 'e', which is not there",
        ),
        ({"distributionPolicies": {"d": {"mode": {"kind": "roundRobin", "most": 2}}}}, "has 'mode.most'"),
        ({"distributionPolicies": {"d": {"mode": {"kind": "fastest"}}}}, "change: mode: "),
        ({"jobs": {"selector": []}}, "'jobs' of a change has no 'selector'"),
        ({"jobs": {"selectors": [{"key": "french", "expiresAfterSeconds": "soon"}]}}, "it cannot be read"),
    ],
)
def test_nothing_of_a_change_is_passed_over(
    files: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    """A slip would change nothing, and the answer would be that it makes no difference."""
    (files / "slip.json").write_text(json.dumps(change), "utf-8")
    assert whatif("--history", files / "day.ndjson", "--change", files / "slip.json", "--replications", 1) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answerSecs": 5}, "has no 'answerSecs'"),
        ({"arrivals": [60, -1]}, "not below 0"),
        ({"jobs": []}, "no kind of jobs has a share"),
        ({"queues": {"other": {"distributionPolicyId": "d"}}}, "queue 'q' of a job is not in it"),
        ({"jobs": {"handleSeconds": 0}}, "above 0"),
        ({"jobs": {"patienceSeconds": -1}}, "above 0"),
        ({"jobs": {"handleSeconds": {"mean": 3, "deviation": 1}}}, "has no 'deviation'"),
        ({"jobs": {"patience": 1}}, "jobs, number 1 has no 'patience'"),
        ({"jobs": {"resource": {"queueId": "q", "channel": "voice"}}}, "profile.json: channelId: "),
        ({"jobs": {"resource": {"queueId": "q", "channelId": "voice", "prio": 1}}}, "has 'prio'"),
    ],
)
def test_nothing_of_a_profile_is_passed_over(
    files: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    made = profile(hours=2)
    kind = changes.pop("jobs", None)
    if isinstance(kind, dict):
        made["jobs"][0] |= kind
    elif kind is not None:
        made["jobs"] = kind
    (files / "profile.json").write_text(json.dumps(made | changes), "utf-8")
    assert whatif("--generate", files / "profile.json", "--search", "team", "--replications", 1) == 2
    assert said in capsys.readouterr().err


def test_a_label_that_nobody_asks_for_is_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = {"jobs": {"selectors": [{"key": "frensh", "expiresAfterSeconds": 40}]}}
    (files / "slip.json").write_text(json.dumps(change), "utf-8")
    assert whatif("--history", files / "day.ndjson", "--change", files / "slip.json", "--replications", 2) == 0
    told = capsys.readouterr()
    assert told.err == "note: no job asks for 'frensh'\n"
    assert "(no difference)" in told.out


def test_a_page_that_cannot_be_written_is_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--history", files / "day.ndjson", "--change", files / "change.json", "--replications", 1]
    assert whatif(*given, "--html", files / "no" / "page.html") == 2
    told = capsys.readouterr()
    assert "page.html cannot be written" in told.err
    assert not told.out


def test_a_day_on_which_nobody_was_served_is_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "day.ndjson"
    file.write_text("\n".join(one_job({"at": "2026-01-05T08:10:00Z", "what": "queued"})), "utf-8")
    assert whatif("--history", file, "--search", "policy") == 1
    assert "no job that was assigned or left" in capsys.readouterr().err


def test_times_of_the_day_are_utc_on_a_day_of_25_hours_too() -> None:
    """The clock goes back at 03:00 of that day: 10:00 is one time, whatever the offset at its begin."""
    header = {"kind": "header", "version": 1, "from": "2026-10-25T00:00:00+02:00", "to": "2026-10-26T00:00:00+01:00"}
    day = parse([json.dumps(header)], "f")
    assert (day.ends - day.begins).total_seconds() == 25 * 3600
    (begins, ends) = (
        changed(day, {"workers": {"add": [{**ADDED, "from": "10:00", "to": "22:30"}]}}).workers["x"].entries
    )
    assert (format_time(begins.at), format_time(ends.at)) == (
        "2026-10-25T10:00:00+00:00",
        "2026-10-25T22:30:00+00:00",
    )


def test_what_a_worker_more_costs_is_by_the_hours_that_are_left_of_the_day() -> None:
    tried = search.team(parse(lines(), "f"))
    assert {hours for change, hours in tried if change["name"].endswith("from 08:00 to 10:00")} == {2.0}
    assert {hours for change, hours in tried if change["name"].endswith("from 10:00 to 11:00")} == {1.0}
