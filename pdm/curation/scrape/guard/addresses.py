"""Which addresses a URL list may reach: public ones, and no door into a private network.

Every address is judged, never a name or its spelling: `0x7f000001`, `127.1` and `localhost` all are
127.0.0.1 once they are looked up, and that is what is judged.
"""

import functools
import ipaddress
import socket
from collections.abc import Callable

import psutil

# Why an address and port may not be reached, or None if they may.
AddressRule = Callable[[str, int], str | None]

_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


def public_only(address: str, port: int) -> str | None:
    """The rule for lists from strangers: the open internet, and nothing of our own."""
    if address.partition("%")[0] in _own_addresses():
        return "this machine"
    return blocked_reason(address)


def anything(address: str, port: int) -> str | None:
    """The rule for lists whose owner allows private addresses."""
    return None


def only(allowed_address: str, allowed_port: int) -> AddressRule:
    """The rule that lets one server through and nothing else."""

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
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = _embedded(found)
        if inner is not None:
            return blocked_reason(str(inner))
        if found.is_site_local:
            return "site-local"
    if found.is_unspecified:
        return "this machine"
    if found.is_loopback:
        return "loopback"
    if found.is_link_local:
        return "link-local"
    if found.is_multicast:
        return "multicast"
    return None if found.is_global and not found.is_reserved else "not a public address"


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, compatible, NAT64 or 6to4."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _COMPATIBLE and int(address) > 1:
        return ipaddress.IPv4Address(int(address))
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


@functools.cache
def _own_addresses() -> frozenset[str]:
    """Addresses of this machine's network cards: also a public one leads to our own services."""
    kinds = (socket.AF_INET, socket.AF_INET6)
    cards = psutil.net_if_addrs().values()
    return frozenset(a.address.partition("%")[0] for c in cards for a in c if a.family in kinds)
