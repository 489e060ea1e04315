"""`orders-sync export`: the files that analysts and the warehouse get, and what is no file."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orders_sync.cli.output import EXIT_FAILED, EXIT_NO_READER, EXIT_USAGE
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cli.test_ends import process
from orders_sync_tests.hostile_texts import FORMULA

WHAT = ("orders", "items", "pick-list", "documents")


@pytest.fixture
def busy_shop(shop: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Marketplace:
    """Three orders at the account shop, one of which is shipped; we are in an empty folder."""
    deliveries = [{"order": 1, "trackingId": "TRACK-1", "labelUrl": "/static/1.pdf"}]
    an_order(shop, 1, skus=("PHONE", "CASE"), quantity=2, _deliveries=deliveries)
    an_order(shop, 2, state=9, line_state=3)
    an_order(shop, 3, skus=(FORMULA,))
    run("sync", "--type", "new")
    run("sync", "--type", "incomplete")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return shop


def rows(*arguments: str) -> list[dict[str, str]]:
    result = run("export", *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return list(csv.DictReader(io.StringIO(result.stdout_bytes.decode(), newline=""), strict=True))


@pytest.mark.usefixtures("busy_shop")
def test_csv_on_standard_output_is_nothing_but_csv() -> None:
    assert [row["order_id"] for row in rows("orders")] == ["1", "2", "3"]
    assert [row["sku"] for row in rows("items")] == ["PHONE", "CASE", "PHONE", f"'{FORMULA}"]
    assert [(row["sku"], row["pieces"]) for row in rows("pick-list")] == [
        (f"'{FORMULA}", "1"), ("CASE", "2"), ("PHONE", "2"),
    ]  # fmt: skip
    assert [(row["order_id"], row["sku"], row["pieces"]) for row in rows("pick-list", "--by-order")] == [
        ("1", "PHONE", "2"), ("1", "CASE", "2"), ("3", f"'{FORMULA}", "1"),
    ]  # fmt: skip
    found = {(row["order_id"], row["kind"]): row["state"] for row in rows("documents")}
    assert found[("1", "label")] == "url"
    assert found[("3", "label")] == "lacking"
    assert found[("2", "label")] == "not_due"


@pytest.mark.usefixtures("busy_shop")
@pytest.mark.parametrize(("what", "view"), [("orders", "orders"), ("items", "order_items")])
def test_parquet_has_the_rows_and_columns_of_the_view(connection: Connection, what: str, view: str) -> None:
    connection.execute("SET timezone TO 'Europe/Berlin'")
    result = run("export", what, "--to", "found.parquet")
    assert result.stdout == f"found.parquet: {len(pq.read_table('found.parquet'))} rows. Only you may open it.\n"
    cursor = connection.execute(f"SELECT * FROM reporting.{view} ORDER BY account, order_id, 3".encode())
    names = [column.name for column in cursor.description or ()]
    table = pq.read_table("found.parquet")
    assert table.schema.names == names
    found = [tuple(row.values()) for row in table.to_pylist()]
    expected = cursor.fetchall()
    assert found == expected
    assert len(found) > 2
    types = {field.name: str(field.type) for field in table.schema}
    assert types["created_at"] == "timestamp[us, tz=UTC]"
    if what == "orders":
        assert (types["items_total"], types["has_label"], types["pieces"]) == ("decimal128(38, 14)", "bool", "int32")


@pytest.mark.usefixtures("busy_shop")
def test_filters_select_rows() -> None:
    assert [row["order_id"] for row in rows("orders", "--status", "shipped", "--status", "cancelled")] == ["2"]
    assert rows("orders", "--account", "shop", "--until", "2020-01-01") == []
    assert len(rows("orders", "--since", "2020-01-01T10:00")) == 3
    assert [row["item_id"] for row in rows("items", "--sku", "CASE")] == ["101"]
    assert [row["sku"] for row in rows("pick-list", "--sku", "CASE")] == ["CASE"]
    assert rows("pick-list", "--status", "pending") == []
    assert {row["order_id"] for row in rows("documents", "--status", "accepted")} == {"1", "3"}


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("orders --sku X", "--sku does not apply to orders: they have no SKU. `orders-sync export items --sku SKU`"),
        ("documents --sku X", "--sku does not apply to documents: they have no SKU."),
        ("pick-list --status shipped", "--status shipped does not apply to the pick list: nothing of it is to be"),
        ("orders --status shiped", "'shiped' is no status (did you mean shipped?); allowed are awaiting_payment, "),
        ("orders --since 2026-02-01 --until 2026-01-01", "--since is not before --until"),
        ("orders --since 1999-01-01", "allowed is a time (UTC) from 2000-01-01 up to now"),
        ("orders --format parquet", "Parquet needs a file: name it by --to FILE."),
        ("orders --to orders.xlsx", "The name orders.xlsx does not say the format: name it by --format csv or parquet"),
        ("orders --to .", "'.' is a directory"),
    ],
)
def test_wrong_usage_says_what_is_allowed(line: str, words: str) -> None:
    result = run("export", *line.split())
    assert (result.exit_code, result.stdout) == (EXIT_USAGE, "")
    assert words in " ".join(result.stderr.split())


@pytest.mark.usefixtures("busy_shop")
def test_a_file_takes_the_place_of_the_one_before() -> None:
    for _ in range(2):
        assert run("export", "orders", "--output", "orders.csv").exit_code == 0
    assert os.listdir() == ["orders.csv"]
    assert Path("orders.csv").stat().st_mode & 0o777 == 0o600
    assert Path("orders.csv").read_bytes() == run("export", "orders").stdout_bytes
    assert run("export", "orders", "--to", "orders.txt", "--format", "csv").exit_code == 0
    assert run("export", "orders", "--to", "ORDERS.PARQUET").exit_code == 0
    assert pq.read_table("ORDERS.PARQUET").num_rows == 3


@pytest.mark.usefixtures("busy_shop")
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
def test_no_half_file_is_left_where_the_database_fails_on_the_way(connection: Connection, name: str) -> None:
    """A value that psycopg can't read, in the last row."""
    Path(name).write_text("before")
    connection.execute("UPDATE orders SET paid_at = 'infinity' WHERE order_id = '3'")
    result = run("export", "orders", "--to", name)
    assert (result.exit_code, result.stdout) == (EXIT_FAILED, "")
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert os.listdir() == [name]
    assert Path(name).read_text() == "before"


