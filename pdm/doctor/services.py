"""Checks of the services that the environment names, and of ports that are open to the network.

Nothing has to run beforehand: without these variables MLflow is a file, and Prefect's server and
Ray are started when they are needed.
"""

import ipaddress
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from pdm.doctor.finding import Finding, error, failed, listed, ok, warning
from pdm.errors import PyramidError, Unavailable

SECONDS_TO_ANSWER = 5.0
WANTS_A_PASSWORD = (401, 403)  # HTTP status
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# As their command lines name them. Ray's own parts listen on all interfaces, whatever is asked.
SERVICES = ("gcs_server", "raylet", "mlflow", "prefect")


def check_mlflow() -> Finding:
    """Ask MLflow. An outage is only a warning, since runs are sent later (`pyramid sync`)."""
    from pdm.tracking.connection.health import check_connection

    try:
        return ok("mlflow", check_connection())
    except PyramidError as fault:
        return warning("mlflow", f"{fault}; until then runs are kept for `pyramid sync`")


def check_prefect() -> Finding:
    """Ask the server that PREFECT_API_URL names."""
    from pdm.tracking.connection.redaction import without_credentials

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return ok("prefect", "a server is started when it is needed")
    if fault := _fault_of(f"{without_credentials(url).rstrip('/')}/health"):
        text = (
            f"PREFECT_API_URL: {without_credentials(url)} {fault}; start the server, correct the "
            "address, which ends in /api, or unset PREFECT_API_URL to run without one"
        )
        return error("prefect", text, Unavailable)
    return ok("prefect", without_credentials(url))


def _fault_of(url: str) -> str:
    """What is wrong with an address that answers with JSON; empty if nothing is."""
    # Proxies cannot reach servers on this machine.
    handlers = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(url, timeout=SECONDS_TO_ANSWER) as answer:
            content = answer.read()
    except urllib.error.HTTPError as fault:
        # With another status it is a reverse proxy whose server is away or has another prefix.
        wants_password = fault.code in WANTS_A_PASSWORD
        return "" if wants_password else f"answers with HTTP status {fault.code}"
    except (OSError, ValueError):
        return "does not answer"
    try:
        json.loads(content)
    except ValueError:
        return "answers with a page, not as an API"
    return ""


def names_cluster() -> bool:
    """Whether the environment names a Ray cluster."""
    return "RAY_ADDRESS" in os.environ


def check_ray() -> Finding:
    """Ask the head of the cluster that RAY_ADDRESS names."""
    if not names_cluster():
        return ok("ray", "started on this machine when it is needed")
    from pdm.machine.cluster import check_address

    address = os.environ["RAY_ADDRESS"]
    try:
        check_address(address)
    except PyramidError as fault:
        return failed("ray", fault)
    return ok("ray", address)


def check_ports() -> Finding:
    """Look for services of this user that other machines can reach. Ray runs whatever it is sent,
    and MLflow and Prefect ask for no password by default."""
    open_ports = sorted({f"{name} at {place}" for name, place in _reachable_ports()})
    if not open_ports:
        return ok("ports", "no Ray, MLflow or Prefect that other machines can reach")
    text = f"other machines can reach {listed(open_ports)}; keep a firewall before them"
    return warning("ports", text)


def _reachable_ports() -> Iterator[tuple[str, str]]:
    for process in psutil.process_iter():
        try:
            words = {Path(word).name for word in process.cmdline()[:4]}
            names = [name for name in SERVICES if name in words]
            for connection in process.net_connections("tcp") if names else ():
                place = connection.laddr
                is_open = connection.status == psutil.CONN_LISTEN and not _is_loopback(place.ip)
                if is_open:
                    host = f"[{place.ip}]" if ":" in place.ip else place.ip
                    yield names[0], f"{host}:{place.port}"
        except psutil.Error:  # it has ended, or belongs to another user
            continue


def _is_loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
