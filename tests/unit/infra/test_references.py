"""Templates and code agree on every name; a name that changes on one side only is seen."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from router import settings
from scripts import check_deployment
from scripts.deployment import app, references, runbook
from scripts.deployment.bicep import BicepFile, every_property, text
from tests.unit.infra.conftest import ROOT, replace


@pytest.fixture(scope="module")
def the_app() -> app.App:
    answer = app.ask(ROOT)
    assert isinstance(answer, app.App), answer
    return answer


def test_the_deployment_fits_together() -> None:
    assert check_deployment.problems(ROOT) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("infra/app/function.bicep", "ROUTER_TABLES_ENDPOINT:", "ROUTER_TABLE_ENDPOINT:",
         "nothing reads the setting ROUTER_TABLE_ENDPOINT"),
        ("infra/app/function.bicep", "ROUTER_ACCESS_KEYS:", "ROUTER_RATE_LIMIT:", "the setting ROUTER_ACCESS_KEYS is required"),
        ("infra/app/function.bicep", "AzureWebJobsDisableHomepage:", "FUNCTIONS_WORKER_RUNTIME:", "is retired on Flex"),
        ("infra/app/function.bicep", "  AzureWebJobsStorage__credential: 'managedidentity'\n", "", "__credential is required"),
        ("infra/app/function.bicep", "ROUTER_SECRETS_KEY: policyKeyReference", "ROUTER_SECRETS_KEY: name", "must be a Key Vault reference"),
        ("infra/app/function.bicep", "ROUTER_TABLES_ENDPOINT: tablesEndpoint\n", "", "the setting ROUTER_TABLES_ENDPOINT is required"),
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
        ("infra/app/function.bicep", "empty(entraTenantId) || empty(entraAudience) ?", "empty(entraTenantId) ?",
         "ROUTER_ENTRA_AUDIENCE is set although entraAudience may be empty"),
        ("infra/app/function.bicep", "empty(tablesPrefix) ?", "empty(entraTenantId) ?", "although tablesPrefix may be empty"),
        ("infra/alerts.json", "max(valueMax)", "max(valueMaxx)", "valueMaxx is no column of customMetrics"),
        ("infra/alerts.json", "| summarize Seconds", "| summarise Seconds", "summarise is no column"),
        ("infra/alerts.json", "timestamp < ago(5m)", "TimeGenerated < ago(5m)", "TimeGenerated is no column of customMetrics"),
        ("infra/alerts.json", '"PT5M"', '"PT5"', "evaluationFrequency PT5 is unknown"),
        ("infra/alerts.json", '"Maximum"', '"Max"', "timeAggregation Max is unknown"),
        ("infra/cap-alerts.json", "IsBillable", "Billable", "Billable is no column of Usage"),
        ("infra/cap-alerts.json", "_LogOperation", "_LogOperations", "a query reads no known table: _LogOperations"),
        ("infra/workbook.json", "customMetrics", "customMetricz", "a query reads no known table: customMetricz"),
        ("infra/workbook.json", "sum(valueCount)", "sum(valueCounts)", "valueCounts is no column of customMetrics"),
        ("infra/workbook.json", "by duration desc", "by durationMs desc", "durationMs is no column of dependencies"),
        ("docs/operations.md", "outerMessage", "outermostMessage", "outermostMessage is no column of exceptions"),
        ("docs/operations.md", "`router-exception`", "`router-exceptions`", "no event subscription or secret router-exceptions"),
        ("docs/deployment.md", "`OnDeadlines`", "`OnTimer`", "docs/deployment.md: function OnTimer does not exist"),
        ("infra/main.bicep", "'function:OnDeadlines'", "'function:OnTimer'", "function OnTimer does not exist"),
        ("infra/app/cosmos.bicep", "  'members'\n", "", "table members is in only one"),
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
        ("router/settings.py", "ROUTER_RATE_LIMIT", "ROUTER_LIMIT", "nothing reads the setting ROUTER_RATE_LIMIT"),
        ("router/models/event_catalogue.py", '"RouterWorkerRegistered"', '"RouterWorkerArrived"', "RouterWorkerRegistered, which is never"),
        ("router/storage/azure.py", '"throughput"', '"rates"', "table rates is in only one"),
    ],
)  # fmt: skip
def test_a_name_changed_in_the_code_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = check_deployment.problems(project)
    assert any(said in problem for problem in found), found


def test_the_app_accepts_the_values_that_the_templates_set() -> None:
    """As Azure hands them over: references resolved, endpoints as the resources' outputs look."""
    file = BicepFile(ROOT / "infra/app/function.bicep")
    known = {
        "hostBlobEndpoint": "https://sthost.blob.core.windows.net/",
        "identityClientId": "11111111-2222-3333-4444-555555555555",
        "applicationInsightsConnectionString": "InstrumentationKey=7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001;IngestionEndpoint=https://x.in.applicationinsights.azure.com/",
        "tablesEndpoint": "https://strouter.table.core.windows.net/",
        "accessKeysReference": f"{base64.b64encode(bytes(32)).decode()},{base64.b64encode(bytes(range(32))).decode()}",
        "policyKeyReference": base64.b64encode(bytes(32)).decode(),
        "topicEndpoint": "https://evgt.westeurope-1.eventgrid.azure.net/api/events",
        "eventSchema": "CloudEvents",
        "string(rateLimit)": "1000",
        "rulesAllowPrivateNetworks ? 'true' : 'false'": "false",
        "tablesPrefix": "one",
        "entraTenantId": "11111111-2222-3333-4444-555555555555",
        "entraAudience": "api://job-router",
    }
    environment = {}
    for name, value in file.variables.items():
        if name.endswith("Settings"):
            for setting, expression in every_property(value):
                written = text(expression)
                environment[setting] = written.strip("'") if written.startswith("'") else known[written]
    loaded = settings.load(environment)
    assert loaded.tables_endpoint == "https://strouter.table.core.windows.net/"
    assert loaded.tables_connection_string is None
    assert loaded.eventgrid_key is None
    assert (len(loaded.access_keys), loaded.rate_limit, loaded.tables_prefix) == (2, 1000, "one")
    assert loaded.client_id == environment["AzureWebJobsStorage__clientId"]


def test_a_setting_of_the_sample_that_nothing_reads_is_seen(project: Path, the_app: app.App) -> None:
    (project / "local.settings.sample.json").write_text('{"Values": {"ROUTER_RATE_LIMITS": "0"}}')
    assert list(references.problems(project, the_app)) == [
        "local.settings.sample.json: nothing reads ROUTER_RATE_LIMITS"
    ]


def test_an_app_that_cannot_be_imported_is_a_problem_and_not_a_crash(project: Path) -> None:
    (project / "function_app.py").write_text("import nothing_of_that_name\n")
    assert any("nothing_of_that_name" in problem for problem in check_deployment.problems(project))


def test_the_command_fails_when_something_is_broken(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_deployment.main(["--root", str(project)]) == 0
    replace(project / "infra/event-subscriptions.json", '"OnJobEvent"', '"OnJob"')
    assert check_deployment.main(["--root", str(project)]) == 1
    assert "wakes OnJob, which does not exist" in capsys.readouterr().out
