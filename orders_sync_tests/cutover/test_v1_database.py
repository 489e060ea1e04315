"""V1 is read from real servers of both kinds, never written, and a wrong mapping is reported with what was found."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from orders_sync.config.v1 import CutoverError, check_cutover_settings, load_cutover_settings
from orders_sync.cutover import v1_database
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.cutover.v1_database import V1Database
from orders_sync.testing.deployment import free_port
from orders_sync_tests.cutover.v1_servers import SERVERS

DDL = [
    "CREATE TABLE orders (id INT PRIMARY KEY, marketplace VARCHAR(50), marketplace_order_id VARCHAR(50), status INT, "
    "currency VARCHAR(3), total NUMERIC(10,2), ordered_at TIMESTAMP NULL, created_at TIMESTAMP NULL, "
    "updated_at TIMESTAMP NULL, delivery_note_url TEXT, label_url TEXT)",
    "CREATE TABLE order_items (id INT PRIMARY KEY, order_id INT, orderline_id VARCHAR(50), sku VARCHAR(50), "
    "quantity INT, price NUMERIC(10,2), status INT, care_id VARCHAR(20))",
    "CREATE TABLE stock_locks (id INT PRIMARY KEY, order_item_id INT, quantity INT, released_at TIMESTAMP NULL, "
    "consumed_at TIMESTAMP NULL)",
    "INSERT INTO orders VALUES (1, 'back_market', '501', 2, 'EUR', 129.90, '2026-03-01 23:30:00', "
    "'2026-03-01 23:40:00', '2026-03-02 08:00:00', NULL, 'https://l.example.com/1')",
    "INSERT INTO orders VALUES (2, 'ebay', '501', 2, 'EUR', 5, '2026-03-01 23:30:00', NULL, NULL, NULL, NULL)",
    "INSERT INTO order_items VALUES (10, 1, '9001', 'PHONE', 1, 129.90, 2, NULL)",
    "INSERT INTO order_items VALUES (11, 1, '9002', 'CASE', 2, 10, 4, '77')",
    "INSERT INTO stock_locks VALUES (1, 10, 1, NULL, NULL)",
    "INSERT INTO stock_locks VALUES (2, 11, 2, '2026-03-02 08:00:00', NULL)",
]


#: One worker: a server each is enough.
pytestmark = pytest.mark.xdist_group("v1")


@pytest.fixture(params=SERVERS)
def laravel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database as a Laravel application has it, on a real server."""
    url = request.getfixturevalue(request.param)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for table in ("stock_locks", "order_items", "orders"):
            connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
        for statement in DDL:
            connection.execute(text(statement))
    monkeypatch.setenv("V1_DATABASE_URL", url)
    yield url
    engine.dispose()


def test_orders_items_and_locks_are_read(laravel: str) -> None:
    settings = load_cutover_settings().model_copy(update={"timezone": "Europe/Berlin"})
    v1 = V1Database(settings)
    day = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    ids = v1.ordered("back_market_sandbox", *day)
    orders = v1.orders("back_market_sandbox", ids)
    assert orders["order_id"].tolist() == ["501"]  # not ebay's, whose id is the same
    order = orders.iloc[0]
    assert (order["total"], order["currency"], order["status"]) == (Decimal("129.90"), "EUR", 2)
    assert order["seen_at"] == datetime(2026, 3, 1, 22, 40, tzinfo=UTC)  # Berlin's time, as stored
    assert (order["delivery_note_url"], order["label_url"]) == (None, "https://l.example.com/1")
    items = v1.items("back_market_sandbox", ids)
    assert items[["item_id", "sku", "quantity"]].values.tolist() == [["9001", "PHONE", 1], ["9002", "CASE", 2]]
    locks = v1.locks("back_market_sandbox", ids)
    assert sorted(locks[["item_id", "state"]].values.tolist()) == [["9001", "locked"], ["9002", "released"]]
    assert v1.locks_to_take(["back_market_sandbox"]) == [V1Lock("back_market_sandbox", "9001")]
    assert v1.written_since("back_market_sandbox", datetime(2026, 3, 2, 6, 59, tzinfo=UTC)) == 1
    assert v1.written_since("back_market_sandbox", datetime(2026, 3, 2, 7, 1, tzinfo=UTC)) == 0
    v1.close()


