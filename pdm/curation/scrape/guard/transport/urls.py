"""URLs as they go over the wire: ASCII, percent-encoded, http or https, without surprises.

What is written carelessly is read as browsers read it (https://url.spec.whatwg.org), so that
a URL that shows a picture in a browser brings the same one here.
"""

import re
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from pdm.curation.scrape.guard.transport.host_names import ascii_name, bracketed_address

MAX_URL_CHARACTERS = 4096
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIALS = re.compile(r"(^[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2})[^/\\?#]*@")
_BRACKETS = re.compile(r"\[(.*)\](?::\d*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What stays as it is; `%` does, since what is encoded already must not be encoded twice.
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._[]|"
_SAFE_IN_QUERY = "/%:@!$&()*+,;=~-._?[]|^`{}\\"


def fetchable(url: str) -> str:
    """The URL as it is asked for: host and rest encoded as ASCII, no fragment.

    Raises:
        ValueError: It must not be fetched; the text says why, and holds no credentials.
    """
    if not url:
        raise ValueError("no URL in this row")
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"longer than {MAX_URL_CHARACTERS:,} characters")
    if "\t" in url:
        raise ValueError("holds a tab; a table with a header is read from a file named .csv")
    if _CONTROL.search(url):
        raise ValueError("holds a control character")
    if "\ufffd" in url:
        raise ValueError("is not UTF-8")
    parts = _split(_with_forward_slashes(url))
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise ValueError(f"scheme '{parts.scheme[:20]}' is not http or https")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password")
    if not parts.hostname:
        raise ValueError("names no host")
    return _encoded(parts)


def next_hop(url: str, location: str) -> str:
    """Where a redirect from a fetchable URL leads, as a fetchable URL.

    Raises:
        ValueError: As `fetchable`.
    """
    return fetchable(urljoin(url, _with_forward_slashes(location)))


def without_credentials(url: str) -> str:
    """What may be written down: secrets in URLs end up in reports otherwise."""
    plain = _CREDENTIALS.sub(r"\1", url)[:MAX_URL_CHARACTERS]
    return plain.encode("utf-8", "replace").decode("utf-8")


def normal_form(url: str) -> str:
    """Equal for URLs that a server cannot tell apart: no fragment, host in lower case, no default
    port."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port != _DEFAULT_PORTS.get(scheme) else None
    place = f"{host}:{port}" if port else host
    return parts._replace(scheme=scheme, netloc=place, path=parts.path or "/", fragment="").geturl()


def place_of(url: str) -> tuple[str, int]:
    """Host and port that a fetchable URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is looked at only when it is asked for
    except ValueError as error:
        # Python's own texts quote the host, and with it what stands before the @.
        raise ValueError("is no well-formed URL") from error
    return parts


def _with_forward_slashes(url: str) -> str:
    end = next((place for place, letter in enumerate(url) if letter in "?#"), len(url))
    return url[:end].replace("\\", "/") + url[end:]


def _encoded(parts: SplitResult) -> str:
    is_usual = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    path = quote(_without_dot_segments(parts.path), safe=_SAFE_IN_PATH)
    query = quote(parts.query, safe=_SAFE_IN_QUERY)
    host = _host(parts.netloc)
    place = host if is_usual else f"{host}:{parts.port}"
    return parts._replace(netloc=place, path=path, query=query, fragment="").geturl()


def _host(place: str) -> str:
    # Not `SplitResult.hostname`: Python's lower case is not that of host names.
    inside = _BRACKETS.fullmatch(place)
    return bracketed_address(inside[1]) if inside else ascii_name(place.partition(":")[0])


def _without_dot_segments(path: str) -> str:
    """The path that a server would look for: robots.txt is asked about that one."""
    if not path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments, 1):
        name = segment.lower().replace("%2e", ".")
        if name not in (".", ".."):
            kept.append(segment)
            continue
        del kept[len(kept) - (name == "..") :]
        if number == len(segments):
            kept.append("")
    return "/" + "/".join(kept)
