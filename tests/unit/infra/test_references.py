"""Templates and code agree on every name; a name that changes on one side only is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_deployment
from scripts.deployment import app, compiler, references, runbook
from tests.unit.infra.conftest import ROOT, replace


def test_the_deployment_fits_together() -> None:
    assert check_deployment.problems(ROOT, None) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("infra/event-subscriptions.json", '"OnJobEvent"', '"OnJob"', "wakes OnJob, which does not exist"),
        ("infra/event-subscriptions.json", '"OnJobEvent"', '"OnDeadlines"', "OnDeadlines has no Event Grid trigger"),
        ("infra/event-subscriptions.json", '"OnExceptionEvent"', '"OnJobEvent"', "nothing wakes OnExceptionEvent"),
        ("infra/event-subscriptions.json", "RouterJobUnassigned", "RouterJobUnassign", "is never published"),
        ("infra/event-subscriptions.json", '"router-worker"', '"router-job"', "names repeat"),
        ("infra/event-subscriptions.json", '      "Microsoft.Communication.RouterJobReceived",\n', "",
         "router-job: RouterJobReceived is in only one"),
        ("infra/event-subscriptions.json", "RouterJobExceptionTriggered", "RouterJobQueued", "router-exception: RouterJobQueued is in"),
        ("infra/event-subscriptions.json", '"router-exception"', '"router-exceptions"', "the subscription router-exception is in only"),
        ("infra/event-subscriptions.json", '"OnExceptionEvent"', '"OnWorkerEvent"', "router-exception wakes OnWorkerEvent, scripts"),
        ("infra/alerts.json", "max(valueMax)", "max(valueMaxx)", "valueMaxx is no column of customMetrics"),
        ("infra/alerts.json", "| summarize Seconds", "| summarise Seconds", "summarise is no column"),
        ("infra/alerts.json", "timestamp < ago(5m)", "TimeGenerated < ago(5m)", "TimeGenerated is no column of customMetrics"),
        ("infra/alerts.json", '"PT5M"', '"PT5"', "evaluationFrequency PT5 is unknown"),
        ("infra/alerts.json", '"Maximum"', '"Max"', "timeAggregation Max is unknown"),
        ("infra/cap-alerts.json", "IsBillable", "Billable", "Billable is no column of Usage"),
        ("infra/cap-alerts.json", "_LogOperation", "_LogOperations", "a query reads no known table: _LogOperations"),
        ("infra/incoming-operations.kql", "    EntityId = ", "    Entity = ", "incoming-operations.kql: Entity is in only one"),
        ("infra/incoming-operations.kql", "    URI = Url,\n", "", "URI is in only one of the query and ACS's table"),
        ("infra/incoming-operations.kql", "ClientIP", "ClientIp", "ClientIp is no column of AppRequests"),
        ("docs/metrics.md", "percentiles(DurationMs,", "percentiles(Duration,", "Duration is no column of ACSJobRouterIncomingOperations"),
        ("infra/workbook.json", "customMetrics", "customMetricz", "a query reads no known table: customMetricz"),
        ("infra/workbook.json", "sum(valueCount)", "sum(valueCounts)", "valueCounts is no column of customMetrics"),
        ("infra/workbook.json", "by duration desc", "by durationMs desc", "durationMs is no column of dependencies"),
        ("docs/operations.md", "outerMessage", "outermostMessage", "outermostMessage is no column of exceptions"),
        ("docs/operations.md", "`router-exception`", "`router-exceptions`", "no event subscription or secret router-exceptions"),
        ("docs/deployment.md", "`OnDeadlines`", "`OnTimer`", "docs/deployment.md: function OnTimer does not exist"),
        ("infra/main.bicep", "'function:OnDeadlines'", "'function:OnTimer'", "function OnTimer does not exist"),
        ("infra/main.bicep", "'function:OnDeadlines'", "'function:OnJobEvent'", "OnJobEvent is in the group http"),
        ("infra/workbook.json", '\\"ApiRequestRouter\\"', '\\"ApiRequests\\"', "no metric or span is called ApiRequests"),
        ("infra/workbook.json", "customDimensions.StatusSubClass", "customDimensions.Status", "no dimension is called Status"),
        ("infra/workbook.json", '"version": "Notebook', '"version" "Notebook', "is no JSON"),
        ("infra/event-subscriptions.json", '"function"', '"handler"', "a subscription has no function"),
        ("infra/event-subscriptions.json", '"name": ', '"name" ', "Expecting ':' delimiter"),
        ("infra/workbook.json", "Notebook/1.0", "Notebook/9.9", "is not Notebook/1.0"),
        ("infra/workbook.json", '"items"', '"elements"', "shows nothing"),
        ("infra/workbook.json", '"query": "customMetrics', '"kql": "customMetrics', "has no query"),
        ("infra/workbook.json", "{Operation}", "{Operations}", "no parameter is called Operations"),
        ("infra/workbook.json", '"name": "TimeRange"', '"name": "Time"', "no parameter is called TimeRange"),
        ("infra/alerts.json", "router.outbox.age", "router.outbox.lag", "router.outbox.lag"),
        ("infra/alerts.json", '"metricMeasureColumn": "Share"', '"metricMeasureColumn": "Part"', "has no column Part"),
        ("infra/alerts.json", '"GreaterThan"', '"MoreThan"', "operator MoreThan is unknown"),
        ("infra/alerts.json", '"name": ', '"name" ', "is no JSON"),
        ("infra/main.bicep", "output AZURE_DATA_ACCOUNT_NAME", "output DATA", "has no output AZURE_DATA_ACCOUNT_NAME"),
        ("infra/app/vault.bicep", "'router-access-keys'", "'keys'", "the vault has no secret router-access-keys"),
        ("docs/operations.md", "router.reconciliations", "router.runs", "no metric or span is called router.runs"),
        ("docs/operations.md", "customDimensions.StatusCode", "customDimensions.Code", "no dimension is called Code"),
        ("docs/metrics.md", "`router.outbox.age`", "`router.outbox.lag`", "docs/metrics.md: no metric, dimension"),
        ("docs/security.md", "| Key Vault Secrets User |", "| Key Vault Reader |", "Key Vault Secrets User is in only one"),
        ("docs/security.md", "`ROUTER_RATE_LIMIT`", "`ROUTER_RATES`", "ROUTER_RATES is no setting"),
        ("docs/deployment.md", "`ROUTER_RATE_LIMIT`", "the limit", "the setting ROUTER_RATE_LIMIT is not described"),
        ("docs/deployment.md", "`zoneRedundant`", "zones", "the parameter zoneRedundant is not described"),
        ("docs/deployment.md", "`ROUTER_TABLES_PREFIX`", "`ROUTER_TABLES_PREFIXES`", "ROUTER_TABLES_PREFIXES is no setting"),
    ],
)  # fmt: skip
def test_a_name_changed_in_the_deployment_is_seen(
    project: Path, the_app: app.App, file: str, old: str, new: str, said: str
) -> None:
    replace(project / file, old, new)
    found = list(references.problems(project, the_app))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("infra/alerts.json", "events are published late", "events come late", "the alert 'events come late' is not in the daily look"),
        ("docs/operations.md", "| telemetry nears its daily cap |", "| much telemetry |", "'telemetry nears its daily cap' is not in"),
        ("docs/operations.md", "`router-exception`", "the last", "the event subscription router-exception is not named"),
        ("docs/operations.md", "--metrics PublishFailCount", "--metrics PublishFailures", "PublishFailures is not a metric"),
        ("docs/operations.md", "Error eq '*'", "EventSubscriptionName eq '*'", "PublishFailCount has no dimension EventSubscriptionName"),
        ("docs/operations.md", "ResponseType eq", "Response eq", "Transactions has no dimension Response"),
        ("docs/operations.md", 'workbook "Job Router"', 'workbook "Router"', "no workbook is called Router"),
        ("infra/app/dashboards.bicep", "displayName: 'Job Router'", "displayName: 'Jobs'", "no workbook is called Job Router"),
        ("infra/app/dashboards.bicep", "'{dailyCapGB}'", "'{cap}'", "does not fill in {dailyCapGB}"),
    ],
)  # fmt: skip
def test_a_name_that_the_runbook_has_alone_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    assert list(runbook.problems(project)) == []
    replace(project / file, old, new)
    found = list(runbook.problems(project))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("router/telemetry/names.py", '"router.outbox.age"', '"router.outbox.wait"', "no metric or span is called router.outbox.age"),
        ("router/telemetry/names.py", '"StatusSubClass"', '"StatusClass"', "no dimension is called StatusSubClass"),
        ("router/api/triggers.py", '"OnWorkerEvent"', '"OnWorker"', "wakes OnWorkerEvent, which does not exist"),
        ("router/api/triggers.py", '"OnDeadlines"', '"OnTimer"', "function OnDeadlines does not exist"),
        ("router/settings.py", "ROUTER_RATE_LIMIT", "ROUTER_LIMIT", "ROUTER_RATE_LIMIT is no setting"),
        ("router/models/event_catalogue.py", '"RouterWorkerRegistered"', '"RouterWorkerArrived"', "RouterWorkerRegistered, which is never"),
    ],
)  # fmt: skip
def test_a_name_changed_in_the_code_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = check_deployment.problems(project, None)
    assert any(said in problem for problem in found), found


def test_a_setting_of_the_sample_that_nothing_reads_is_seen(project: Path, the_app: app.App) -> None:
    (project / "local.settings.sample.json").write_text('{"Values": {"ROUTER_RATE_LIMITS": "0"}}')
    assert list(references.problems(project, the_app)) == [
        "local.settings.sample.json: nothing reads ROUTER_RATE_LIMITS"
    ]


def test_an_app_that_cannot_be_imported_is_a_problem_and_not_a_crash(project: Path) -> None:
    (project / "function_app.py").write_text("import nothing_of_that_name\n")
    assert any("nothing_of_that_name" in problem for problem in check_deployment.problems(project, None))


def test_without_a_compiler_the_rest_is_checked_and_that_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "find", lambda: None)
    assert check_deployment.main(["--root", str(project)]) == 0
    assert "bicep is neither on PATH nor installed by az" in capsys.readouterr().out
    replace(project / "infra/event-subscriptions.json", '"OnJobEvent"', '"OnJob"')
    assert check_deployment.main(["--root", str(project)]) == 1
    assert "wakes OnJob, which does not exist" in capsys.readouterr().out


def test_a_compiler_that_does_not_run_is_an_error_and_no_pass(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "find", lambda: "true")
    assert check_deployment.main(["--root", str(project)]) == 1
    assert "true ended at bicep/format" in capsys.readouterr().err