def test_what_v1_has_consumed_is_read_with_its_pieces_and_their_times(laravel: str) -> None:
    """Of three pieces, two were consumed one after the other, one was released, and one is held."""
    engine = create_engine(laravel.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO order_items VALUES (12, 1, '9003', 'PHONE', 4, 10, 2, NULL)",
            "INSERT INTO stock_locks VALUES (3, 12, 1, NULL, '2026-03-02 09:00:00')",
            "INSERT INTO stock_locks VALUES (4, 12, 1, NULL, '2026-03-02 11:00:00')",
            "INSERT INTO stock_locks VALUES (5, 12, 1, '2026-03-02 12:00:00', '2026-03-02 12:00:00')",
            "INSERT INTO stock_locks VALUES (6, 12, 1, NULL, NULL)",
        ):
            connection.execute(text(statement))
    engine.dispose()
    settings = load_cutover_settings().model_copy(update={"timezone": "Europe/Berlin"})
    with V1Database(settings) as v1:
        assert v1.locks_to_take(["back_market_sandbox"]) == [
            V1Lock("back_market_sandbox", "9003", 1, datetime(2026, 3, 2, 8, tzinfo=UTC)),
            V1Lock("back_market_sandbox", "9003", 1, datetime(2026, 3, 2, 10, tzinfo=UTC)),
            V1Lock("back_market_sandbox", "9001"),
            V1Lock("back_market_sandbox", "9003"),
        ]


def test_it_is_never_written(laravel: str) -> None:
    v1 = V1Database(load_cutover_settings())
    with v1.engine.connect() as connection, pytest.raises(DBAPIError, match=r"(?i)read.only"):
        connection.execute(text("UPDATE orders SET status = 9"))
    v1.close()


def test_a_wrong_mapping_is_reported_with_what_was_found(laravel: str) -> None:
    tables = {"orders": {"order_id": "reference"}, "items": {"table": "lines"}, "locks": None}
    with pytest.raises(CutoverError) as problem:
        V1Database(check_cutover_settings({"tables": tables}, "elsewhere/v1.yaml"))
    reason = str(problem.value)
    assert (
        "elsewhere/v1.yaml: tables.orders.order_id: V1's table orders has no column 'reference'; it has id, marketplace,"
        in reason
    )
    assert "tables.items.table: V1 has no table 'lines'; it has order_items, orders, stock_locks" in reason


def test_a_database_that_does_not_answer_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V1_DATABASE_URL", f"mysql+pymysql://me:hunter2@127.0.0.1:{free_port()}/laravel")
    with pytest.raises(CutoverError, match="V1's database mysql") as problem:
        V1Database(load_cutover_settings())
    assert "hunter2" not in str(problem.value)
    monkeypatch.setenv("V1_DATABASE_URL", "sqlite:///x.db")
    with pytest.raises(CutoverError, match="names a sqlite database; allowed are"):
        V1Database(load_cutover_settings())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"timezone": "Mars"}, "v1.yaml: timezone: 'Mars' is no time zone"),
        ({"schedules": {"refresh_all": "* * * * *"}}, "schedules: 'refresh_all' is no command of V1; allowed are refresh_latest"),
        ({"schedules": {"refresh_new": "often"}}, "schedules: refresh_new: 'often' is no cron expression"),
        ({"run": {"kind": "url"}}, "run: kind url needs run.url"),
        ({"order_statuses": {1: ["lost"]}}, "order_statuses.1.0: Input should be"),
        ({"readiness": {"days": 0}}, "readiness.days: Input should be greater"),
        ({"tabels": {}}, "tabels: no such setting (did you mean tables?); allowed are database, timezone"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_reported_with_file_key_and_reason(document: dict[str, object], reason: str) -> None:
    with pytest.raises(CutoverError) as problem:
        check_cutover_settings(document, "v1.yaml")
    assert reason in str(problem.value)


def test_a_stand_in_that_has_never_run_says_how_to_run_it(v1_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v1_database, "v1_url", lambda _: v1_url.replace("postgresql://", "postgresql+psycopg://", 1))
    monkeypatch.delenv("V1_DATABASE_URL")
    with pytest.raises(CutoverError, match=r"never run.*`python -m orders_sync.sandbox.v1 refresh:orders`"):
        V1Database(load_cutover_settings())
