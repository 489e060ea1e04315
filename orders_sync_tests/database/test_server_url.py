"""URLs of one server and of several, read alike by libpq and by SQLAlchemy, and a server that is down."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from orders_sync.dagster_instance.storage import dagster_database_url
from orders_sync.database.engine import DatabaseUnreachableError, connect, database_url
from orders_sync.database.schema import check_schema
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.database.server_url import ServerUrlError, server_url
from orders_sync.testing.deployment import copy_project, environment, free_port
from orders_sync.testing.waiting import limit
from orders_sync_tests.debian_postgresql import DebianServer, debian_server

TWO_HOSTS = {
    "libpq": "postgresql://u:p%40@a:5433,b/orders?options=-c%20lock_timeout%3D5s",
    "SQLAlchemy": "postgresql+psycopg2://u:p%40@/orders?host=a:5433&host=b&options=-c%20lock_timeout%3D5s",
    "both": "postgres://u:p%40@/orders?host=a,b&port=5433,5432&options=-c%20lock_timeout%3D5s",
}


@pytest.mark.parametrize("form", TWO_HOSTS)
def test_several_hosts_in_any_form_are_the_same_to_libpq_and_to_sqlalchemy(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server_url(TWO_HOSTS[form])
    expected = {
        "user": "u", "password": "p@", "dbname": "orders", "host": "a,b", "port": "5433,5432",
        "options": "-c lock_timeout=5s", "target_session_attrs": "read-write",
    }  # fmt: skip
    assert conninfo_to_dict(url) == expected
    assert server_url(url) == url
    monkeypatch.setenv("ORDERS_DATABASE_URL", TWO_HOSTS[form])
    assert database_url() == url
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", TWO_HOSTS[form])
    dagster = make_url(dagster_database_url())
    _, arguments = dagster.get_dialect()().create_connect_args(dagster)
    assert {name: arguments[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://[::1]:1,[::2]/db", "::1,::2", "1,5432"),
        ("postgresql:///db?host=[::1]:1&host=::2", "::1,::2", "1,5432"),
        ("postgresql://u@/db?host=a,b&port=7", "a,b", "7,7"),
        ("postgresql://u@/db?host=/run/one&host=/run/two", "/run/one,/run/two", "5432,5432"),
        ("postgresql://u@/db?host=a:6543", "a", "6543"),
    ],
)
def test_each_kind_of_host_is_read(url: str, hosts: str, ports: str) -> None:
    found = conninfo_to_dict(server_url(url))
    assert (found["host"], found["port"], found["dbname"]) == (hosts, ports, "db")
    assert ("target_session_attrs" in found) == ("," in hosts)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:x,y@a:1/db?sslmode=require",
        "postgresql://u@/db?host=/run/postgresql&port=6432",
        "postgresql:///db",
    ],
)
def test_one_host_stays_as_it_is(url: str) -> None:
    assert server_url(url) == url


def test_what_the_url_says_about_writes_is_kept() -> None:
    found = conninfo_to_dict(server_url("postgresql://a,b/db?target_session_attrs=primary"))
    assert found["target_session_attrs"] == "primary"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://u:secret@a/db?host=b:1&host=c:1", "names hosts or ports in more than one way"),
        ("postgresql://u:secret@/db?host=b:1&host=c&port=1", "names hosts or ports in more than one way"),
        ("postgresql://u:secret@/db?host=a,b&host=c", "names hosts or ports in more than one way"),
        ("postgresql://u:secret@/db?host=a:x&host=b", "names 'a:x' as a host"),
        ("postgresql://u:secret@/db?host=a,b&port=1,2,3", "names 2 hosts and 3 ports"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(url: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerUrlError) as refused:
        server_url(url)
    assert str(refused.value) == f"{problem}; write postgresql://user@a:5432,b:5432/orders"
    monkeypatch.setenv("ORDERS_DATABASE_URL", url)
    with pytest.raises(DatabaseUnreachableError, match=f"^ORDERS_DATABASE_URL {problem}") as shown:
        connect()
    assert "secret" not in str(shown.value)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with debian_server() as url:
        yield url


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("form", ["libpq", "SQLAlchemy"])
def test_the_server_that_is_up_is_used_for_both_databases(
    server: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down, up = f"127.0.0.1:{free_port()}", server.partition("@")[2]
    with connect(f"{server}/postgres") as connection:
        for name in ("orders", "dagster"):
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(f"CREATE DATABASE {name}")

    def named(database: str) -> str:
        if form == "libpq":
            return f"postgresql://orders@{down},{up}/{database}"
        return f"postgresql://orders@/{database}?host={down}&host={up}"

    monkeypatch.setenv("ORDERS_DATABASE_URL", named("orders"))
    upgrade_schema()
    check_schema()
    program = (
        "import dagster as dg; from orders_sync.dagster_instance.instance import open_instance\n"
        "with open_instance() as instance:\n"
        "    dg.materialize([dg.asset(name='a')(lambda: None)], instance=instance)\n"
        "    print(instance.get_runs_count())"
    )
    project = copy_project(tmp_path)
    variables = environment(DAGSTER_POSTGRES_URL=named("dagster"), PYTHONPATH=str(project))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, env=variables, capture_output=True, text=True,
        timeout=limit(120), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stdout + done.stderr
    assert not (project / ".state" / "postgres").exists()


@pytest.mark.needs("postgresql")
def test_a_server_that_refuses_writes_is_passed_over(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a standby is, which answers as well."""
    with tempfile.TemporaryDirectory(prefix="ospg-") as folder:
        standby = DebianServer(Path(folder))
        standby.start()
        try:
            with connect(f"{standby.url}/postgres") as connection:
                connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                connection.execute("SELECT pg_reload_conf()")
            first, second = (url.partition("@")[2] for url in (standby.url, server))
            monkeypatch.setenv("ORDERS_DATABASE_URL", f"postgresql://orders@{first},{second}/postgres")
            with connect() as connection:
                assert str(connection.info.port) == second.partition(":")[2]
        finally:
            standby.stop()
