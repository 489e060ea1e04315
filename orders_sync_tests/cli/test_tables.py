"""Tables fit the terminal: no line is too long, and no time and no number is broken over two lines."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from orders_sync.cli.output import console
from orders_sync.cli.tables import table, wrapped
from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

WIDTH = 80
LONG_NAME = "back_market_outlet_eu"
TABLES: list[tuple[str, ...]] = [
    ("status",), ("schedule", "list"), ("accounts", "list"), ("accounts", "check", LONG_NAME), ("acts",), ("alerts", "list"),
    ("rejected",), ("rejected", "list"), ("flaws",), ("flaws", "--list"), ("drift",), ("drift", "fields", LONG_NAME),
    ("errors", "list"), ("changes", LONG_NAME, "1"), ("explain", "1"), ("documents", "list", "1"), ("devices", "list"),
    ("devices", "duplicates"), ("acceptance", "waiting"), ("stock", "levels"), ("stock", "available"),
    ("stock", "events"), ("stock", "held"), ("stock", "received", "--all"), ("stock", "buffer"), ("stock", "skus", "list"), ("stock", "repair"),
    ("stock", "explain", "IPHONE13PROMAX-512-SIERRABLUE-GRADE-A"), ("stock", "explain", "1"),
    ("cutover", "status"), ("cutover", "differences"), ("db", "status"), ("subscriptions", "list"), ("sync", "--type", "all"), ("redecode", "--account", LONG_NAME),
]  # fmt: skip
SKU = "IPHONE13PROMAX-512-SIERRABLUE-GRADE-A"


def printed(shown: object, width: int) -> str:
    made = Console(width=width, no_color=True)
    with made.capture() as capture:
        made.print(shown)
    return capture.get()


@pytest.fixture
def narrow() -> Iterator[None]:
    """A terminal of 80 columns."""
    before, console.width = console.width, WIDTH
    yield
    console.width = before


@pytest.fixture
def busy_shop(shop: Marketplace, connection: Connection, tmp_path: Path) -> Marketplace:
    """An account with a long name and rows in every table that a command shows."""
    (tmp_path / "shop" / "defs.yaml").unlink()
    (tmp_path / "shop").rmdir()
    add_account(tmp_path, shop, LONG_NAME)
    run("stock", "adjust", "--reason", "found behind the shelf, and counted twice", SKU, "5")
    (tmp_path / "skus.csv").write_text(f"sku,stock_sku\n{SKU}-FR,{SKU}\n")
    run("stock", "skus", "import", str(tmp_path / "skus.csv"))
    run("stock", "buffer", "--account", LONG_NAME, "--sku", SKU, "--pieces", "1")
    deliveries = [{"order": 1, "trackingId": "JD0141234567890123", "labelUrl": f"{shop.url}/static/label-1.pdf"}]
    an_order(shop, 1, skus=(SKU,), state=1, line_state=1, age=timedelta(hours=2), _deliveries=deliveries)
    an_order(shop, 2, skus=(SKU,), state=9, line_state=3, currency="???")
    an_order(shop, 3, orderlines=[])
    an_order(shop, 4, skus=(f"{SKU}-FR",))
    run("sync", "--type", "all")
    run("stock", "apply")
    an_order(shop, 5, skus=(SKU,))
    run("sync", "--type", "new")
    run(
        "acceptance",
        "hold-back",
        LONG_NAME,
        "1",
        "--reason",
        "a box with such phones is on its way from the other shop",
    )
    connection.execute(
        "UPDATE order_events SET applied_at = NULL, attempts = 5, problem = 'NumericValueOutOfRange' WHERE order_id = '2'"
    )
    connection.execute("UPDATE order_items SET imeis = '{356938035643809}'")
    connection.execute(
        "INSERT INTO contract_drift (account, kind, marketplace, field, what, detail, record_id) "
        "VALUES (%s, 'order', 'back_market', 'orderlines[].gift_wrapping', 'new field', 'text', '1')", [LONG_NAME],
    )  # fmt: skip
    connection.execute(
        "INSERT INTO error_answers (account, sync_type, run_id, method, path, status, headers, body, body_bytes, times, "
        "answered_at) VALUES (%s, 'new', 'cli-12345678', 'GET', '/ws/orders?page=17', 500, '{}', 'Ada', 3, 1, now())",
        [LONG_NAME],
    )
    return shop


@pytest.mark.usefixtures("busy_shop", "narrow")
def test_no_line_of_a_table_is_longer_than_80_columns_and_no_time_is_broken() -> None:
    for command in TABLES:
        if command == ("cutover", "status"):
            run("cutover", "begin", "--reason", "V2 is installed, and is compared with V1 for two weeks")
        result = run(*command)
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
        assert result.exit_code in (0, 1), (command, result.output)
        lines = result.stdout.splitlines()
        assert lines, command
        too_long = [line for line in lines if len(line) > WIDTH]
        assert not too_long, (command, too_long)
        assert not re.findall(r"\d{4}-\d\d-\d\d *(?:[│┃].*)?$", result.stdout, flags=re.MULTILINE), (
            command,
            result.stdout,
        )


def test_a_table_that_is_too_wide_loses_its_lines_then_columns_and_is_shown_as_records_at_last() -> None:
    shown = table("Title", "lane", "last run", "outcome", "created", optional=("created",))
    shown.add_row("shop/incomplete", "2026-11-30 04:42:10", "succeeded", "12")
    assert "│ shop/incomplete │ 2026-11-30 04:42:10 │" in printed(shown, 80)
    assert "shop/incomplete 2026-11-30 04:42:10 succeeded 12" in " ".join(printed(shown, 56).split())
    assert "│" not in printed(shown, 56)
    assert "Too narrow for: created." in printed(shown, 50)
    records = printed(shown, 30)
    assert "last run  2026-11-30 04:42:10" in records
    assert "created   12" in records
    for width, text in ((56, printed(shown, 56)), (50, printed(shown, 50)), (30, records)):
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("until 2026-11-30 04:42:10 UTC, then on", 24, ["until", "2026-11-30 04:42:10 UTC,", "then on"]),
        ("back_market_sandbox/incomplete", 20, ["back_market_sandbox/", "incomplete"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
        ("one\ntwo", 10, ["one", "two"]),
        ("手机手机手机", 4, ["手机", "手机", "手机"]),
    ],
)  # fmt: skip
def test_a_long_text_is_broken_where_it_can_be_read(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width).split("\n") == lines


def test_a_text_in_a_table_stays_whole(tmp_path: Path) -> None:
    shown = table("Title", "column")
    shown.add_row("[/x] " + "word " * 40)
    assert "[/x]" in printed(shown, 60)
    assert printed(shown, 60).count("word") == 40
