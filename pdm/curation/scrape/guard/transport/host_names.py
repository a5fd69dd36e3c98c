"""Converts host names to ASCII as browsers do: UTS 46, non-transitional processing.

Python's own codec `idna` implements IDNA 2003, which maps some names to other domains:
`straße.example` becomes `strasse.example`, which may belong to somebody else. IDNA 2008 alone, on
the other hand, refuses symbols, which browsers accept: `☃.example` is a valid name.
"""

import ipaddress
import re
from urllib.parse import unquote

import idna

MAX_LABEL_CHARACTERS = 63  # RFC 1035, 2.3.4
MAX_NAME_CHARACTERS = 253
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}%/?#@:\[\]]")
_JOINERS = "\u200c\u200d"


def ascii_name(name: str) -> str:
    """A host name in the ASCII form that is looked up: lower case, no dot at the end.

    Args:
        name: As written in a URL; may be percent-encoded, and may be an IPv4 address.

    Raises:
        ValueError: It is empty, too long, or has a character that host names must not have.
    """
    decoded = unquote(name, errors="strict") if "%" in name else name
    try:
        mapped = idna.uts46_remap(decoded, std3_rules=False).rstrip(".")
        if not mapped:
            raise ValueError("the URL has no host")
        if _FORBIDDEN.search(mapped):
            raise ValueError("the host has a character that host names must not have")
        encoded = ".".join(map(_ascii_label, mapped.split(".")))
    except idna.IDNAError as error:
        raise ValueError(f"the host is not a valid name: {error}") from error
    if len(encoded) > MAX_NAME_CHARACTERS:
        raise ValueError(f"the host is longer than {MAX_NAME_CHARACTERS} characters")
    return encoded


def bracketed_address(address: str) -> str:
    """An IPv6 address in brackets, in its shortest form.

    Raises:
        ValueError: It is not an IPv6 address, or has a zone.
    """
    if "%" in address:
        raise ValueError("the host is an IPv6 address with a zone")
    try:
        return f"[{ipaddress.IPv6Address(address).compressed}]"
    except ValueError as error:
        raise ValueError("the host is not an IPv6 address") from error


def _ascii_label(label: str) -> str:
    """The ASCII form (RFC 3492) of a mapped label."""
    if not label:
        raise ValueError("the host has an empty label")
    if label.isascii():
        encoded = label
    else:
        _require_valid(label)
        encoded = f"xn--{label.encode('punycode').decode('ascii')}"
    if len(encoded) > MAX_LABEL_CHARACTERS:
        raise ValueError(f"the host has a label of more than {MAX_LABEL_CHARACTERS} characters")
    return encoded


def _require_valid(label: str) -> None:
    """Check the validity criteria of UTS 46, section 4.1, that the mapping does not ensure."""
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for place, letter in enumerate(label):
        if letter in _JOINERS and not idna.valid_contextj(label, place):
            raise ValueError("the host has an invisible joiner in the wrong place")
