"""Removes passwords and tokens from addresses and messages.

A password may contain any character, even those that end the credentials of a well-formed address
(`@ : / ? #`). So everything before the last @ counts as credentials.
"""

import os
import re
from urllib.parse import parse_qsl, quote, unquote

HIDDEN = "***"
WITHOUT_CREDENTIALS = ("", "sqlite", "file")  # schemes in which an @ is part of a path
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SECRET_KEYS = ("pass", "pwd", "token", "secret", "key")  # keys in an address's query
SHORTEST_SECRET = 3  # shorter ones occur in ordinary words


def split_address(address: str) -> tuple[str, str, str]:
    """Split an address into scheme with `://`, credentials (may be empty), and the rest."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return "", "", address
    if _is_path(scheme):
        return f"{scheme}://", "", rest
    credentials, _, rest = rest.rpartition("@")
    return f"{scheme}://", credentials, rest


def without_credentials(address: str) -> str:
    """Return the address for display, without its query, which may contain a password."""
    scheme, credentials, rest = split_address(address)
    if "?" in credentials and not scheme.startswith("http"):
        return f"{scheme}{HIDDEN}"  # the query may end with a password that has an @
    return scheme + (rest if _is_path(scheme.removesuffix("://")) else rest.partition("?")[0])


def redact_urls(text: str) -> str:
    """Replace the credentials of every well-formed address in a text."""
    return re.sub(r"(?<=\w)://[^\s/'\"]*@", f"://{HIDDEN}@", text)


def redact(text: str) -> str:
    """Remove MLflow's credentials, as found in the environment, from a text."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redact_urls(text)


def _is_path(scheme: str) -> bool:
    return scheme.partition("+")[0].lower() in WITHOUT_CREDENTIALS


def _secrets() -> set[str]:
    """Collect all secrets, in each form in which they may appear."""
    _, credentials, rest = split_address(os.environ.get("MLFLOW_TRACKING_URI", ""))
    password = credentials.partition(":")[2] or credentials
    query = parse_qsl(f"{credentials}@{rest}".partition("?")[2])
    secrets = {
        *(os.environ.get(name, "") for name in SECRET_VARIABLES),
        *(value for key, value in query if any(word in key.lower() for word in SECRET_KEYS)),
        credentials,
        password,
    }
    spellings = {
        spelling
        for secret in secrets
        for spelling in (secret, unquote(secret), quote(secret, safe=""))
    }
    return {secret for secret in spellings if len(secret) >= SHORTEST_SECRET}
