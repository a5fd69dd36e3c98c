"""Settings of Prefect that must stand in the environment before it is imported.

Each is a default: what a user has set stays.
"""

import os

# 20 s are not enough to start the server on a cold machine of two cores.
# The terminal gets the stages' lines from us; Prefect's log has them too, so its own
# console would say everything twice.
_DEFAULTS = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "10",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
}


def prepare() -> None:
    """Fill in what is not set."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
