"""TLS to the orders database: with `sslmode=verify-full`, only the server of the right CA and name is talked to."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orders_sync.database.engine import DatabaseUnreachableError, connect
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.certificates import Authority, a_certificate, an_authority
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.debian_postgresql import DebianServer, prepared_server

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.needs("openssl")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Authority:
    return an_authority(folder, "ours")


@pytest.fixture(scope="module")
def server(ours: Authority, folder: Path) -> Iterator[str]:
    """A server that demands TLS and a password, with a certificate for `localhost`; an orders database is there."""

    def prepare(server: DebianServer) -> None:
        server.demand_passwords("hostssl")
        server.serve_tls(*a_certificate(ours, folder, "DNS:localhost"))

    with prepared_server(prepare) as url:
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute("CREATE ROLE shop LOGIN PASSWORD 'word'")
            connection.execute("CREATE DATABASE orders OWNER shop")
        yield url.replace("orders@", "shop:word@").replace("127.0.0.1", "localhost") + "/orders"


def with_tls(url: str, authority: Authority, mode: str = "verify-full") -> str:
    # hostaddr: `localhost` may be ::1 first, where the server does not listen
    return f"{url}?sslmode={mode}&sslrootcert={authority.certificate}&hostaddr=127.0.0.1"


def test_a_sync_works_over_verified_tls(server: str, ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", with_tls(server, ours))
    assert run("db", "upgrade").exit_code == 0
    with Marketplace(orders=20, days=5) as marketplace:
        sync(sandbox_account(marketplace), "modified")
    with connect() as connection:
        encrypted = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(encrypted).fetchone() == (True, "TLSv1.3")
        assert connection.execute("SELECT count(*) > 10 FROM orders").fetchone() == (True,)
    assert all(finding.ok for finding in EXAMINATIONS["database"]())


def refused(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command line and the doctor say, both in one line; the password is not in it."""
    monkeypatch.setenv("ORDERS_DATABASE_URL", url)
    with pytest.raises(DatabaseUnreachableError) as problem:
        connect()
    said = str(problem.value)
    assert "\n" not in said
    assert "word" not in said.replace("password", "")
    result = run("status")
    assert result.exit_code == 1
    assert " ".join(result.output.split()) == f"Error: {said}"
    assert said in " ".join(run("doctor").output.split())
    return said


def test_a_server_of_an_unknown_ca_is_refused(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(with_tls(server, an_authority(folder, "another")), monkeypatch)
    assert "certificate verify failed" in said
    assert said.endswith(
        "Name the file of the CA that issued it by `sslrootcert` in the URL; if the certificate has expired, renew it at "
        "the server."
    )


def test_a_server_of_another_name_is_refused(server: str, ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a forged DNS answer: the CA is right, the server is another one."""
    elsewhere = server.replace("localhost", "db.example.com")
    said = refused(with_tls(elsewhere, ours), monkeypatch)
    assert 'server certificate for "localhost" does not match host name "db.example.com"' in said
    assert said.endswith("Use the host name that it was issued for, or issue one for this name (subjectAltName).")


def test_a_file_of_the_ca_that_is_missing_is_named(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Authority(folder / "gone.crt", folder / "gone.key")
    assert str(missing.certificate) in refused(with_tls(server, missing), monkeypatch)


def test_a_server_without_tls_is_not_talked_to_in_the_clear(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with prepared_server(DebianServer.demand_passwords) as url:
        plain = f"{url.replace('127.0.0.1', 'localhost')}/postgres"
        said = refused(with_tls(plain, ours), monkeypatch)
    assert said.endswith("The server has no TLS: set `ssl = on` with a certificate in its postgresql.conf. Don't lower "
                         "`sslmode`.")  # fmt: skip


def test_a_connection_in_the_clear_is_refused_by_the_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hostssl` in pg_hba.conf, as the documentation has it."""
    assert "no encryption" in refused(f"{server}?sslmode=disable&hostaddr=127.0.0.1", monkeypatch)
