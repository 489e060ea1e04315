"""`orders-sync acts`: every command with which a person changes something writes an act, and they are listed."""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest

from orders_sync.cli import main
from orders_sync.cli.user import user_at_machine
from orders_sync.database.engine import Connection
from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.store import DueDocument, store_content
from orders_sync.sandbox.document_files import pdf
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run

ME = f"{getpass.getuser()}@{socket.gethostname()}"
BY_HAND = ("--reason", "a test")

#: What each command that changes stored data, or shows a buyer's, writes: the act, and on what.
ACTS: list[tuple[tuple[str, ...], str, dict[str, str]]] = [
    (("sync", "--type", "new", "--reread"), "sync", {"account": "shop", "object": "lane shop/new"}),
    (("sync", "--order", "1", "--account", "shop"), "sync_order", {"account": "shop", "order_id": "1"}),
    (("documents", "refresh", "1"), "refresh_documents", {"account": "shop", "order_id": "1"}),
    (("redecode", "--account", "shop", "--yes"), "redecode", {"account": "shop"}),
    (
        ("lanes", "rewind", "shop/new", "--to", "2026-01-01", *BY_HAND),
        "rewind_lane",
        {"account": "shop", "object": "lane shop/new"},
    ),
    (("accounts", "pause", "shop", *BY_HAND), "pause_account", {"account": "shop"}),
    (("accounts", "resume", "resting", *BY_HAND), "resume_account", {"account": "resting"}),
    (("drift", "seen", "shop"), "note_drift_as_seen", {"account": "shop"}),
    (("rejected", "retry", "shop"), "retry_rejected", {"order_id": "9", "object": "rejected order 9"}),
    (("rejected", "dismiss", "shop", "9", *BY_HAND), "dismiss_rejected", {"order_id": "9"}),
    (("acceptance", "hold-back", "shop", "1", *BY_HAND), "hold_back", {"account": "shop", "order_id": "1"}),
    (("acceptance", "hold-back", "shop", "1", "--undo", *BY_HAND), "undo_hold_back", {"order_id": "1"}),
    (("rejected", "show", "shop", "9"), "show_rejected", {"order_id": "9", "object": "rejected order 9"}),
    (("errors", "show", "1"), "show_error_answer", {"account": "shop", "object": "error answer 1"}),
    (("buyer", "export", "--order", "shop", "1"), "export_buyer", {"account": "shop", "order_id": "1"}),
    (("buyer", "erase", "--order", "shop", "1", "--yes"), "erase_buyer", {"account": "shop", "order_id": "1"}),
    (("documents", "save", "1", "--to", "saved"), "read_documents", {"account": "shop", "order_id": "1"}),
    (("documents", "print", "1"), "read_documents", {"account": "shop", "order_id": "1"}),
    (("devices", "list", "--order", "1"), "list_devices", {"order_id": "1", "detail": "1 items"}),
    (("export", "documents", "--account", "shop"), "export_documents", {"account": "shop"}),
    (("stock", "import", "levels.csv"), "import_stock", {}),
    (("stock", "skus", "import", "skus.csv"), "import_skus", {}),
    (("stock", "buffer", "--account", "shop", "--sku", "PHONE", "--pieces", "1"), "set_buffer", {"sku": "PHONE"}),
    (("stock", "settings", "--unknown-shipping-time", "before_count"), "change_stock_settings", {}),
    (("stock", "settings", "--sku-case", "ignore"), "change_stock_settings", {}),
    (("stock", "adjust", *BY_HAND, "PHONE", "1"), "adjust_stock", {"sku": "PHONE"}),
    (("stock", "lock", "shop", "100", *BY_HAND), "lock_item", {"order_id": "1", "item_id": "100", "sku": "PHONE"}),
    (("stock", "release", "shop", "100", *BY_HAND), "release_item", {"order_id": "1", "item_id": "100"}),
    (("stock", "undo-shipment", "shop", "200", *BY_HAND), "undo_shipment", {"order_id": "2", "item_id": "200"}),
    (("stock", "return", "shop", "300", "1", *BY_HAND), "return_to_stock", {"order_id": "3", "item_id": "300"}),
    (("stock", "repair", "--yes"), "repair_locks", {"order_id": "3", "item_id": "300"}),
    (("stock", "apply"), "apply_events", {}),
    (("stock", "retry-event", "all", *BY_HAND), "retry_events", {"order_id": "1"}),
    (("stock", "skip-event", "1", *BY_HAND), "skip_event", {"order_id": "1", "object": "event 1"}),
]
#: Commands that read nothing of buyers, or that change files or processes of this machine and no stored data.
OTHERS = {
    "schedule list", "status", "log", "doctor", "rejected list", "flaws", "drift fields", "errors list", "changes",
    "acts", "db shell", "db status", "db url", "documents list", "devices missing", "devices duplicates",
    "acceptance waiting", "stock levels", "explain",
    "alerts list", "alerts test", "init", "accounts add", "stock available", "stock events", "stock explain", "stock received", "stock skus list", "accounts list", "accounts check", "sandbox", "up", "daemon", "watch", "web", "db upgrade", "db roles", "db backup", "db restore", "cutover status", "cutover differences", "cutover check",
    "metrics", "subscriptions list", "subscriptions waiting", "subscriptions event", "subscriptions deliver", "subscriptions secret",
    "export orders", "export items", "export pick-list",
}  # fmt: skip
#: A scheduler runs it, as V1's `schedule:run`; and those whose acts their own tests see: the cutover, held and
#: received pieces, subscriptions.
ELSEWHERE = {
    "schedule run", "cutover begin", "cutover advance", "cutover back", "cutover compare", "stock held still-here", "stock held has-left",
    "stock receive", "stock put-away", "subscriptions pause", "subscriptions resume", "subscriptions skip", "subscriptions replay",
    "subscriptions remove",
}  # fmt: skip


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name))


