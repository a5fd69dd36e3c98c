"""Addresses and messages that people and files may see: without passwords and tokens.

A password may hold any character, also those that end the credentials of a well-formed address
(`@ : / ? #`). So everything before the last @ counts as credentials.
"""

import os
import re
from urllib.parse import parse_qsl, quote, unquote

HIDDEN = "***"
WITHOUT_CREDENTIALS = ("", "sqlite", "file")  # schemes in which an @ is part of a path
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SECRET_KEYS = ("pass", "pwd", "token", "secret", "key")  # of an address's query
SHORTEST_SECRET = 3  # what is shorter cannot be told from an ordinary part of a word


def split_address(address: str) -> tuple[str, str, str]:
    """The scheme with its `://`, the credentials (empty if there are none), and the rest."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return "", "", address
    if _is_path(scheme):
        return f"{scheme}://", "", rest
    credentials, _, rest = rest.rpartition("@")
    return f"{scheme}://", credentials, rest


def without_credentials(address: str) -> str:
    """The address for people to read. Of a query nothing is left: it may hold a password."""
    scheme, credentials, rest = split_address(address)
    if "?" in credentials and not scheme.startswith("http"):
        return f"{scheme}{HIDDEN}"  # a database's query may end in a password with an @
    return scheme + (rest if _is_path(scheme.removesuffix("://")) else rest.partition("?")[0])


def redact_urls(text: str) -> str:
    """The text with the credentials of every well-formed address in it replaced."""
    return re.sub(r"(?<=\w)://[^\s/'\"]*@", f"://{HIDDEN}@", text)


def redact(text: str) -> str:
    """The text without the credentials of MLflow, wherever the environment holds them."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redact_urls(text)


def _is_path(scheme: str) -> bool:
    return scheme.partition("+")[0].lower() in WITHOUT_CREDENTIALS


def _secrets() -> set[str]:
    """Everything that must not be seen, in each way that it may be written."""
    _, credentials, rest = split_address(os.environ.get("MLFLOW_TRACKING_URI", ""))
    password = credentials.partition(":")[2] or credentials
    query = parse_qsl(f"{credentials}@{rest}".partition("?")[2])
    found = {
        *(os.environ.get(name, "") for name in SECRET_VARIABLES),
        *(value for key, value in query if any(word in key.lower() for word in SECRET_KEYS)),
        credentials,
        password,
    }
    written = {way for one in found for way in (one, unquote(one), quote(one, safe=""))}
    return {one for one in written if len(one) >= SHORTEST_SECRET}
