"""Host names as browsers resolve them: UTS 46, non-transitional, as the URL standard has it.

The rule of 2003, which Python's own codec `idna` follows, leads some names to other domains: it
takes `straße.example` for `strasse.example`, which may belong to somebody else. The rule of 2008
alone, on the other side, knows no symbols, and browsers do: `☃.example` is a name.
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
    """A host name as name servers know it: lower case, each label ASCII, no dot at its end.

    Args:
        name: As it stands in a URL; may be percent-encoded, and may be an IPv4 address.

    Raises:
        ValueError: It is empty, too long, or holds what no host name may.
    """
    decoded = unquote(name, errors="strict") if "%" in name else name
    try:
        mapped = idna.uts46_remap(decoded, std3_rules=False).rstrip(".")
        if not mapped:
            raise ValueError("names no host")
        if _FORBIDDEN.search(mapped):
            raise ValueError("host holds a character that no host may")
        encoded = ".".join(map(_ascii_label, mapped.split(".")))
    except idna.IDNAError as error:
        raise ValueError(f"host is no name that can be looked up: {error}") from error
    if len(encoded) > MAX_NAME_CHARACTERS:
        raise ValueError(f"host is longer than {MAX_NAME_CHARACTERS} characters")
    return encoded


def bracketed_address(address: str) -> str:
    """An IPv6 address as a URL has it, in its shortest form.

    Raises:
        ValueError: It is none, or names a network card, which is ours to choose.
    """
    if "%" in address:
        raise ValueError("host names a network card")
    try:
        return f"[{ipaddress.IPv6Address(address).compressed}]"
    except ValueError as error:
        raise ValueError("host is no IPv6 address") from error


def _ascii_label(label: str) -> str:
    """A label after mapping in its ASCII form (RFC 3492)."""
    if not label:
        raise ValueError("host has an empty label")
    if label.isascii():
        encoded = label
    else:
        _require_valid(label)
        encoded = f"xn--{label.encode('punycode').decode('ascii')}"
    if len(encoded) > MAX_LABEL_CHARACTERS:
        raise ValueError(f"host has a label of more than {MAX_LABEL_CHARACTERS} characters")
    return encoded


def _require_valid(label: str) -> None:
    """What UTS 46, section 4.1, asks of a label, as far as the mapping has not seen to it."""
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for place, letter in enumerate(label):
        if letter in _JOINERS and not idna.valid_contextj(label, place):
            raise ValueError("host holds an invisible joiner where none belongs")