def command_of(arguments: tuple[str, ...]) -> str:
    """The command of a command line, without its own arguments."""
    return next(name for name in commands(main) if f"{' '.join(arguments)} ".startswith(f"{name} "))


def test_every_command_is_classified() -> None:
    """A new command fails here until it writes an act, or is among those that change nothing."""
    acting = {command_of(arguments) for arguments, _, _ in ACTS}
    assert set(commands(main)) == acting | OTHERS | ELSEWHERE


@pytest.fixture
def busy_shop(
    shop: Marketplace, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Marketplace:
    """A shop in which there is something to do with each command."""
    deliveries = [{"order": 1, "labelUrl": "/static/1.pdf"}]
    an_order(shop, 1, state=1, line_state=1, age=timedelta(hours=2), _deliveries=deliveries)
    for number in (2, 3):
        an_order(shop, number, state=9, line_state=3, age=timedelta(hours=2))
    run("stock", "adjust", "--reason", "found", "PHONE", "5")
    run("sync", "--type", "new")
    run("stock", "apply")
    monkeypatch.chdir(tmp_path)
    Path("levels.csv").write_text("sku,on_hand\nPHONE,3\n")
    Path("skus.csv").write_text("sku,stock_sku\nPHONE-FR,PHONE\n")
    connection.execute("INSERT INTO account_pauses (account, paused_by, reason) VALUES ('resting', 'ann', 'a break')")
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', '9', '{}', '[]')"
    )
    connection.execute(
        "INSERT INTO contract_drift (account, kind, marketplace, field, what, detail, record_id) "
        "VALUES ('shop', 'order', 'back_market', 'gift', 'new field', 'text', '1')"
    )
    connection.execute(
        "INSERT INTO error_answers (account, sync_type, run_id, method, path, status, headers, body, body_bytes, times, "
        "answered_at) VALUES ('shop', 'new', 'r', 'GET', '/', 500, '{}', 'Ada', 3, 1, now())"
    )
    connection.execute("TRUNCATE manual_acts")
    return shop


