import socket
import time
import urllib.error

import pytest
from direct import open_directly

from pdm.curation.scrape.sources.loopback import serve


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff picture")
    return {"/pictures/a.jpg": path}


def get(url: str, timeout: float = 5.0) -> bytes:
    with open_directly(url, timeout=timeout) as answer:
        return answer.read()


def test_a_file_is_served_unchanged_with_its_type(files):
    with serve(files, {}) as address, open_directly(f"{address}/pictures/a.jpg") as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read() == b"\xff\xd8\xff picture"


@pytest.mark.parametrize("path", ["/b.jpg", "/pictures/../../etc/passwd", "/", "/pictures/"])
def test_anything_else_is_not_found(files, path):
    with serve(files, {}) as address, pytest.raises(urllib.error.HTTPError) as error:
        get(address + path)
    assert error.value.code == 404


def test_it_listens_on_this_machine_only(files):
    with serve(files, {}) as address:
        host, port = address.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        with pytest.raises(OSError):  # noqa: PT011 - refused or unreachable, by system
            socket.create_connection(("127.0.0.2", int(port)), timeout=1).close()


def test_a_slow_answer_outlasts_the_patience_of_a_client_but_not_the_server(files):
    began = time.monotonic()
    with serve(files, {"/slow.jpg": 60.0}) as address, pytest.raises(TimeoutError):
        get(f"{address}/slow.jpg", timeout=0.3)
    assert time.monotonic() - began < 5


def test_a_slow_answer_does_not_delay_others(files):
    with serve(files, {"/slow.jpg": 30.0}) as address, socket.socket() as waiting:
        waiting.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        waiting.sendall(b"GET /slow.jpg HTTP/1.0\r\n\r\n")
        assert get(f"{address}/pictures/a.jpg")


def test_nothing_listens_afterwards(files):
    with serve(files, {}) as address:
        get(f"{address}/pictures/a.jpg")
    with pytest.raises(urllib.error.URLError):
        get(f"{address}/pictures/a.jpg")
