"""The developer's settings and what the parts are told of each other."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from local.certificate import ensure_certificate
from local.commands import write_local_settings, write_subscriptions
from local.network import choose_port, port_is_free
from local.options import DEVELOPMENT_KEY, ROOT, LocalError, make_data_dir, read_options
from local.parts import app_settings, load_parts, make_parts, save_parts
from local.processes import refuse_second_run
from local.topology import Topology


def test_without_settings_everything_has_a_default() -> None:
    options = read_options({})
    assert (options.port, options.https_port, options.topology) == (7071, 7072, Topology())
    assert options.data_dir == ROOT / ".data"
    assert options.access_keys == DEVELOPMENT_KEY == "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="


def test_the_https_port_follows_the_port() -> None:
    assert read_options({"PORT": "8000"}).https_port == 8001
    assert read_options({"PORT": "8000", "HTTPS_PORT": "9"}).https_port == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "65535"),
        ("HTTPS_PORT", "-1"),
        ("HTTPS_PORT", "7071"),
        ("WORKERS", "0"),
        ("WORKERS", "1.5"),
        ("TIMER", "alone"),
        ("CLOCK", "fast"),
        ("LISTEN", "example.com"),
        ("LISTEN", "0.0.0.0"),
        ("ROUTER_EVENT_SUBSCRIBERS", "http://a/ok,ftp://b"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(LocalError, match=name):
        read_options({name: value})


def test_to_listen_beyond_this_machine_needs_a_key_of_ones_own() -> None:
    assert read_options({}).listen == "127.0.0.1"
    assert read_options({"LISTEN": "0.0.0.0", "ROUTER_ACCESS_KEYS": "b25l"}).listen == "0.0.0.0"
    for keys in (DEVELOPMENT_KEY, f"b25l,{DEVELOPMENT_KEY}"):
        with pytest.raises(LocalError, match="everybody knows"):
            read_options({"LISTEN": "0.0.0.0", "ROUTER_ACCESS_KEYS": keys})


def test_a_clock_that_moves_needs_one_process() -> None:
    assert read_options({"CLOCK": "movable"}).movable_clock
    assert not read_options({}).movable_clock
    for apart in ({"WORKERS": "2"}, {"TIMER": "apart"}):
        with pytest.raises(LocalError, match="CLOCK=movable needs one process"):
            read_options({"CLOCK": "movable", **apart})


def test_a_later_run_takes_the_same_keys_and_free_ports(tmp_path: Path) -> None:
    options = read_options({"DATA_DIR": str(tmp_path)})
    first = make_parts(options, None)
    save_parts(tmp_path, first)
    assert load_parts(tmp_path) == first
    assert os.stat(tmp_path / "parts.json").st_mode & 0o077 == 0
    second = make_parts(options, load_parts(tmp_path))
    assert (second.system_key, second.topic_key, second.secrets_key) == (
        first.system_key,
        first.topic_key,
        first.secrets_key,
    )
    assert (second.azurite_port, second.topic_port) == (first.azurite_port, first.topic_port)
    assert len({first.azurite_port, first.topic_port, first.metrics_port, first.port, first.https_port}) == 5


def test_a_port_that_is_taken_meanwhile_is_replaced() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port: int = busy.getsockname()[1]
        assert not port_is_free(port)
        assert choose_port(port, ()) != port
    assert choose_port(port, {port}) != port


def test_parts_that_cannot_be_read_are_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "parts.json").write_text("{")
    with pytest.raises(LocalError, match=r"parts\.json cannot be read"):
        load_parts(tmp_path)


def test_a_data_dir_that_is_none_is_one_clear_message(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LocalError, match=r"DATA_DIR .*file is a file, not a folder"):
        make_data_dir(file)
    with pytest.raises(LocalError, match=r"DATA_DIR .*below cannot be made: Not a directory"):
        make_data_dir(file / "below")
    assert load_parts(file) is None


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
@pytest.mark.parametrize("option", [(), ("--app-only",)])
def test_a_start_that_is_not_possible_says_why_in_one_line(
    tmp_path: Path, data_dir: str, option: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    told = started(*option, DATA_DIR=str(tmp_path / data_dir))
    assert str(tmp_path / data_dir) in told


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "abc"), ("WORKERS", "0"), ("TIMER", "x"), ("ROUTER_EVENT_SUBSCRIBERS", "x")]
)
def test_a_start_with_a_wrong_setting_names_it_in_one_line(name: str, value: str) -> None:
    assert name in started(**{name: value})


def test_a_start_on_a_port_in_use_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        told = started(PORT=str(port), HTTPS_PORT=str(choose_port(None, {port})), DATA_DIR=str(tmp_path))
    assert told == f"Port {port} on 127.0.0.1 is in use by another program. Set PORT to a free one."


def started(*options: str, **environment: str) -> str:
    """The one line that a start ends with at once."""
    ended = subprocess.run(
        [sys.executable, "-m", "local", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    return line


def test_what_the_developer_has_set_is_never_replaced() -> None:
    options = read_options({"ROUTER_ACCESS_KEYS": "abc"})
    parts = make_parts(options, None)
    theirs = {
        "ROUTER_ACCESS_KEYS": "abc",
        "ROUTER_SECRETS_KEY": "mine",
        "ROUTER_EVENTGRID_ENDPOINT": "https://elsewhere",
        "ROUTER_TABLES_ENDPOINT": "https://tables",
        "ROUTER_RULES_ALLOW_HTTP_LOOPBACK": "false",
    }
    settings = app_settings(parts, options, theirs)
    assert all(settings.get(name, value) == value for name, value in theirs.items())
    assert "ROUTER_TABLES_CONNECTION_STRING" not in settings
    assert "ROUTER_EVENTGRID_KEY" not in settings, "our key is none of their topic's"
    ours = app_settings(parts, options, {})
    assert f":{parts.azurite_port}/" in ours["ROUTER_TABLES_CONNECTION_STRING"]
    assert ours["ROUTER_EVENTGRID_KEY"] == parts.topic_key


def test_subscriptions_of_the_app_and_of_the_developer(tmp_path: Path) -> None:
    options = read_options({"ROUTER_EVENT_SUBSCRIBERS": "http://127.0.0.1:1/a, https://b/c"})
    parts = make_parts(options, None)
    write_subscriptions(tmp_path / "s.json", ROOT, parts, options)
    subscriptions = json.loads((tmp_path / "s.json").read_text())
    listed = json.loads((ROOT / "infra" / "event-subscriptions.json").read_text())
    ours = [subscription for subscription in subscriptions if subscription.get("trusted")]
    assert [subscription["name"] for subscription in ours] == [subscription["name"] for subscription in listed]
    assert all(parts.system_key in subscription["endpoint"] for subscription in ours)
    assert [s["endpoint"] for s in subscriptions if not s.get("trusted")] == ["http://127.0.0.1:1/a", "https://b/c"]
    assert parts.system_key not in json.dumps([s for s in subscriptions if not s.get("trusted")])


def test_local_settings_are_written_once(tmp_path: Path) -> None:
    write_local_settings(tmp_path, {"A": "1"})
    write_local_settings(tmp_path, {"A": "2"})
    values = json.loads((tmp_path / "local.settings.json").read_text())["Values"]
    assert values == {"FUNCTIONS_WORKER_RUNTIME": "python", "A": "1"}


def test_the_certificate_is_kept_and_good_for_strict_clients(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path)
    before = files.certificate.read_bytes()
    assert ensure_certificate(tmp_path).certificate.read_bytes() == before
    assert os.stat(files.key).st_mode & 0o077 == 0
    certificate = x509.load_pem_x509_certificate(before)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)
    assert handshake(files.certificate, files.key)


def handshake(certificate: Path, key: Path) -> bool:
    """A TLS handshake in memory, the client verifying as strictly as Python 3.13 does."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(certificate, key)
    client_context = ssl.create_default_context(cafile=str(certificate))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    return len(done) == 2


def test_an_expiring_or_broken_certificate_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path)
    files.certificate.write_text("nonsense")
    assert b"BEGIN CERTIFICATE" in ensure_certificate(tmp_path).certificate.read_bytes()


def test_stale_pid_files_are_cleared(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "azurite.pid").write_text(str(ended.pid))
    (tmp_path / "eventgrid.pid").write_text(str(os.getpid()))  # alive, but no part of a router
    (tmp_path / "app.pid").write_text("?")
    refuse_second_run(tmp_path, ["azurite", "eventgrid", "app"])
    assert list(tmp_path.glob("*.pid")) == []
