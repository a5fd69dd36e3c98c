"""URLs as they are requested: ASCII, percent-encoded, http or https.

Careless spellings are read as browsers read them (https://url.spec.whatwg.org), so that a URL that
shows a picture in a browser fetches the same picture here.
"""

import re
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from pdm.curation.scrape.guard.transport.host_names import ascii_name, bracketed_address

MAX_URL_CHARACTERS = 4096
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIALS = re.compile(r"(^[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2})[^/\\?#]*@")
_BRACKETS = re.compile(r"\[(.*)\](?::\d*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Characters that are not encoded; `%` is one, or encoded URLs would be encoded twice.
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._[]|"
_SAFE_IN_QUERY = "/%:@!$&()*+,;=~-._?[]|^`{}\\"


def to_request_url(url: str) -> str:
    """The URL as it is requested: encoded in ASCII, without a fragment.

    Raises:
        ValueError: It must not be fetched. The message contains no credentials.
    """
    if not url:
        raise ValueError("no URL in this row")
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"the URL is longer than {MAX_URL_CHARACTERS:,} characters")
    if "\t" in url:
        raise ValueError("the URL has a tab; name a table with a header .csv")
    if _CONTROL.search(url):
        raise ValueError("the URL has a control character")
    if "\ufffd" in url:
        raise ValueError("the URL is not UTF-8")
    parts = _split(_with_forward_slashes(url))
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise ValueError(f"scheme '{parts.scheme[:20]}' is not http or https")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL has a user name or password")
    if not parts.hostname:
        raise ValueError("the URL has no host")
    return _encode(parts)


def resolve_redirect(url: str, location: str) -> str:
    """The request URL that a redirect leads to.

    Args:
        url: The request URL that was redirected.
        location: Absolute or relative.

    Raises:
        ValueError: As `to_request_url`.
    """
    return to_request_url(urljoin(url, _with_forward_slashes(location)))


def strip_credentials(url: str) -> str:
    """The URL without user name and password, which must not end up in reports."""
    plain = _CREDENTIALS.sub(r"\1", url)[:MAX_URL_CHARACTERS]
    return plain.encode("utf-8", "replace").decode("utf-8")


def normalise_url(url: str) -> str:
    """One spelling for URLs that are the same to a server: host in lower case, no fragment, no
    default port."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port != _DEFAULT_PORTS.get(scheme) else None
    netloc = f"{host}:{port}" if port else host
    path = parts.path or "/"
    return parts._replace(scheme=scheme, netloc=netloc, path=path, fragment="").geturl()


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a request URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the property checks the port
    except ValueError as error:
        # Python's messages quote the host, credentials included.
        raise ValueError("the URL is malformed") from error
    return parts


def _with_forward_slashes(url: str) -> str:
    end = next((place for place, letter in enumerate(url) if letter in "?#"), len(url))
    return url[:end].replace("\\", "/") + url[end:]


def _encode(parts: SplitResult) -> str:
    is_default_port = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    path = quote(_without_dot_segments(parts.path), safe=_SAFE_IN_PATH)
    query = quote(parts.query, safe=_SAFE_IN_QUERY)
    host = _host(parts.netloc)
    netloc = host if is_default_port else f"{host}:{parts.port}"
    return parts._replace(netloc=netloc, path=path, query=query, fragment="").geturl()


def _host(netloc: str) -> str:
    # Not `SplitResult.hostname`: str.lower differs from the mapping of host names.
    match = _BRACKETS.fullmatch(netloc)
    return bracketed_address(match[1]) if match else ascii_name(netloc.partition(":")[0])


def _without_dot_segments(path: str) -> str:
    """The path without `.` and `..`: robots.txt must be checked for the path that is served."""
    if not path:
        return path
    result: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments, 1):
        name = segment.lower().replace("%2e", ".")
        if name not in (".", ".."):
            result.append(segment)
            continue
        del result[len(result) - (name == "..") :]
        if number == len(segments):
            result.append("")
    return "/" + "/".join(result)
