"""Which addresses a rule may call, judged at the moment of dialling, so that no name can slip past."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address

# Metadata and platform services of the clouds that have addresses outside of the link-local range.
_NEVER: Final = {
    ip_address("168.63.129.16"),  # Azure
    ip_address("100.100.100.200"),  # Alibaba Cloud
    ip_address("192.0.0.192"),  # Oracle Cloud
    ip_address("fd20:ce::254"),  # Google Cloud
}
_NEVER_NETWORK: Final = ip_network("fd00:ec2::/32")  # AWS: metadata, credentials, names, time
_LOOPBACK: Final = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
_PRIVATE: Final = [
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
#: The rows of IANA's special-purpose registries and the multicast ranges that are none of the above, those that are
#: reachable globally too: no service that a rule could mean has an address there. Kept here, since what Python says of
#: an address depends on its version.
SPECIAL_IPV4: Final = [
    ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",
    )
]  # fmt: skip
#: Of what is not 2000::/3 nothing is public. Within it these are special; 2001::/23 holds all that IANA assigns to
#: protocols, Teredo among it.
SPECIAL_IPV6: Final = [
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
_UNICAST: Final = ip_network("2000::/3")
_TEREDO: Final = ip_network("2001::/32")
_NAT64: Final = ip_network("64:ff9b::/96")
#: Interface identifiers of ISATAP, before the IPv4 address: the two lowest bits of the first byte may be set.
_ISATAP: Final = tuple(bytes((flags, 0x00, 0x5E, 0xFE)) for flags in range(4))
#: Where an IPv4 address stands behind a NAT64 prefix of so many bits; the byte at 8 is zero, and skipped. What is
#: behind should be zero, but a translator does not look at it.
_NAT64_PLACES: Final = {
    32: (4, 5, 6, 7),
    40: (5, 6, 7, 9),
    48: (6, 7, 9, 10),
    56: (7, 9, 10, 11),
    64: (9, 10, 11, 12),
}
_SKIPPED: Final = 8
#: Bytes of an answer that wait to be read; the system doubles it.
_RECEIVED_AT_ONCE: Final = 8 * 1024
_THIS_NETWORK: Final = ip_network("0.0.0.0/8")


class ForbiddenAddress(OSError):
    """The address that a connection was about to be made to is not one that rules may call."""


class AddressPolicy:
    """Public addresses always; private and loopback ones by setting; all else that the IANA special-purpose
    registries name, link-local, metadata and multicast never. An IPv6 address that holds an IPv4 address is no better
    than that."""

    def __init__(self, *, allow_private: bool = False, allow_loopback: bool = False) -> None:
        self._allow_private = allow_private
        self._allow_loopback = allow_loopback

    def allows(self, address: Address) -> bool:
        if isinstance(address, IPv4Address):
            return self._allows_plain(address, SPECIAL_IPV4)
        if (inner := _leads_to(address)) is not None:
            return all(map(self.allows, inner))
        return self._allows_plain(address, SPECIAL_IPV6) and all(map(self.allows, _embedded(address)))

    def _allows_plain(self, address: Address, special: Sequence[IPv4Network | IPv6Network]) -> bool:
        if address in _NEVER or address in _NEVER_NETWORK:
            return False
        if any(address in network for network in _LOOPBACK):
            return self._allow_loopback
        if any(address in network for network in _PRIVATE):
            return self._allow_private
        if isinstance(address, IPv6Address) and address not in _UNICAST:
            return False
        return not any(address in network for network in special)

    def open_socket(
        self, info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        """The connector's socket factory: it gets each address just before that very address is dialled."""
        family, kind, protocol, _, name = info
        if not self.allows(_parse(str(name[0]))):
            raise ForbiddenAddress("forbidden address")
        opened = socket.socket(family, kind, protocol)
        # What has arrived is parsed in one go: an answer in thousands of tiny pieces must not hold the event loop.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AT_ONCE)
        return opened


@lru_cache(maxsize=256)
def _parse(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text.partition("%")[0])


def _leads_to(address: IPv6Address) -> Sequence[IPv4Address] | None:
    """The IPv4 addresses that stand for an address which is nothing but a way to them: mapped, 6to4, Teredo and NAT64
    by its well-known prefix. None for other addresses."""
    packed = address.packed
    if address.ipv4_mapped is not None or address in _NAT64:
        return [IPv4Address(packed[12:])]
    if address.sixtofour is not None:
        return [address.sixtofour, *_embedded(address)]
    if address in _TEREDO:
        server, client = IPv4Address(packed[4:8]), IPv4Address(bytes(byte ^ 0xFF for byte in packed[12:]))
        return [client, server] if int(server) else [client]
    return None


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that a public IPv6 address may lead to: ISATAP behind any prefix, NAT64 behind a prefix of an
    operator's own, in all its lengths. What is most likely a plain number at the end (`::1`) is none."""
    packed = address.packed
    found: list[IPv4Address] = []
    if packed[8:12] in _ISATAP:
        found.append(IPv4Address(packed[12:]))
    if packed[8:12] == bytes(4) and (last := IPv4Address(packed[12:])) not in _THIS_NETWORK:
        found.append(last)  # a prefix of 96 bits
    if packed[_SKIPPED]:
        return found
    for places in _NAT64_PLACES.values():
        inner = IPv4Address(bytes(packed[place] for place in places))
        # The number of a subnet (`a00::1`) is no address, where nothing behind it says so.
        is_one = not any(packed[places[-1] + 1 :]) or any(packed[place] for place in places if place > _SKIPPED)
        if is_one and inner not in _THIS_NETWORK:
            found.append(inner)
    return found


class OwnThreadsResolver(AbstractResolver):
    """Resolves names in threads of its own: a name server that hangs takes none from storage and events."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rule-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
