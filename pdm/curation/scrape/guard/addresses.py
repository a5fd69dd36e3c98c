"""Which addresses a URL list may reach: public ones, never a private network.

Rules judge addresses after the name lookup, not names: `0x7f000001`, `127.1` and `localhost` all
resolve to 127.0.0.1, and are blocked as such.
"""

import functools
import ipaddress
import socket
from collections.abc import Callable

import psutil

# Takes an address and a port; returns why they must not be reached, or None if they may.
AddressRule = Callable[[str, int], str | None]

_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


def public_only(address: str, port: int) -> str | None:
    """Allow public addresses only. The rule for lists from strangers."""
    if address.partition("%")[0] in _own_addresses():
        return "this machine"
    return blocked_reason(address)


def any_address(address: str, port: int) -> str | None:
    """Allow everything. The rule for lists with `allow_private_addresses`."""
    return None


def one_server_only(allowed_address: str, allowed_port: int) -> AddressRule:
    """A rule that allows one server and nothing else."""

    def rule(address: str, port: int) -> str | None:
        if (address, port) == (allowed_address, allowed_port):
            return None
        return f"only {allowed_address}:{allowed_port} is allowed here"

    return rule


def blocked_reason(address: str) -> str | None:
    """Why an address is not a public one, or None if it is.

    Args:
        address: IPv4 or IPv6; a zone (`%eth0`) is ignored.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        ipv4 = _embedded_ipv4(parsed)
        if ipv4 is not None:
            return blocked_reason(str(ipv4))
        if parsed.is_site_local:
            return "site-local"
    if parsed.is_unspecified:
        return "this machine"
    if parsed.is_loopback:
        return "loopback"
    if parsed.is_link_local:
        return "link-local"
    if parsed.is_multicast:
        return "multicast"
    return None if parsed.is_global and not parsed.is_reserved else "not a public address"


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 or 6to4."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _IPV4_COMPATIBLE and int(address) > 1:
        return ipaddress.IPv4Address(int(address))
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


@functools.cache
def _own_addresses() -> frozenset[str]:
    """Addresses of this machine, public ones included: they reach our own services."""
    kinds = (socket.AF_INET, socket.AF_INET6)
    cards = psutil.net_if_addrs().values()
    return frozenset(a.address.partition("%")[0] for c in cards for a in c if a.family in kinds)
