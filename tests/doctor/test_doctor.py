import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pdm.cli import main
from pdm.doctor import dvc_cache, environment, hardware, project, services
from pdm.doctor.finding import error, ok, raise_for, warning
from pdm.errors import BadInput, Unavailable
from pdm.presets import preset_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with nothing but its graph and params."""
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", "params.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".git").mkdir()
    return tmp_path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def findings_of(capsys, *options):
    """Names and findings that the command prints, and its exit code."""
    code = main(["doctor", "--json", *options])
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)}, code


def test_a_project_that_can_run_passes_and_nothing_is_written(folder, capsys):
    before = sorted(folder.rglob("*"))
    found, code = findings_of(capsys)
    assert {name: each for name, each in found.items() if each["status"] == "error"} == {}
    assert code == 0
    assert sorted(folder.rglob("*")) == before


def test_all_that_is_missing_is_named_at_once(folder, capsys, monkeypatch):
    text = (folder / "params.yaml").read_text()
    start, end = text.index("    - kind: builtin"), text.index("    # - {kind: folder")
    urls = "    - {kind: urls, path: sources/none.csv}\n"
    text = (text[:start] + urls + text[end:]).replace("num_workers: 1 ", "num_workers: 8 ")
    (folder / "params.yaml").write_text(text)
    monkeypatch.setattr(hardware, "usable_cpus", lambda: 4)
    monkeypatch.setattr(hardware.torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("PYRAMID_IMG2DATASET", str(folder / "img2dataset"))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    found, code = findings_of(capsys)
    wrong = {name: each for name, each in found.items() if each["status"] == "error"}
    assert set(wrong) == {"sources", "img2dataset", "workers", "prefect"}
    assert "sources/none.csv" in wrong["sources"]["text"]
    assert str(folder / "img2dataset") in wrong["img2dataset"]["text"]
    assert "autoencoder.training.num_workers: 8" in wrong["workers"]["text"]
    assert (wrong["sources"]["exit_code"], wrong["prefect"]["exit_code"]) == (2, 4)
    assert code == 2


def test_wrong_params_are_listed_and_the_other_checks_still_run(folder, capsys):
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("min_sharpness:", "min_sharpnes:"))
    assert main(["doctor"]) == 2
    printed = capsys.readouterr()
    assert "unknown key" in printed.out
    assert "did you mean 'min_sharpness'?" in printed.out
    assert "\nok       disk" in printed.out
    assert "checks failed: params" in printed.err


def test_outside_a_project_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found, code = findings_of(capsys)
    assert code == 2
    assert "change to the folder of the project" in found["project"]["text"]
    assert found["git"]["status"] == "error"


def test_a_package_that_is_too_old_or_missing_is_an_error():
    found = environment.check_packages(["pillow>=9999", "no-such-package>=1", "numpy>=2"])
    assert (found.status, found.error) == ("error", Unavailable)
    assert "pillow" in found.text
    assert ">=9999 is required" in found.text
    assert "no-such-package is not installed" in found.text
    assert "numpy" not in found.text


def test_packages_of_extras_are_not_required():
    assert environment.check_packages(['no-such-package; extra == "dev"']).status == "ok"


def test_the_required_versions_exclude_known_security_faults():
    lines = (ROOT / "pyproject.toml").read_text()
    for floor in ("ray[data,default,train]>=2.60", "mlflow>=3.17", "pillow>=12.3", "torch>=2.13"):
        assert floor in lines


def test_another_version_than_in_the_lock_is_a_warning(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("# tested together\nnumpy==0.0.1\nno-such-package==1.0\n")
    found = environment.check_lock(lock)
    assert found.status == "warning"
    assert "numpy" in found.text
    assert "(not 0.0.1)" in found.text
    assert "no-such-package" not in found.text  # such as the linters, where only stages run


def test_an_empty_folder_of_pictures_is_an_error(folder):
    (folder / "pictures").mkdir()
    text = preset_text("model-tiny", None)
    start, end = text.index("    - kind: builtin"), text.index("    # - {kind: folder")
    path = folder / "params.yaml"
    path.write_text(text[:start] + "    - {kind: folder, path: pictures}\n" + text[end:])
    params, _ = project.load_params(path)
    assert "empty folder: pictures" in project.check_sources(params).text
    (folder / "pictures" / "a.jpg").write_bytes(b"")
    assert project.check_sources(params).status == "ok"


def test_a_nearly_full_disk_is_a_warning(monkeypatch):
    monkeypatch.setattr(hardware, "MIN_FREE_GIB", 10**9)
    found = hardware.check_disk()
    assert found.status == "warning"
    assert "GiB free" in found.text


@pytest.mark.parametrize(
    ("kind", "system", "text"),
    [
        ("hardlink,copy", "ext4", "hardlinks: data and models are on the disk once"),
        ("symlink", "btrfs", "symlinks: data and models are on the disk once"),
        ("copy", "btrfs", "copies: data and models are on the disk twice (.dvc/cache has 0.5 GiB)"),
        (None, "ext4", "copies: data and models are on the disk twice (.dvc/cache has 0.5 GiB)"),
        (None, "xfs", "reflinks, if this xfs has them: data and models are stored once"),
    ],
)
def test_it_says_whether_data_are_on_the_disk_twice(tmp_path, monkeypatch, kind, system, text):
    (tmp_path / ".dvc" / "cache").mkdir(parents=True)
    setting = f"[cache]\n    type = {kind}\n" if kind else ""
    (tmp_path / ".dvc" / "config").write_text(f"[core]\n    no_scm = true\n{setting}")
    with (tmp_path / ".dvc" / "cache" / "one").open("wb") as file:
        file.truncate(2**29)  # takes no space
    place = SimpleNamespace(mountpoint=str(tmp_path), fstype=system)
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [place])
    finding = dvc_cache.check_cache(tmp_path)
    assert finding.text.startswith(text)
    assert ("cache.type hardlink" in finding.text) == text.startswith("copies")


def test_a_dvc_that_does_not_answer_is_no_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(dvc_cache, "SECONDS_TO_ANSWER", 0.01)
    finding = dvc_cache.check_cache(tmp_path)
    assert (finding.status, "did not answer" in finding.text) == ("warning", True)


def test_mlflow_that_does_not_answer_is_a_warning_without_its_password(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:canary-7@127.0.0.1:{free_port()}")
    found = services.check_mlflow()
    assert found.status == "warning"
    assert "`pyramid sync`" in found.text
    assert "canary-7" not in found.text


def test_a_cluster_that_does_not_answer_is_an_error(monkeypatch):
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    found = services.check_ray()
    assert (found.status, found.error) == ("error", Unavailable)
    assert address in found.text


@pytest.mark.parametrize(("host", "is_open"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_service_that_other_machines_can_reach_is_a_warning(tmp_path, host, is_open):
    script = tmp_path / "mlflow"
    script.write_text(
        "import socket, sys, time\n"
        "server = socket.create_server((sys.argv[1], 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), host], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            port = process.stdout.readline().strip()
            places = [place for _, place in services._reachable_ports()]
            assert (f"{host}:{port}" in places) is is_open
            assert services.check_ports().status == "warning" or not is_open
        finally:
            process.kill()


def test_only_errors_end_with_an_error():
    raise_for([ok("a", ""), warning("b", "")])
    with pytest.raises(Unavailable, match="1 of 2 checks failed: b"):
        raise_for([ok("a", ""), error("b", "", Unavailable)])
    with pytest.raises(BadInput, match="2 of 2 checks failed: a, b"):
        raise_for([error("a", "", Unavailable), error("b", "", BadInput)])


@pytest.mark.parametrize(
    ("status", "finding", "words"),
    [
        (502, "error", "HTTP status 502"),  # a reverse proxy whose server is away
        (200, "error", "with a page"),  # the address of Prefect's pages
        (401, "ok", "/prefix/api"),
    ],
)
def test_an_address_behind_a_reverse_proxy_must_be_that_of_prefects_api(
    status, finding, words, monkeypatch
):
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        thread = threading.Thread(target=gateway.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{gateway.server_port}/prefix/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = services.check_prefect()
        thread.join()
    assert found.status == finding
    assert words in found.text


def test_a_slow_service_costs_seconds(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/api")
        monkeypatch.setattr(services, "SECONDS_TO_ANSWER", 0.5)
        started = time.monotonic()
        assert services.check_prefect().status == "error"
        assert time.monotonic() - started < 5
