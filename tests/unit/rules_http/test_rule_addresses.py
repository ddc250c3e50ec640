"""Which addresses rules may call."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

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
    "fd00:ec2::23",
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


#: The rows of IANA's special-purpose address registries (both families): prefix, and the setting that allows it.
REGISTRY = [
    ("0.0.0.0/8", None), ("0.0.0.0/32", None), ("10.0.0.0/8", "private"), ("100.64.0.0/10", "private"),
    ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", None), ("172.16.0.0/12", "private"), ("192.0.0.0/24", None),
    ("192.0.0.0/29", None), ("192.0.0.8/32", None), ("192.0.0.9/32", None), ("192.0.0.10/32", None),
    ("192.0.0.170/32", None), ("192.0.0.171/32", None), ("192.0.2.0/24", None), ("192.31.196.0/24", None),
    ("192.52.193.0/24", None), ("192.88.99.0/24", None), ("192.168.0.0/16", "private"), ("192.175.48.0/24", None),
    ("198.18.0.0/15", None), ("198.51.100.0/24", None), ("203.0.113.0/24", None), ("240.0.0.0/4", None),
    ("255.255.255.255/32", None), ("224.0.0.0/4", None),
    ("::1/128", "loopback"), ("::/128", None), ("64:ff9b:1::/48", None), ("100::/64", None), ("100:0:0:1::/64", None),
    ("2001:1::1/128", None), ("2001:1::2/128", None), ("2001:1::3/128", None), ("2001:2::/48", None),
    ("2001:3::/32", None), ("2001:4:112::/48", None), ("2001:10::/28", None), ("2001:20::/28", None),
    ("2001:30::/28", None), ("2001:db8::/32", None), ("2620:4f:8000::/48", None), ("3fff::/20", None),
    ("5f00::/16", None), ("fc00::/7", "private"), ("fe80::/10", None), ("fec0::/10", None), ("ff00::/8", None),
    ("4000::/3", None), ("::/96", None), ("::ffff:0:0:0/96", None), ("0100::/8", None), ("e000::/4", None),
]  # fmt: skip
SETTINGS = {"private": {"allow_private": True}, "loopback": {"allow_loopback": True}}


@pytest.mark.parametrize(("prefix", "setting"), REGISTRY)
def test_the_rows_of_the_registries(prefix: str, setting: str | None) -> None:
    network = ip_network(prefix)
    middle = network[network.num_addresses // 2]
    for address in (network[0], network[-1], middle):
        if address in (ip_address("::1"), ip_address("100.100.100.200")):
            continue
        assert not AddressPolicy().allows(address), address
        everything = AddressPolicy(allow_private=True, allow_loopback=True)
        assert everything.allows(address) is (setting is not None), address
        if setting is not None:
            assert allows(str(address), **SETTINGS[setting])


def nat64(text: str, suffix: bytes = b"") -> list[str]:
    """An IPv4 address behind NAT64 prefixes of an operator's own, of each length that has room for the suffix."""
    value = ip_address(text).packed
    prefix = ip_address("2a00:1234:5678:9abc:0:0:0:0").packed
    found = []
    for bits in (32, 40, 48, 56, 64):
        form, place = bytearray(prefix[: bits // 8].ljust(16, b"\0")), bits // 8
        for byte in value:
            place += place == 8
            form[place] = byte
            place += 1
        if suffix and place > 9:
            form[-len(suffix) :] = suffix
        found.append(str(ip_address(bytes(form))))
    return [*found, str(ip_address(prefix[:12] + value))]


def isatap(text: str) -> list[str]:
    value = ip_address(text).packed
    prefix = ip_address("2a00:1234:5678:9abc::").packed[:8]
    return [str(ip_address(prefix + bytes((flags, 0, 0x5E, 0xFE)) + value)) for flags in range(4)]


@pytest.mark.parametrize("text", ["127.0.0.1", "169.254.169.254", "10.0.0.4", "168.63.129.16", "192.168.0.1"])
def test_what_an_address_embeds_is_judged_too(text: str) -> None:
    for form in (*nat64(text), *nat64(text, b"\x01"), *isatap(text), *wrapped(text)):
        assert not allows(form), form
    for form in (*nat64("8.8.8.8"), *nat64("8.8.8.8", b"\x01"), *isatap("8.8.8.8"), *wrapped("8.8.8.8")):
        assert allows(form), form


@pytest.mark.parametrize("text", ["2600:1f18:1:a00::1", "2600:1f18:1:7f::2:1", "2001:4860:a9fe:a9fe::1", "2600:a00::1"])
def test_the_number_of_a_subnet_is_no_address(text: str) -> None:
    assert allows(text)


@pytest.mark.parametrize("prefix", ["fe80", "fec0", "2002:7f00:1", "2001:db8"])
def test_isatap_behind_a_prefix_that_is_forbidden_itself(prefix: str) -> None:
    assert not allows(f"{prefix}::5efe:808:808")
    assert not allows(f"{prefix}::5efe:7f00:1", allow_private=True)


def test_teredo_by_a_server_that_may_not_be_called() -> None:
    inner = int(ip_address("8.8.8.8")) ^ 0xFFFFFFFF
    assert not allows(str(ip_address((0x20010000 << 96) | (int(ip_address("10.0.0.1")) << 64) | inner)))
    assert allows(str(ip_address((0x20010000 << 96) | (int(ip_address("20.50.2.1")) << 64) | inner)))
