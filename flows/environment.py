"""The environment of this process and of its children.

Prefect's settings must be set before it is imported. They are defaults: the user's own settings
stay. Servers on this machine are reached without a proxy, since proxies cannot reach them.
"""

import json
import os

# We print the stages' lines to the terminal; Prefect's console would print them again.
_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "10",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
}


_LOOPBACK = ("127.0.0.1", "localhost")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")
_HIDDEN_PROXIES = "PYRAMID_HIDDEN_PROXIES"


def prepare() -> None:
    """Set the defaults."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    present = [os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")]
    hosts = [host.strip() for host in ",".join(present).split(",")]
    no_proxy = ",".join(dict.fromkeys(host for host in (*hosts, *_LOOPBACK) if host))
    os.environ |= {"no_proxy": no_proxy, "NO_PROXY": no_proxy}


def hide_proxies() -> None:
    """Hide proxies from this process, which only talks to its own server: Prefect's client fails on
    some kinds (SOCKS) although it would not use them."""
    proxies = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    for name in proxies:
        del os.environ[name]
    if proxies:
        os.environ[_HIDDEN_PROXIES] = json.dumps(proxies)


def with_hidden_proxies() -> dict[str, str]:
    """Return the environment from before `hide_proxies`, for children that use the network. The
    parent process may have hidden the proxies."""
    environment = dict(os.environ)
    hidden: dict[str, str] = json.loads(environment.pop(_HIDDEN_PROXIES, "{}"))
    return environment | hidden
