"""A TCP proxy before the database, as a load balancer is: it cuts connections that are idle for too long."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class ImpatientProxy:
    """Passes bytes on between its port and a server."""

    def __init__(self, reach: Callable[[], socket.socket], idle_seconds: float, port: int = 0) -> None:
        """`reach`: connects to the server. `port`: of loopback; 0: a free one."""
        self._reach = reach
        self._idle_seconds = idle_seconds
        self._listener = socket.create_server(("127.0.0.1", port))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        """How many connections it has cut because they were idle."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> None:
        """Cuts every connection now."""
        for pair in self._pairs:
            _close(*pair)

    def close(self) -> None:
        """Stops listening, and cuts every connection."""
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = self._reach()
                except OSError:
                    client.close()
                    continue
                self._pairs.append((client, server))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        last = time.monotonic()
        with suppress(OSError, ValueError):
            while time.monotonic() - last < self._idle_seconds:
                for ready in select.select([client, server], [], [], 0.1)[0]:
                    content = ready.recv(65536)
                    if not content:
                        _close(client, server)
                        return
                    other[ready].sendall(content)
                    last = time.monotonic()
            self.cuts += 1
        _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def impatient_proxy(url: str, idle_seconds: float) -> Iterator[tuple[str, ImpatientProxy]]:
    """A proxy before the server of `url`, which names a Unix socket; yields the URL through it."""
    parts = urlsplit(url)
    (folder,) = parse_qs(parts.query)["host"]

    def reach() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        return server

    proxy = ImpatientProxy(reach, idle_seconds)
    try:
        yield f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}", proxy
    finally:
        proxy.close()