def store_label(connection: Connection) -> None:
    """A label of order 1, with its content."""
    connection.execute(
        "INSERT INTO order_documents (account, order_id, kind, document_key, url) "
        "VALUES ('shop', '1', 'label', '1', 'https://x.example.com/1.pdf') ON CONFLICT DO NOTHING"
    )
    document = DueDocument("1", "label", "1", "https://x.example.com/1.pdf")
    store_content(connection, "shop", document, pdf(["parcel 1"]), DocumentFormat.PDF)


@pytest.mark.parametrize(("arguments", "act", "on"), ACTS, ids=[" ".join(arguments) for arguments, _, _ in ACTS])
@pytest.mark.usefixtures("busy_shop")
def test_a_command_writes_its_act(
    connection: Connection, arguments: tuple[str, ...], act: str, on: dict[str, str]
) -> None:
    if act == "repair_locks":
        connection.execute("UPDATE stock_locks SET consumed = 0, locked = 1, state = 'locked' WHERE item_id = '300'")
    if act == "undo_hold_back":
        run("acceptance", "hold-back", "shop", "1", *BY_HAND)
    if act == "apply_events":
        connection.execute("UPDATE order_events SET applied_at = NULL WHERE event_id = 1")
    if act in ("retry_events", "skip_event"):
        connection.execute("UPDATE order_events SET applied_at = NULL, attempts = 5 WHERE event_id = 1")
    if act == "read_documents":
        store_label(connection)
    if act == "list_devices":
        connection.execute("UPDATE order_items SET imeis = '{356938035643809}' WHERE item_id = '100'")
    result = run(*arguments)
    rows = [row for row in json.loads(run("acts", "--json").output) if row["act"] == act]
    assert rows, result.output
    row = rows[-1]
    assert (row["actor"], row["via"]) == (ME, f"orders-sync {command_of(arguments)}")
    assert {name: row[name] for name in on} == on
    assert row["reason"] == ("a test" if "--reason" in arguments else None)


def test_acts_are_listed_for_people_and_programs(shop: Marketplace) -> None:
    assert "No acts by hand." in run("acts").output
    run("stock", "adjust", "--reason", "found", "PHONE", "5")
    run("stock", "adjust", "--reason", "broken", "--", "CASE", "0")
    assert "found" in run("acts").output
    [row] = json.loads(run("acts", "--sku", "phone", "--actor", getpass.getuser(), "--json").output)
    assert (row["act"], row["detail"], row["sku"]) == ("adjust_stock", "+5 pieces, 5 on hand", "PHONE")
    assert run("acts", "--csv", "--since", "2026-01-01").output.splitlines()[0].startswith("at,actor,via,act,detail")
    assert json.loads(run("acts", "--sku", "CASE", "--json").output) == []
    assert "typo" in run("acts", "--account", "typo").output


def test_the_timeline_of_an_order_has_its_changes_and_its_acts(shop: Marketplace) -> None:
    an_order(shop, 1, state=1, line_state=1)
    run("sync", "--type", "new")
    run("acceptance", "hold-back", "shop", "1", "--reason", "a box is on its way")
    shop.pass_time(minutes=1)
    shop.set_states(1, 3, 2)
    run("sync", "--type", "modified")
    run("stock", "release", "shop", "100", "--reason", "it is broken")
    rows = json.loads(run("changes", "shop", "1", "--json").output)
    assert [(row["by"], row["act"], row["reason"]) for row in rows if row["act"]] == [
        (ME, "hold_back", "a box is on its way"),
        (ME, "release_item", "it is broken"),
    ]
    assert (rows[0]["act"], rows[-1]["act"]) == ("hold_back", "release_item")
    assert {row["field"] for row in rows[1:-1]} >= {"status", "marketplace_state"}
    assert "it is broken" in " ".join(run("changes", "shop", "1", "--csv").output.split())


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with a number as its user."""

    def nobody() -> str:
        raise KeyError("uid not found: 54321")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_at_machine() == f"uid {os.getuid()}@{socket.gethostname()}"
