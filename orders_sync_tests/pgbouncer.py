"""PgBouncer, Debian's package: a connection pooler between a test and its server."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import wait_for
from orders_sync_tests import debian_packages


@contextmanager
def pgbouncer(server: str, pool_mode: str, **settings: object) -> Iterator[str]:
    """The URL, without a database, of a PgBouncer on loopback before `server`, a URL without a database as well."""
    program = debian_packages.find("pgbouncer")
    assert program is not None
    port = free_port()
    behind = conninfo_to_dict(f"{server}/")
    with tempfile.TemporaryDirectory(prefix="ospb-") as folder:
        ini, users = Path(folder, "pgbouncer.ini"), Path(folder, "users.txt")
        users.write_text(f'"{behind["user"]}" ""\n')
        lines = {
            "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "trust",
            "auth_file": users, "pool_mode": pool_mode, "ignore_startup_parameters": "extra_float_digits,options",
        } | settings  # fmt: skip
        ini.write_text(
            f"[databases]\n* = host={behind['host']} port={behind['port']}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        if os.geteuid() == 0:  # it does not run as root
            subprocess.run(["chown", "-R", "postgres", folder], check=True)
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        log = Path(folder, "log")
        with log.open("w") as output, subprocess.Popen([*as_user, program, str(ini)], stderr=output) as process:
            url = f"postgresql://{behind['user']}@127.0.0.1:{port}"

            def answers() -> bool:
                assert process.poll() is None, log.read_text()[-2000:]
                try:
                    psycopg.connect(f"{url}/postgres", connect_timeout=2).close()
                except psycopg.OperationalError:
                    return False
                return True

            try:
                try:
                    wait_for(answers, what="PgBouncer answers")
                except AssertionError as error:
                    error.add_note(log.read_text()[-2000:])
                    raise
                yield url
            finally:
                process.terminate()
