"""Settings are read once, and refused by a message that names each wrong one and quotes no value."""

from __future__ import annotations

import pytest

from router.settings import SETTINGS, SettingsError, load

_KEY = "c2l4dGVlbiBieXRlcyBvciBtb3Jl"
_GUID = "7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001"
RIGHT = {
    "ROUTER_TABLES_CONNECTION_STRING": f"AccountName=account;AccountKey={_KEY}",
    "ROUTER_ACCESS_KEYS": _KEY,
    "ROUTER_EVENTGRID_ENDPOINT": "https://topic.example",
}


def refusal(**changed: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load({**RIGHT, **changed})
    return str(refused.value)


def test_the_least_is_enough() -> None:
    settings = load(RIGHT)
    assert settings.access_keys == (_KEY,)
    assert settings.applicationinsights_connection_string is None


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://Desk.example.com, http://localhost:3000", ("https://desk.example.com", "http://localhost:3000")),
    ],
)
def test_origins_are_as_browsers_write_them(value: str, origins: tuple[str, ...]) -> None:
    assert load({**RIGHT, "ROUTER_CORS_ORIGINS": value}).cors_origins == origins


@pytest.mark.parametrize(
    "value",
    [
        "desk.example.com",
        "https://desk.example.com/",
        "https://desk.example.com/path",
        "https://*.example.com",
        "https://desk.example.com:443",
        "https://me@desk.example.com",
        "null",
        "ftp://desk.example.com",
    ],
)
def test_origins_that_no_browser_sends_are_refused(value: str) -> None:
    assert "ROUTER_CORS_ORIGINS is wrong: origin 2" in refusal(ROUTER_CORS_ORIGINS=f"https://a.example,{value}")


def test_what_is_missing_is_named_all_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load({})
    for setting in SETTINGS:
        assert (f"{setting.name} is missing" in str(refused.value)) == (
            setting.required or setting.name == "ROUTER_TABLES_CONNECTION_STRING"
        )


@pytest.mark.parametrize(
    "value",
    [
        f"DefaultEndpointsProtocol=https;AccountName=account;AccountKey={_KEY};EndpointSuffix=core.windows.net",
        f"accountname=account;accountkey={_KEY};",
        f"AccountName=account;AccountKey={_KEY};TableEndpoint=http://127.0.0.1:10002/account",
        "TableEndpoint=https://account.table.core.windows.net;SharedAccessSignature=sv=2019-02-02&sig=abc%3D",
        "AccountName=account;SharedAccessSignature=sv=2019-02-02&sig=abc%3D",
        "UseDevelopmentStorage=true",
        "usedevelopmentstorage=True",
    ],
)
def test_the_tables_client_takes_what_the_setting_takes(value: str) -> None:
    from azure.data.tables import TableServiceClient

    assert load({**RIGHT, "ROUTER_TABLES_CONNECTION_STRING": value}).tables_connection_string == value
    TableServiceClient.from_connection_string(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nonsense", "must be a storage connection string"),
        ("AccountName=", "must be a storage connection string"),
        ("AccountName=a;AccountName=b;AccountKey=secret", "must be a storage connection string"),
        (f"AccountKey={_KEY}", "must be a storage connection string"),
        ("SharedAccessSignature=sv=1&sig=secret", "must be a storage connection string"),
        ("UseDevelopmentStorage=true;", "must be a storage connection string"),
        ("AccountName=x", "needs AccountName and AccountKey, or a SharedAccessSignature"),
        ("AccountName=x;AccountKey=secret!", "has an AccountKey that is not base64"),
        (
            f"AccountName=x;AccountKey={_KEY};TableEndpoint=https://[secret",
            "has a TableEndpoint that is not an http(s)",
        ),
    ],
)
def test_a_wrong_connection_string_of_the_tables(value: str, said: str) -> None:
    message = refusal(ROUTER_TABLES_CONNECTION_STRING=value)
    assert f"ROUTER_TABLES_CONNECTION_STRING {said}" in message
    assert "secret" not in message


@pytest.mark.parametrize("name", ["ROUTER_TABLES_ENDPOINT", "ROUTER_EVENTGRID_ENDPOINT", "ROUTER_ENTRA_AUTHORITY"])
@pytest.mark.parametrize(
    "value", ["https://[secret", "https://secret:port", "https://", "https://:443", "secret.example"]
)
def test_a_wrong_url(name: str, value: str) -> None:
    assert refusal(**{name: value}) == f"Wrong settings: {name} must be an http(s) URL."


@pytest.mark.parametrize(
    "value",
    [
        f"InstrumentationKey={_GUID}",
        f"instrumentationkey={_GUID};IngestionEndpoint=https://x.in.applicationinsights.azure.com/;ApplicationId=1",
        f"Authorization=ikey;InstrumentationKey={_GUID}",
    ],
)
def test_the_exporter_takes_what_the_setting_takes(value: str) -> None:
    from azure.monitor.opentelemetry.exporter._connection_string_parser import ConnectionStringParser

    settings = load({**RIGHT, "APPLICATIONINSIGHTS_CONNECTION_STRING": value})
    assert settings.applicationinsights_connection_string == value
    ConnectionStringParser(value)


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "InstrumentationKey=",
        "InstrumentationKey=secret",
        f"InstrumentationKey={_GUID.upper()}",
        f"InstrumentationKey={_GUID};",
        f"InstrumentationKey={_GUID};IngestionEndpoint=https://x.example/?a=b",
        f"Authorization=aad;InstrumentationKey={_GUID}",
        "IngestionEndpoint=https://x.in.applicationinsights.azure.com/",
    ],
)
def test_a_wrong_connection_string_of_application_insights(value: str) -> None:
    from azure.monitor.opentelemetry.exporter._connection_string_parser import ConnectionStringParser

    message = refusal(APPLICATIONINSIGHTS_CONNECTION_STRING=value)
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING must be a connection string with an InstrumentationKey" in message
    assert "secret" not in message
    with pytest.raises(ValueError):
        ConnectionStringParser(value)


def test_keys_are_refused_by_their_number() -> None:
    assert "ROUTER_ACCESS_KEYS is wrong: key 2 is not base64 of at least 16 bytes" in refusal(
        ROUTER_ACCESS_KEYS=f"{_KEY},c2hvcnQ="
    )
    assert "ROUTER_SECRETS_KEY is wrong: key 1 is not base64 of 32 bytes" in refusal(ROUTER_SECRETS_KEY=_KEY)
    assert "ROUTER_ACCESS_KEYS must have at most 2 keys, not 3" in refusal(
        ROUTER_ACCESS_KEYS=",".join([_KEY, _KEY, _KEY])
    )


def test_an_empty_place_in_a_list_of_keys_is_no_key() -> None:
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    settings = load({**RIGHT, "ROUTER_SECRETS_KEY": f"{key}, ,", "ROUTER_ACCESS_KEYS": f"{_KEY},"})
    assert (settings.secrets_key, settings.access_keys) == (key, (_KEY,))
    assert load({**RIGHT, "ROUTER_SECRETS_KEY": ","}).secrets_key is None
