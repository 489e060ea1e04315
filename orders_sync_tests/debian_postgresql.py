"""A PostgreSQL server of Debian's package: older than the embedded one, and reached over TCP."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests import debian_packages


class DebianServer:
    """A fresh server, which does not run yet.

    It listens on loopback, and on another `address` of this machine, where it trusts everyone as well.
    """

    def __init__(self, folder: Path, address: str | None = None) -> None:
        """`folder`: an empty one for its data."""
        found = debian_packages.find("postgresql")
        assert found is not None
        self._programs = Path(found)
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._hosts = "127.0.0.1" if address is None else f"127.0.0.1,{address}"
        self.url = f"postgresql://orders@{address or '127.0.0.1'}:{self._port}"
        """Its URL, without a database."""
        if os.geteuid() == 0:  # it does not run as root
            shutil.chown(folder, "postgres")
        self._run("initdb", "-U", "orders", "--auth=trust")
        if address is not None:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all trust\n")

    def demand_passwords(self, kind: str = "host") -> None:
        """Before the start: only its administrator `orders` needs no password over TCP; `hostssl` demands TLS, too."""
        rules = f"host all orders 127.0.0.1/32 trust\n{kind} all all 127.0.0.1/32 scram-sha-256\nlocal all all reject\n"
        self._write("pg_hba.conf", rules)

    def serve_tls(self, certificate: str, key: str) -> None:
        """Before the start: it has this certificate and private key (PEM)."""
        self._write("server.crt", certificate)
        self._write("server.key", key)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def _write(self, name: str, text: str) -> None:
        path = self._data / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def start(self) -> None:
        """Starts it, also after it was killed, and waits until it answers."""
        options = f"-h {self._hosts} -p {self._port} -k {self._folder}"
        log = str(self._folder / "log")
        # pg_ctl itself gives up after 60 s, unless an option says otherwise.
        self._run("pg_ctl", "-w", "-l", log, "-t", f"{limit(60):.0f}", "-o", options, "start")

    def start_again(self) -> None:
        """Starts it unless it runs, once the processes of one that was killed have ended."""

        def started() -> bool:
            if self._is_left_dead():
                (self._data / "postmaster.pid").unlink()
            with suppress(subprocess.CalledProcessError):
                self._run("pg_ctl", "status")
                return True
            with suppress(subprocess.CalledProcessError):
                self.start()
                return True
            return False

        wait_for(started, seconds=120, what="the restart of PostgreSQL")

    def stop(self) -> None:
        """Stops it at once."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def pid(self) -> int:
        """Its process. Raises OSError or IndexError where it does not run."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _is_left_dead(self) -> bool:
        """Whether it was killed, and the first process of this machine has not noticed: PostgreSQL takes it for alive."""
        with suppress(OSError, IndexError, psutil.NoSuchProcess):
            return psutil.Process(self.pid()).status() == psutil.STATUS_ZOMBIE
        return False

    def kill(self) -> None:
        """Kills it, if it runs."""
        with suppress(OSError, IndexError):
            os.kill(self.pid(), signal.SIGKILL)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(self._programs / program), "-D", str(self._data), *arguments],
            check=True, capture_output=True, timeout=limit(60),
        )  # fmt: skip


@contextmanager
def prepared_server(prepare: Callable[[DebianServer], None]) -> Iterator[str]:
    """The same, after `prepare` has changed how it starts."""
    with tempfile.TemporaryDirectory(prefix="ospg-") as folder:
        server = DebianServer(Path(folder))
        prepare(server)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


@contextmanager
def debian_server(address: str | None = None) -> Iterator[str]:
    """The URL, without a database, of a server that runs for the length of the block (see DebianServer)."""
    with tempfile.TemporaryDirectory(prefix="ospg-") as folder:
        server = DebianServer(Path(folder), address)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
