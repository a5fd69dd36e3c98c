from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def read(name):
    return yaml.safe_load((INFRA / name).read_text())


@pytest.mark.parametrize("path", sorted(INFRA.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_is_yaml(path):
    assert list(yaml.safe_load_all(path.read_text()))


def test_no_port_is_published_beyond_this_machine():
    services = read("compose.yaml")["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service for service in services.values())


def test_no_password_stands_in_a_file():
    environment = read("compose.yaml")["services"]["postgres"]["environment"]
    assert environment["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_the_cluster_has_the_ray_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    version = read("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"ray=={version}" in lock


def test_the_deployment_names_a_flow_that_exists():
    module, name = read("prefect.yaml")["deployments"][0]["entrypoint"].rsplit(".", 1)
    source = ROOT / (module.replace(".", "/") + ".py")
    assert f"\ndef {name}(" in source.read_text()
