"""What `make start` prints is what the reader can type, in any folder and with any key."""

from __future__ import annotations

import re
import shlex
import ssl
from pathlib import Path

import pytest

from local.certificate import Certificate, ensure_certificate
from local.greeting import console_link, greeting
from local.options import ROOT, Options, read_options
from local.parts import make_parts


def _options(folder: Path, **environment: str) -> Options:
    return read_options({"DATA_DIR": str(folder), **environment})


def _printed(options: Options) -> tuple[str, Certificate]:
    certificate = ensure_certificate(options.data_dir)
    return greeting(make_parts(options, None), options, certificate), certificate


def _variables(text: str) -> dict[str, str]:
    found = re.findall(r"\b(SSL_CERT_FILE|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS)=(.*?)(?=\s+[A-Z_]+=|\n)", text)
    return {name: shlex.split(value)[0] for name, value in found}


def test_the_paths_hold_in_every_folder(tmp_path: Path) -> None:
    text, certificate = _printed(_options(tmp_path / "with blanks"))
    variables = _variables(text)
    assert variables["NODE_EXTRA_CA_CERTS"] == str(certificate.certificate)
    assert variables["SSL_CERT_FILE"] == variables["REQUESTS_CA_BUNDLE"] == str(certificate.bundle)
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in variables.values())


def test_a_client_that_trusts_the_bundle_still_trusts_all_others(tmp_path: Path) -> None:
    """The variables replace a client's own store of roots."""
    _, certificate = _printed(_options(tmp_path))
    trusted = ssl.create_default_context(cafile=str(certificate.bundle)).get_ca_certs(binary_form=True)
    own = ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())
    assert own in trusted
    assert set(ssl.create_default_context().get_ca_certs(binary_form=True)) <= set(trusted)


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, ".venv/bin/python examples/quickstart.py"),
        ({"PORT": "8000"}, "PORT=8000 .venv/bin/python examples/quickstart.py"),
        ({"ROUTER_ACCESS_KEYS": "b25l,dHdv"}, "ROUTER_ACCESS_KEY=b25l .venv/bin/python examples/quickstart.py"),
    ],
)
def test_what_is_to_be_tried_has_the_port_and_the_key(
    tmp_path: Path, environment: dict[str, str], command: str
) -> None:
    text, _ = _printed(_options(tmp_path, **environment))
    assert f"\nTry it in another terminal, in {ROOT}:\n  {command}\n" in text


def test_the_command_is_named_with_the_folder_that_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "with blanks"
    assert f"\n  DATA_DIR='{folder}' .venv/bin/jobrouter tail\n" in _printed(_options(folder))[0]
    usual = read_options({})
    assert "\n  .venv/bin/jobrouter tail\n" in greeting(make_parts(usual, None), usual, None)


def test_the_console_opens_with_the_key_in_the_fragment(tmp_path: Path) -> None:
    options = _options(tmp_path, PORT="8000", ROUTER_ACCESS_KEYS="b25lIGtleSArLw+/==,dHdv")
    text = greeting(make_parts(options, None), options, None)
    (link,) = re.findall(r"Console +(\S+)", text)
    assert link == console_link(make_parts(options, None), options)
    assert link == "http://127.0.0.1:8000/console#key=b25lIGtleSArLw%2B%2F%3D%3D"
