"""A server that answers with exactly the bytes that a test gives it."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """Its address, and the targets and hosts that it was asked for."""

    port: int
    targets: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def answering(answers: Mapping[str, bytes]) -> Iterator[RawServer]:
    """Serve on loopback: an answer for each request target, as it stands; 404 for all others."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(listener.getsockname()[1])
        threading.Thread(target=_serve, args=(listener, server, answers), daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, server: RawServer, answers: Mapping[str, bytes]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError), connection.makefile("rb") as head:
                server.targets.append(head.readline().decode("latin-1").split(" ")[1])
                for line in iter(head.readline, b"\r\n"):
                    name, _, value = line.decode("latin-1").partition(":")
                    server.hosts += [value.strip()] if name.lower() == "host" else []
                missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                connection.sendall(answers.get(server.targets[-1], missing))
