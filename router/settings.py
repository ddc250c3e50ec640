"""The settings, read in one place from the environment: typed, and refused by name when missing or malformed."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Days for which the history is kept.
DEFAULT_HISTORY_DAYS: Final = 30
MOST_HISTORY_DAYS: Final = 400
_OF_PYTHON: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME", "SYSTEMROOT")


@dataclass(frozen=True)
class Setting:
    """One setting: its name, what it is for, and whether the app needs it (alone or as one of a pair)."""

    name: str
    purpose: str
    required: bool = False
    secret: bool = False


SETTINGS: Final = (
    Setting(
        "ROUTER_TABLES_CONNECTION_STRING",
        "Connection string of the storage account of the tables",
        secret=True,
    ),
    Setting(
        "ROUTER_TABLES_ENDPOINT",
        "Table endpoint, for managed identity (instead of a connection string)",
    ),
    Setting("ROUTER_TABLES_PREFIX", "Put before table names, so that several routers share an account"),
    Setting("ROUTER_ACCESS_KEYS", "One or two access keys, base64, comma-separated", required=True, secret=True),
    Setting("ROUTER_EVENTGRID_ENDPOINT", "Endpoint of the Event Grid custom topic", required=True),
    Setting("ROUTER_EVENTGRID_KEY", "Key of the topic; without it managed identity is used", secret=True),
    Setting("ROUTER_EVENTGRID_SCHEMA", "Schema of the topic: EventGrid (default) or CloudEvents"),
    Setting("ROUTER_ENTRA_TENANT_ID", "Tenant whose Microsoft Entra ID tokens are accepted (with the audience)"),
    Setting("ROUTER_ENTRA_AUDIENCE", "Audience that those tokens must name; several are comma-separated"),
    Setting("ROUTER_ENTRA_AUTHORITY", "Authority of the tenant; default https://login.microsoftonline.com"),
    Setting("ROUTER_ENTRA_CLIENT_ID", "App registration by which the console signs in; default: the audience's own"),
    Setting("ROUTER_ENTRA_ROLES", "optional (default): a token without a Router role has every right; or required"),
    Setting("ROUTER_READ_KEYS", "Access keys that only read, base64, comma-separated, at most 10", secret=True),
    Setting("ROUTER_SECRETS_KEY", "32 bytes, base64: encrypts secrets in policies; several for rotation", secret=True),
    Setting("ROUTER_RULES_ALLOW_PRIVATE_NETWORKS", "true: function and webhook rules may call private addresses"),
    Setting("ROUTER_RULES_ALLOW_HTTP_LOOPBACK", "true: rules may call http on loopback (development only)"),
    Setting("ROUTER_CORS_ORIGINS", "Origins of web pages that may call the API, comma-separated, or *; default: none"),
    Setting(
        "ROUTER_HISTORY_DAYS", "Days for which the history of jobs and workers is kept, 0 to 400; default 30; 0: none"
    ),
    Setting("ROUTER_SERVICE_LEVEL_SECONDS", "Reports: whoever waits no longer is served well; default 20"),
    Setting("ROUTER_SHORT_ABANDON_SECONDS", "Reports: whoever gives up so soon has not waited; default 5"),
    Setting("ROUTER_REPORT_TIME_ZONE", "Reports: IANA time zone whose days are added up ahead; default UTC"),
    Setting("ROUTER_RATE_LIMIT", "Requests per 10 s, access key and instance; 0 (default): no limit"),
    Setting(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "Where metrics, traces and logs go; without it nothing is sent",
        secret=True,
    ),
    Setting("AZURE_CLIENT_ID", "Client id of the user-assigned identity, where there are several"),
)


MOST_READ_KEYS: Final = 10
#: What the exporter takes for an instrumentation key: a GUID in lower case.
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SettingsError(Exception):
    """Settings are missing or malformed; the message names each."""


@dataclass(frozen=True)
class Settings:
    """The settings as values."""

    tables_connection_string: str | None
    tables_endpoint: str | None
    tables_prefix: str
    access_keys: tuple[str, ...]
    eventgrid_endpoint: str
    eventgrid_key: str | None
    eventgrid_schema: str
    entra_tenant_id: str | None
    entra_audiences: tuple[str, ...]
    entra_authority: str
    entra_client_id: str | None
    #: Whether a token needs one of the router's roles.
    entra_roles_required: bool
    read_keys: tuple[str, ...]
    secrets_key: str | None
    rules_allow_private_networks: bool
    rules_allow_http_loopback: bool
    cors_origins: tuple[str, ...]
    rate_limit: int
    history_days: int
    service_level_seconds: float
    short_abandon_seconds: float
    report_zone: ZoneInfo
    applicationinsights_connection_string: str | None
    client_id: str | None
    on_app_service: bool


def of_a_child(path: Iterable[str]) -> dict[str, str]:
    """The environment of a process that needs no setting and is to know none: what Python itself starts by, and where
    it finds modules."""
    kept = {name: os.environ[name] for name in _OF_PYTHON if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path)}


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment. Raises SettingsError, which names every setting that is wrong."""
    reader = _Reader(os.environ if environment is None else environment)
    settings = Settings(
        tables_connection_string=reader.tables_connection_string("ROUTER_TABLES_CONNECTION_STRING"),
        tables_endpoint=reader.url("ROUTER_TABLES_ENDPOINT"),
        tables_prefix=reader.prefix("ROUTER_TABLES_PREFIX"),
        access_keys=reader.keys("ROUTER_ACCESS_KEYS", most=2),
        eventgrid_endpoint=reader.url("ROUTER_EVENTGRID_ENDPOINT") or "",
        eventgrid_key=reader.text("ROUTER_EVENTGRID_KEY"),
        eventgrid_schema=reader.one_of("ROUTER_EVENTGRID_SCHEMA", ("EventGrid", "CloudEvents")),
        entra_tenant_id=reader.text("ROUTER_ENTRA_TENANT_ID"),
        entra_audiences=tuple(reader.list("ROUTER_ENTRA_AUDIENCE")),
        entra_authority=reader.url("ROUTER_ENTRA_AUTHORITY") or "https://login.microsoftonline.com",
        entra_client_id=reader.guid("ROUTER_ENTRA_CLIENT_ID"),
        entra_roles_required=reader.one_of("ROUTER_ENTRA_ROLES", ("optional", "required")) == "required",
        read_keys=reader.keys("ROUTER_READ_KEYS", most=MOST_READ_KEYS),
        secrets_key=reader.secrets_key("ROUTER_SECRETS_KEY"),
        rules_allow_private_networks=reader.flag("ROUTER_RULES_ALLOW_PRIVATE_NETWORKS"),
        rules_allow_http_loopback=reader.flag("ROUTER_RULES_ALLOW_HTTP_LOOPBACK"),
        cors_origins=reader.origins("ROUTER_CORS_ORIGINS"),
        rate_limit=reader.count("ROUTER_RATE_LIMIT"),
        history_days=reader.number("ROUTER_HISTORY_DAYS", DEFAULT_HISTORY_DAYS, MOST_HISTORY_DAYS),
        service_level_seconds=reader.number("ROUTER_SERVICE_LEVEL_SECONDS", 20, 86_400),
        short_abandon_seconds=reader.number("ROUTER_SHORT_ABANDON_SECONDS", 5, 86_400),
        report_zone=reader.zone("ROUTER_REPORT_TIME_ZONE"),
        applicationinsights_connection_string=reader.telemetry_connection_string(
            "APPLICATIONINSIGHTS_CONNECTION_STRING"
        ),
        client_id=reader.text("AZURE_CLIENT_ID"),
        on_app_service=reader.text("WEBSITE_SITE_NAME") is not None,
    )
    if not settings.tables_connection_string and not settings.tables_endpoint:
        reader.wrong("ROUTER_TABLES_CONNECTION_STRING", "is missing (or set ROUTER_TABLES_ENDPOINT)")
    if not settings.eventgrid_endpoint:
        reader.wrong("ROUTER_EVENTGRID_ENDPOINT", "is missing")
    if not settings.access_keys and not (settings.entra_tenant_id and settings.entra_audiences):
        reader.wrong("ROUTER_ACCESS_KEYS", "is missing")
    if set(settings.read_keys) & set(settings.access_keys):
        reader.wrong("ROUTER_READ_KEYS", "has a key that ROUTER_ACCESS_KEYS has too")
    if bool(settings.entra_tenant_id) != bool(settings.entra_audiences):
        reader.wrong("ROUTER_ENTRA_AUDIENCE", "and ROUTER_ENTRA_TENANT_ID go together: one of them is missing")
    if reader.problems:
        raise SettingsError("Wrong settings: " + "; ".join(reader.problems) + ".")
    return settings


