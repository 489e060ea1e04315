"""A PostgreSQL server of Debian's package: older than the embedded one, and reached over TCP."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit
from orders_sync_tests import debian_packages


@contextmanager
def debian_server(address: str | None = None) -> Iterator[str]:
    """The URL, without a database, of a fresh server; it is gone after the block.

    It listens on loopback, and on another `address` of this machine, where it trusts everyone as well.
    """
    programs = debian_packages.find("postgresql")
    assert programs is not None
    port = free_port()
    hosts = "127.0.0.1" if address is None else f"127.0.0.1,{address}"
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="ospg-") as folder:
        if as_user:
            subprocess.run(["chown", "postgres", folder], check=True)
        data = f"{folder}/data"
        subprocess.run(
            [*as_user, f"{programs}/initdb", "-D", data, "-U", "orders", "--auth=trust"],
            check=True,
            capture_output=True,
            timeout=limit(60),
        )
        if address is not None:
            with open(f"{data}/pg_hba.conf", "a") as rules:
                rules.write("host all all all trust\n")
        control = [*as_user, f"{programs}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        # pg_ctl itself gives up after 60 s, unless an option says otherwise.
        subprocess.run(
            [*control, "-t", f"{limit(60):.0f}", "-o", f"-h {hosts} -p {port} -k {folder}", "start"],
            check=True,
            capture_output=True,
            timeout=limit(60),
        )
        try:
            yield f"postgresql://orders@{address or '127.0.0.1'}:{port}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, timeout=limit(60))