@pytest.mark.usefixtures("busy_shop")
def test_what_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    result = run("export", "orders", "--to", "nowhere/orders.csv")
    assert (result.exit_code, result.stderr) == (
        EXIT_FAILED, "Error: nowhere/orders.csv can't be written: there is no folder nowhere. Make it first.\n",
    )  # fmt: skip
    result = run("export", "orders", "--to", "/dev/null", "--format", "csv")
    assert result.exit_code == EXIT_FAILED
    assert "/dev/null is no regular file, and is not replaced." in result.stderr


@pytest.mark.usefixtures("busy_shop")
def test_without_pyarrow_only_parquet_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # an import of it fails then
    result = run("export", "orders", "--to", "orders.parquet")
    assert result.exit_code == EXIT_FAILED
    assert result.stderr == (
        "Error: Parquet needs pyarrow, which is not installed: pip install 'orders-sync[parquet]'. CSV needs nothing "
        "more.\n"
    )
    assert os.listdir() == []
    assert len(rows("orders")) == 3


def test_an_account_without_orders_has_an_empty_file_and_a_removed_one_its_orders(
    busy_shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    connection.execute("UPDATE orders SET account = 'removed' WHERE order_id = '2'")
    assert [row["order_id"] for row in rows("orders", "--account", "removed")] == ["2"]
    connection.execute("DELETE FROM orders WHERE account = 'shop'")
    assert rows("orders", "--account", "shop") == []


@pytest.mark.usefixtures("busy_shop")
def test_only_the_documents_lead_to_a_buyer_and_are_an_act() -> None:
    def acts() -> list[tuple[str | None, str]]:
        listed = json.loads(run("acts", "--json").output)
        return [(act["account"], act["detail"]) for act in listed if act["via"].startswith("orders-sync export")]

    for what in ("orders", "items", "pick-list"):
        run("export", what, "--account", "shop")
    assert acts() == []
    run("export", "documents", "--account", "shop", "--status", "accepted")
    run("export", "documents")
    assert sorted(acts(), key=str) == [("shop", "status accepted"), (None, "of all orders")]


@pytest.mark.usefixtures("busy_shop")
@pytest.mark.parametrize("what", WHAT)
def test_no_export_has_a_buyers_name_or_address(what: str) -> None:
    text = run("export", what).output
    for secret in ("Victor", "Hugo", "Paris", "TRACK-1"):
        assert secret not in text


def fill(connection: Connection, orders: int) -> None:
    connection.execute(
        "INSERT INTO orders (account, order_id, status, created_at, carrier, raw, fingerprint) "
        "SELECT 'shop', n::text, 'accepted', now(), repeat('x', 1000) || n, '{}', '' FROM generate_series(1, %s) n",
        [orders],
    )


def test_a_reader_that_goes_is_no_error(connection: Connection, database_url: str) -> None:
    """As `orders-sync export orders | head -1`: of more rows than a pipe holds."""
    fill(connection, 2_000)
    command = [sys.executable, "-m", "orders_sync.cli", "export", "orders"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline().startswith(b"account,order_id,")
        export.stdout.close()
        assert export.stderr.read() == b""
    assert export.returncode == EXIT_NO_READER


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_under_the_output_is_one_line(connection: Connection, database_url: str) -> None:
    fill(connection, 10)
    with open("/dev/full", "w") as full:
        done = process("export", "orders", stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (EXIT_FAILED, "Error: No space left on device.\n")


#: The most memory that the process itself had; ru_maxrss would count that of pytest, which started it.
PEAK = """
import sys
from pathlib import Path
from orders_sync.cli import main
try:
    main(sys.argv[1:])
finally:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    print(line.split()[1], file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
def test_memory_does_not_grow_with_the_rows(connection: Connection, tmp_path: Path, name: str) -> None:
    """The peak of 30,000 orders is that of 10,000 but for a few megabytes; their CSV has 22 MB more."""

    def peak() -> int:
        """Kilobytes."""
        command = [sys.executable, "-c", PEAK, "export", "orders", "--to", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stderr.split()[-1])

    fill(connection, 10_000)
    few = peak()
    connection.execute("TRUNCATE orders")
    fill(connection, 30_000)
    many = peak()
    assert many < few + 10_000, (few, many)


@pytest.mark.usefixtures("busy_shop")
@pytest.mark.parametrize("what", ["pick-list", "pick-list by order", "documents"])
def test_the_page_explains_each_column(what: str) -> None:
    page = (PROJECT_ROOT / "docs" / "data.md").read_text()
    table = page.partition(f"<!-- columns: {what} -->")[2].strip().partition("\n\n")[0]
    explained = [name for line in table.splitlines()[2:] for name in re.findall("`([a-z_]+)`", line.split("|")[1])]
    assert explained == list(rows(*what.replace(" by order", " --by-order").split())[0])
