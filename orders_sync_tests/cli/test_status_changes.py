"""Each change of a file of settings is reported once, as `up` and `watch` look again and again."""

import shutil
from pathlib import Path

import pytest

from orders_sync.cli.status_changes import SettingsWatch
from orders_sync.config import schedules
from orders_sync.marketplaces.kit import accounts


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of definitions that are watched."""
    defs = shutil.copytree(accounts.accounts_folder().parent, tmp_path / "defs")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: defs / "accounts")
    monkeypatch.setattr(schedules, "schedules_file", lambda: defs / "sync" / "defs.yaml")
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path / "state"))
    return defs


def test_what_is_wrong_and_what_is_right_again_is_reported_once(defs: Path) -> None:
    watch = SettingsWatch()
    assert watch.look() == []
    account = defs / "accounts" / "mirakl_sandbox" / "defs.yaml"
    right = account.read_text()
    account.write_text("\t")
    (wrong,) = watch.look()
    assert wrong.is_wrong
    assert wrong.text.startswith(f"account mirakl_sandbox can't be used: {account}: is not readable YAML: line 1")
    assert watch.look() == []
    account.write_text("")
    assert [each.text.split(": ")[2].split(";")[0] for each in watch.look()] == ["is empty"]
    account.write_text(right)
    assert watch.look() == [(False, "account mirakl_sandbox is well again")]


def test_the_file_of_the_schedules_is_looked_at(defs: Path) -> None:
    watch = SettingsWatch()
    file = defs / "sync" / "defs.yaml"
    right = file.read_text()
    file.write_text("type: other\n")
    (wrong,) = watch.look()
    assert wrong.text.startswith(f"the file of the schedules can't be used: {file}: type: must be")
    file.write_text(right)
    assert watch.look() == [(False, "the file of the schedules is well again")]