class _Reader:
    """Reads values and collects what is wrong with them. No message quotes a value: one may be a secret that was put
    into the wrong setting, and /health tells the messages to everybody."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def wrong(self, name: str, what: str) -> None:
        problem = f"{name} {what}"
        if not any(known.startswith(f"{name} ") for known in self.problems):
            self.problems.append(problem)

    def text(self, name: str) -> str | None:
        return (self._environment.get(name) or "").strip() or None

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 on."""
        value = self.text(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) < 9 and int(value) <= most):
            self.wrong(name, f"must be a whole number from 0 to {most}")
            return default
        return int(value)

    def zone(self, name: str) -> ZoneInfo:
        value = self.text(name) or "UTC"
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.wrong(name, "must be an IANA time zone, such as Europe/Berlin")
            return ZoneInfo("UTC")

    def list(self, name: str) -> list[str]:
        return [part.strip() for part in (self.text(name) or "").split(",") if part.strip()]

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _is_url(value):
            self.wrong(name, "must be an http(s) URL")
        return value

    def tables_connection_string(self, name: str) -> str | None:
        """What azure-data-tables takes: an account with its key, or a shared access signature and where it holds."""
        value = self.text(name)
        if value is None or value.lower() == "usedevelopmentstorage=true":
            return value
        parts = _connection_parts(value)
        if parts is None or not ("accountname" in parts or "tableendpoint" in parts):
            self.wrong(name, "must be a storage connection string (AccountName=...;AccountKey=...)")
        elif "tableendpoint" in parts and not _is_url(parts["tableendpoint"]):
            self.wrong(name, "has a TableEndpoint that is not an http(s) URL")
        elif "accountkey" in parts and "accountname" in parts:
            if not _decoded(parts["accountkey"]):
                self.wrong(name, "has an AccountKey that is not base64")
        elif "sharedaccesssignature" not in parts:
            self.wrong(name, "needs AccountName and AccountKey, or a SharedAccessSignature")
        return value

    def telemetry_connection_string(self, name: str) -> str | None:
        """What Azure Monitor's exporter takes, which is strict: no `;` at the end, no `=` within a value."""
        value = self.text(name)
        pairs = [pair.split("=") for pair in value.split(";")] if value is not None else []
        parts = {pair[0].lower(): pair[1] for pair in pairs if len(pair) == 2}
        well_formed = all(len(pair) == 2 for pair in pairs) and parts.get("authorization", "ikey").lower() == "ikey"
        if value is not None and not (well_formed and _GUID.fullmatch(parts.get("instrumentationkey", ""))):
            self.wrong(name, "must be a connection string with an InstrumentationKey (InstrumentationKey=<GUID>;...)")
        return value

    def guid(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _GUID.fullmatch(value.lower()):
            self.wrong(name, "must be a GUID")
        return value

    def prefix(self, name: str) -> str:
        value = self.text(name) or ""
        if value and not (value.isascii() and value.isalnum() and value[0].isalpha() and len(value) <= 40):
            self.wrong(name, "must be at most 40 ASCII letters and digits, a letter first")
        return value

    def keys(self, name: str, most: int) -> tuple[str, ...]:
        keys = self.list(name)
        if len(keys) > most:
            self.wrong(name, f"must have at most {most} keys, not {len(keys)}")
        for number, value in enumerate(keys, 1):
            if len(_decoded(value) or b"") < 16:
                self.wrong(name, f"is wrong: key {number} is not base64 of at least 16 bytes")
        return tuple(keys)

    def secrets_key(self, name: str) -> str | None:
        for number, value in enumerate(self.list(name), 1):
            if len(_decoded(value) or b"") != 32:
                self.wrong(name, f"is wrong: key {number} is not base64 of 32 bytes")
        return ",".join(self.list(name)) or None

    def origins(self, name: str) -> tuple[str, ...]:
        """As browsers write them: scheme, host, and a port that is not the scheme's own."""
        found = tuple(value.lower() for value in self.list(name))
        for number, value in enumerate(found, 1):
            if value != "*" and not _is_origin(value):
                self.wrong(name, f"is wrong: origin {number} is neither * nor like https://desk.example.com")
        return found

    def flag(self, name: str) -> bool:
        value = (self.text(name) or "false").lower()
        if value not in ("true", "false", "1", "0"):
            self.wrong(name, "must be true or false")
        return value in ("true", "1")

    def one_of(self, name: str, values: tuple[str, ...]) -> str:
        value = self.text(name) or values[0]
        found = next((one for one in values if one.lower() == value.lower()), None)
        if found is None:
            self.wrong(name, f"must be one of {', '.join(values)}")
        return found or values[0]

    def count(self, name: str) -> int:
        value = self.text(name) or "0"
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            self.wrong(name, "must be a whole number")
            return 0
        return int(value)


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is no number
        return False


def _is_origin(value: str) -> bool:
    if not _is_url(value):
        return False
    parts = urlsplit(value)
    usual = {"http": 80, "https": 443}[parts.scheme]
    as_sent = f"{parts.scheme}://{parts.netloc}"
    return value.isascii() and value == as_sent and not set("@*") & set(value) and parts.port != usual


def _connection_parts(value: str) -> dict[str, str] | None:
    """The values of a connection string by lower-case name; None if it is not `Name=value;...`."""
    pairs = [pair.partition("=") for pair in value.rstrip(";").split(";")]
    parts = {name.lower(): rest for name, _, rest in pairs}
    return parts if len(parts) == len(pairs) and all(name and rest for name, _, rest in pairs) else None
