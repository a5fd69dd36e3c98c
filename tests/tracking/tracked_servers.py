"""MLflow servers of the tests' own."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(port):
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", "sqlite:///server.db", "--workers", "1"]
    command += ["--artifacts-destination", "./served"]
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline, "MLflow's server did not start"
                time.sleep(0.5)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Gate:
    """Stands before MLflow, as a proxy does: asks for a password, may close the artifacts, and
    takes a prefix off the path."""

    def __init__(self, app):
        self.app = app
        self.credentials = None  # "user:password" that everybody must send
        self.artifacts_are_closed = False
        self.prefix = ""  # such as /team, below which MLflow answers, and nowhere else

    def __call__(self, environment, start_response):
        if self.credentials is not None:
            wanted = base64.b64encode(self.credentials.encode()).decode()
            if environment.get("HTTP_AUTHORIZATION") != f"Basic {wanted}":
                return _refuse(environment, start_response, "401 Unauthorized")
        if not environment["PATH_INFO"].startswith(f"{self.prefix}/"):
            return _refuse(environment, start_response, "404 Not Found")
        environment["PATH_INFO"] = environment["PATH_INFO"].removeprefix(self.prefix)
        is_file = "mlflow-artifacts" in environment["PATH_INFO"]
        if is_file and self.artifacts_are_closed and environment["REQUEST_METHOD"] == "PUT":
            return _refuse(environment, start_response, "403 Forbidden")
        return self.app(environment, start_response)


def _refuse(environment, start_response, status):
    environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
    start_response(status, [("Content-Type", "text/plain")])
    return [status.encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        """Not into the tests' output."""


@contextlib.contextmanager
def gated_mlflow(folder, database):
    """MLflow's own server in a thread of this process, and the gate before it."""
    shutil.copy(database, folder / "server.db")
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{folder}/server.db"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(folder / "served")
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    with warnings.catch_warnings():  # of what MLflow's own imports use
        warnings.simplefilter("ignore")
        from mlflow.server import app
    from mlflow.server.handlers import initialize_backend_stores

    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    initialize_backend_stores()  # sets it to its database
    os.environ["MLFLOW_TRACKING_URI"] = address
    gate = Gate(app)
    with make_server("127.0.0.1", 0, gate, _Server, _Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gate.host = f"127.0.0.1:{server.server_port}"
        yield gate
        server.shutdown()
