"""The Prefect server that a run starts for itself."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flows import server
from flows.errors import RunError


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def other_server():
    """The port of a server that says it is well, as that of another run does."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield other.server_port
        other.shutdown()
        thread.join()


def test_a_run_never_uses_the_server_that_another_run_started_at_the_same_moment(
    other_server, new_prefect_home, monkeypatch
):
    monkeypatch.setenv("PREFECT_HOME", str(new_prefect_home()))
    # Both runs found the port free; the other one was faster.
    monkeypatch.setattr(server, "_free_port", lambda preferred: other_server)
    with pytest.raises(RunError, match="did not start"), server.local_server():
        pass
