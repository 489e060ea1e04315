"""Names on the command line: a misspelled account is an error in every command, and a shell completes names."""

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from orders_sync.cli import main
from orders_sync.cli.names import AccountName, LaneName
from orders_sync.database.engine import Connection
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cli.test_json import commands

WHY = ("--reason", "a test")
#: Each command that takes an account, with a misspelled one.
MISSPELLED: list[tuple[str, ...]] = [
    ("acceptance", "waiting", "--account", "shpo"), ("acceptance", "hold-back", "shpo", "1", *WHY),
    ("accounts", "check", "shpo"), ("accounts", "pause", "shpo", *WHY), ("accounts", "resume", "shpo", *WHY),
    ("acts", "--account", "shpo"), ("buyer", "export", "--order", "shpo", "1"), ("buyer", "erase", "--order", "shpo", "1"),
    ("changes", "shpo", "1"), ("cutover", "compare", "--account", "shpo"), ("cutover", "begin", "--account", "shpo"),
    ("cutover", "advance", "--account", "shpo"), ("cutover", "back", "--account", "shpo", *WHY), ("devices", "list", "--account", "shpo"),
    ("documents", "list", "1", "--account", "shpo"), ("documents", "refresh", "1", "--account", "shpo"),
    ("documents", "save", "1", "--to", "x", "--account", "shpo"), ("documents", "print", "1", "--account", "shpo"),
    ("drift", "--account", "shpo"), ("drift", "seen", "shpo"), ("drift", "fields", "shpo"),
    ("errors", "list", "--account", "shpo"), ("export", "orders", "--account", "shpo"), ("export", "items", "--account", "shpo"),
    ("export", "pick-list", "--account", "shop", "--account", "shpo"), ("export", "documents", "--account", "shpo"), ("flaws", "--account", "shpo"), ("lanes", "rewind", "shpo/new", "--to", "2026-01-01", *WHY),
    ("redecode", "--account", "shpo"), ("rejected", "--account", "shpo"), ("rejected", "list", "--account", "shpo"),
    ("rejected", "show", "shpo", "1"), ("rejected", "retry", "shpo"), ("rejected", "dismiss", "shpo", "1", *WHY),
    ("stock", "available", "--account", "shpo"), ("stock", "buffer", "--account", "shpo"),
    ("stock", "held", "still-here", "shpo", "1", *WHY), ("stock", "held", "has-left", "shpo", "1", *WHY),
    ("stock", "lock", "shpo", "1", *WHY), ("stock", "release", "shpo", "1", *WHY), ("stock", "return", "shpo", "1", "1", *WHY),
    ("stock", "undo-shipment", "shpo", "1", *WHY), ("sync", "--type", "new", "--account", "shpo"),
]  # fmt: skip


def takes_account(command: click.Command) -> bool:
    """Whether it takes an account or a lane: alone, or as a part of a pair."""
    types = [parameter.type for parameter in command.params]
    parts = [part for each in types for part in (each.types if isinstance(each, click.Tuple) else (each,))]
    return any(isinstance(part, AccountName | LaneName) for part in parts)


def test_every_command_that_takes_an_account_is_tried() -> None:
    taking = {name for name, command in commands(main) if takes_account(command)}
    tried = {name for name in taking for line in MISSPELLED if f"{' '.join(line)} ".startswith(f"{name} ")}
    assert taking == tried
    named = {
        name
        for name, command in commands(main)
        if any(parameter.name in ("account", "names", "lane") for parameter in command.params)
    }
    assert named <= taking


@pytest.mark.parametrize("line", MISSPELLED, ids=" ".join)
@pytest.mark.usefixtures("shop")
def test_a_misspelled_account_is_an_error_that_says_what_was_meant(line: tuple[str, ...]) -> None:
    result = run(*line)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr == "Error: There is no account shpo. Did you mean shop?\n"


def completed(*words: str) -> list[str]:
    """What a shell offers for the last of the words."""
    *before, incomplete = words
    return [item.value for item in ShellComplete(main, {}, "orders-sync", "_X").get_completions(before, incomplete)]


@pytest.mark.usefixtures("shop")
def test_a_shell_completes_accounts_lanes_and_types_of_syncs(tmp_path: Path) -> None:
    (tmp_path / "my-shop").mkdir()
    (tmp_path / "shop_of_a_file.yaml").write_text("")
    assert completed("rejected", "list", "--account", "sh") == ["shop"]
    assert completed("accounts", "pause", "") == ["shop"]
    assert completed("accounts", "pause", "x") == []
    assert completed("lanes", "rewind", "shop/n") == ["shop/new"]
    assert completed("sync", "--type", "in") == ["incomplete"]
    assert completed("sta") == ["status"]
    assert completed("export", "orders", "--status", "refunded") == [
        "refunded_before_shipping", "refunded_after_shipping",
    ]  # fmt: skip


@pytest.mark.usefixtures("shop")
def test_a_shell_completes_the_ids_of_rejected_records(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', '471', '{}', '[]'),"
        " ('shop', 'care', '472', '{}', '[]'), ('shop', 'order', '9', '{}', '[]'), ('other', 'order', '473', '{}', '[]')"
    )
    assert completed("rejected", "show", "shop", "47") == ["471", "472"]
    assert completed("rejected", "retry", "shop", "") == ["471", "472", "9"]


def test_a_shell_gets_no_error_where_nothing_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    assert completed("rejected", "show", "shop", "4") == []
