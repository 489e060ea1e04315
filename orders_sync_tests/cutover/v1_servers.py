"""The database servers that a real V1 may have, for the tests that read it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests import debian_packages

SERVERS = [
    pytest.param("mariadb", marks=pytest.mark.needs("mariadbd")),
    pytest.param("postgresql", marks=pytest.mark.needs("postgresql")),
]
"""The fixtures of servers, as parameters of a fixture that asks for one of them."""


@contextmanager
def mariadb_server() -> Iterator[str]:
    """The URL of an empty database `laravel` on a MariaDB server of its own."""
    program = debian_packages.find("mariadbd")
    assert program is not None
    port = free_port()
    as_user = ["--user=mysql"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="osmy-") as folder:
        Path(folder).chmod(0o777)
        # Native asynchronous writes are counted for the whole machine, and may be used up by others.
        common = ["--no-defaults", f"--datadir={folder}/data", "--innodb-use-native-aio=0", *as_user]
        made = subprocess.run(
            ["mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal"],
            capture_output=True, text=True, timeout=limit(120), check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
        process = subprocess.Popen(
            [program, *common, f"--socket={folder}/s", f"--port={port}", "--bind-address=127.0.0.1",
             f"--pid-file={folder}/pid"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        url = f"mysql+pymysql://root@127.0.0.1:{port}"

        def answers() -> bool:
            engine = create_engine(f"{url}/mysql")
            try:
                with engine.connect() as connection:
                    connection.execute(text("CREATE DATABASE IF NOT EXISTS laravel"))
                return True
            except DBAPIError:
                return False
            finally:
                engine.dispose()

        try:
            wait_for(answers, seconds=60, what="MariaDB")
            yield f"{url}/laravel"
        finally:
            process.kill()
            process.wait(limit(10))
