"""Which addresses rules may call."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from router.rules.http.addresses import AddressPolicy, ForbiddenAddress

PUBLIC = ["8.8.8.8", "20.50.2.1", "2001:4860:4860::8888", "2603:1030::1"]
PRIVATE = ["10.0.0.4", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12:3456::1"]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1"]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
    "fec0::1",
    "64:ff9b:1::a00:4",
    "64:ff9b:1:808:8:800::",
    "::127.0.0.1",
    "::8.8.8.8",
]


def wrapped(text: str) -> list[str]:
    """An IPv4 address in the forms of IPv6 that lead to it."""
    value = int(ip_address(text))
    return [
        f"::ffff:{text}",
        str(ip_address((0x2002 << 112) | (value << 80))),
        str(ip_address((0x20010000 << 96) | (value ^ 0xFFFFFFFF))),
        str(ip_address((0x64FF9B << 96) | value)),
    ]


def allows(text: str, **settings: bool) -> bool:
    return AddressPolicy(**settings).allows(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_always(text: str) -> None:
    assert allows(text)


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_by_setting(text: str) -> None:
    assert not allows(text)
    assert not allows(text, allow_loopback=True)
    assert allows(text, allow_private=True)


@pytest.mark.parametrize("text", LOOPBACK)
def test_loopback_by_its_own_setting(text: str) -> None:
    assert not allows(text)
    assert not allows(text, allow_private=True)
    assert allows(text, allow_loopback=True)


@pytest.mark.parametrize("text", NEVER)
def test_never(text: str) -> None:
    assert not allows(text, allow_private=True, allow_loopback=True)


@pytest.mark.parametrize("text", [text for text in NEVER if "." in text and ":" not in text])
def test_never_in_another_form_either(text: str) -> None:
    for form in wrapped(text):
        assert not allows(form, allow_private=True, allow_loopback=True), form


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.4"])
def test_private_and_loopback_in_another_form(text: str) -> None:
    for form in wrapped(text):
        assert not allows(form), form
        assert allows(form, allow_private=True, allow_loopback=True), form


def test_the_socket_factory_refuses_before_there_is_a_socket() -> None:
    policy = AddressPolicy()
    with pytest.raises(ForbiddenAddress):
        policy.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("169.254.169.254", 80)))
    with pytest.raises(ForbiddenAddress):
        policy.open_socket((socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("fe80::1%eth0", 80, 0, 2)))
    policy.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80))).close()
