"""The environment of this process and of what it starts.

Settings of Prefect must stand there before it is imported. Each is a default: what a user has set
stays. Servers on this machine are reached past any proxy, which could not reach them.
"""

import json
import os

# The terminal gets the stages' lines from us; Prefect's log has them too, so its own
# console would say everything twice.
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
    """Fill in what is not set."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    past = [os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")]
    hosts = [host.strip() for host in ",".join(past).split(",")]
    both = ",".join(dict.fromkeys(host for host in (*hosts, *_LOOPBACK) if host))
    os.environ |= {"no_proxy": both, "NO_PROXY": both}


def hide_proxies() -> None:
    """Take the proxies out of this process, which then talks to a server of its own and nobody
    else: Prefect's client fails on some kinds (SOCKS) though it would not use them."""
    found = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    for name in found:
        del os.environ[name]
    if found:
        os.environ[_HIDDEN_PROXIES] = json.dumps(found)


def with_hidden_proxies() -> dict[str, str]:
    """This process's environment as it was before `hide_proxies`, for those who use the network.
    They may have been hidden by the process that started this one."""
    environment = dict(os.environ)
    hidden: dict[str, str] = json.loads(environment.pop(_HIDDEN_PROXIES, "{}"))
    return environment | hidden
