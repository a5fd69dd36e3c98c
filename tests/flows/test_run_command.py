import contextlib
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.stages.stage import environment_of_stages


def run_command(folder, home, *arguments, **more):
    """Run `python -m flows run` as a user without a Prefect server does."""
    environment = environment_of_stages() | {"PREFECT_HOME": str(home), "COLUMNS": "120"}
    environment.pop("PREFECT_API_URL", None)
    return subprocess.run(
        [sys.executable, "-m", "flows", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment | more,
        check=False,
    )


@pytest.fixture
def flows_run(toy, new_prefect_home):
    home = new_prefect_home()
    return lambda *arguments, **more: run_command(toy, home, *arguments, **more)


# No servers are there.
PROXIES = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "nonsense",
    "all_proxy": "socks5://127.0.0.1:9",
    "no_proxy": "example.org",
}
PRINTS_PROXIES = """
import os, sys
print({name: os.environ.get(name) for name in sys.argv[1:]})
open('one.txt', 'w').write('1')
"""


@pytest.fixture(scope="module")
def first_run(new_toy, new_prefect_home, tmp_path_factory):
    """A project, Prefect's folder, and the first run there, behind proxies."""
    folder = shutil.copytree(new_toy, tmp_path_factory.mktemp("first"), dirs_exist_ok=True)
    (folder / "first.py").write_text(PRINTS_PROXIES)
    graph = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(graph.replace("first.py", f"first.py {' '.join(PROXIES)}"))
    home = new_prefect_home()
    done = run_command(folder, home, **PROXIES)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, home, done


def test_a_run_shows_each_line_once_then_the_table_and_where_to_look(first_run):
    folder, home, first = first_run
    lines = first.stdout.splitlines()
    for line in ("== second ==", "second: wrote a page"):
        assert lines.count(line) == 1
    assert any(line.split()[:1] == ["second"] and "wrote a page" in line for line in lines)
    assert any("near.distance" in line and "1.25" in line for line in lines)
    assert any("samples" in line and "two/contact-sheet.png" in line for line in lines)
    assert any("data report" in line and "page.html" in line for line in lines)
    assert any("mlflow ui --backend-store-uri sqlite:///mlflow.db" in line for line in lines)
    assert "Traceback" not in first.stderr
    assert "CancelledError" not in first.stderr

    second = run_command(folder, home)
    assert second.stdout.splitlines()[-1] == "everything is up to date"
    assert any("wrote a page" in line for line in second.stdout.splitlines())


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_folder_without_a_project_is_refused_and_stays_empty(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flows", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment_of_stages(),
        check=False,
    )
    assert done.returncode == 2
    expected = f"error: {tmp_path} has no dvc.yaml; run this from the project's folder\n"
    assert done.stderr == expected
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_is_for_the_stages_and_not_for_servers_on_this_machine(first_run):
    *_, first = first_run
    expected = PROXIES | {"no_proxy": "example.org,127.0.0.1,localhost"}
    assert str(expected) in first.stdout


def test_a_failing_stage_ends_the_run_with_its_line_and_exit_code(flows_run, script, server):
    script("import sys; print('error: a key is missing', flush=True); sys.exit(2)")
    done = flows_run(PREFECT_API_URL=server)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: stage 'first': a key is missing"
    assert (done.stdout + done.stderr).count("a key is missing") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert not Path("two").exists()


def test_a_server_that_is_configured_but_away_is_named(flows_run):
    done = flows_run(PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 4
    assert done.stderr.startswith("error: Prefect's server at http://127.0.0.1:9/api does not")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (502, "answers with HTTP status 502"),  # a reverse proxy whose server is away
        (404, "answers with HTTP status 404"),  # or has another prefix
        (200, "answers with a page, not as an API"),  # the address of Prefect's pages
    ],
)
def test_a_reverse_proxy_without_prefects_api_is_named(flows_run, gateway, status, words):
    url = gateway(status)
    done = flows_run(PREFECT_API_URL=url)
    assert done.returncode == 4
    assert done.stderr.startswith(f"error: Prefect's server at {url} {words}; start it, correct")
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture
def gateway():
    """Starts a server that answers everything with a page and one HTTP status; its address."""
    with contextlib.ExitStack() as stack:

        def start(status):
            class Gateway(BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(b"<html>")

                def log_message(self, *_):
                    pass

            server = stack.enter_context(HTTPServer(("127.0.0.1", 0), Gateway))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/prefix/api"

        yield start


def test_a_password_in_the_address_of_a_server_is_not_shown(flows_run):
    done = flows_run(PREFECT_API_URL="http://me:p@ss/canary@127.0.0.1:9/api")
    assert done.returncode == 4
    assert "http://127.0.0.1:9/api does not answer" in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_a_server_that_does_not_start_is_one_line(flows_run, tmp_path):
    (tmp_path / "file").touch()
    done = flows_run(PREFECT_HOME=str(tmp_path / "file" / "below"), PYTHONWARNINGS="ignore")
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert line.startswith("error: Prefect's server did not start (")
    assert "unable to open database file" in line


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_damaged_database_of_the_server_is_named_with_what_to_do(
    command, toy, tmp_path, monkeypatch
):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)  # of the server that other tests use
    database = tmp_path / "home" / "prefect.db"
    database.parent.mkdir()
    database.write_bytes(b"no database" * 1000)
    done = subprocess.run(
        [sys.executable, "-m", "flows", command],
        capture_output=True,
        text=True,
        env=environment_of_stages() | {"PREFECT_HOME": str(database.parent)},
        check=False,
    )
    assert done.returncode == 4
    assert "file is not a database" in done.stderr
    assert f"its database {database} is damaged" in done.stderr
    assert "move it away" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_project_that_cannot_be_written_is_one_line(toy):
    namespace = next(
        (
            command
            for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"])
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ),
        None,
    )
    if namespace is None:
        pytest.skip("needs a mount namespace")
    mounted = f"mount --bind {toy} {toy} && mount -o remount,bind,ro {toy} && cd {toy}"
    command = f"{mounted} && exec {sys.executable} -m flows run"
    done = subprocess.run(
        [*namespace, "sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment_of_stages(),
        check=False,
    )
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert line.endswith(": read-only file system; check the disk, then run this again")


def test_impossible_params_of_the_pyramid_end_the_run_before_an_output_is_removed(flows_run):
    Path("one.txt").write_text("kept")
    Path("dvc.yaml").write_text(
        "stages: {first: {cmd: pyramid scrape --raw one.txt, params: [first], outs: [one.txt]}}"
    )
    done = flows_run()
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml:")
    assert Path("one.txt").read_text() == "kept"
