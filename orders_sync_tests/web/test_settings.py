"""The settings of the web process: which hosts are known, and which password files are refused."""

from pathlib import Path

import pytest

from orders_sync.config.environment import EnvironmentVariableError
from orders_sync.web.settings import web_settings
from orders_sync_tests.web.conftest import PASSWORD, READER_PASSWORD, password_file


def test_by_default_the_names_of_this_machine_and_the_address_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SYNC_UI_HOSTS", raising=False)
    assert web_settings("127.0.0.1", 3000).allowed_hosts == {"localhost", "127.0.0.1", "::1"}
    assert web_settings("Orders.local", 3000).allowed_hosts == {"localhost", "127.0.0.1", "::1", "orders.local"}


def test_an_address_that_means_all_addresses_is_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SYNC_UI_HOSTS", "orders.example.com, 10.0.0.7,,fe80::1")
    assert web_settings("0.0.0.0", 3000).allowed_hosts == {
        "localhost", "127.0.0.1", "::1", "orders.example.com", "10.0.0.7", "fe80::1",
    }  # fmt: skip


@pytest.mark.parametrize("names", ["https://orders.example.com", "orders.example.com:3000", "a/b", "a b", "*"])
def test_what_is_no_host_is_reported(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("ORDERS_SYNC_UI_HOSTS", names)
    with pytest.raises(
        EnvironmentVariableError, match=r"ORDERS_SYNC_UI_HOSTS names .*; allowed are hosts without scheme"
    ):
        web_settings("127.0.0.1", 3000)


def test_without_the_variable_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SYNC_UI_PASSWORD_FILE", raising=False)
    assert web_settings("127.0.0.1", 3000).password is None


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_password_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int) -> None:
    monkeypatch.setenv("ORDERS_SYNC_UI_PASSWORD_FILE", str(password_file(tmp_path, mode=mode)))
    assert web_settings("127.0.0.1", 3000).password == PASSWORD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_read_or_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_UI_PASSWORD_FILE", str(password_file(tmp_path, mode=mode)))
    with pytest.raises(
        EnvironmentVariableError, match=rf"which others can read or change \(mode {mode:04o}\).*chmod 600"
    ):
        web_settings("127.0.0.1", 3000)


def test_a_short_password_or_a_missing_file_is_refused_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = password_file(tmp_path, "hunter2\n")
    monkeypatch.setenv("ORDERS_SYNC_UI_PASSWORD_FILE", str(file))
    with pytest.raises(EnvironmentVariableError, match="has 7 characters; allowed are at least 12") as problem:
        web_settings("127.0.0.1", 3000)
    assert "hunter2" not in str(problem.value)
    file.unlink()
    with pytest.raises(EnvironmentVariableError, match="can't be read: No such file"):
        web_settings("127.0.0.1", 3000)
    file.write_bytes(b"\xff" * 20)
    file.chmod(0o600)
    with pytest.raises(EnvironmentVariableError, match="can't be read: it is no UTF-8 text"):
        web_settings("127.0.0.1", 3000)


def test_readers_have_a_password_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "reader").mkdir()
    file = password_file(tmp_path / "reader", f"{READER_PASSWORD}\n")
    monkeypatch.setenv("ORDERS_SYNC_UI_READER_PASSWORD_FILE", str(file))
    monkeypatch.delenv("ORDERS_SYNC_UI_PASSWORD_FILE", raising=False)
    with pytest.raises(EnvironmentVariableError, match="PASSWORD_FILE is not set, so everyone could change everything"):
        web_settings("127.0.0.1", 3000)
    monkeypatch.setenv("ORDERS_SYNC_UI_PASSWORD_FILE", str(file))
    with pytest.raises(EnvironmentVariableError, match="PASSWORD_FILE holds the same password"):
        web_settings("127.0.0.1", 3000)
    monkeypatch.setenv("ORDERS_SYNC_UI_PASSWORD_FILE", str(password_file(tmp_path)))
    assert web_settings("127.0.0.1", 3000).reader_password == READER_PASSWORD
