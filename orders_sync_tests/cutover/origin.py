"""The database of a Laravel application with the orders of several marketplaces, and what such a database has in it.

The preset `laravel_marketplaces` maps it. Its times are those of Berlin.
"""

from collections.abc import Sequence

from sqlalchemy import Engine, text

SCHEMA = [
    "CREATE TABLE orders (id INT PRIMARY KEY, reference_id VARCHAR(50), reference VARCHAR(50), marketplace_id INT, "
    "order_type_id INT, status INT, currency INT, price NUMERIC(20,2), delivery_note_url TEXT, label_url TEXT, "
    "tracking_number VARCHAR(50), processed_at {time} NULL, created_at {time} NULL, updated_at {time} NULL, "
    "deleted_at {time} NULL)",
    "CREATE TABLE variation (id INT PRIMARY KEY, sku VARCHAR(50), deleted_at {time} NULL)",
    "CREATE TABLE order_items (id INT PRIMARY KEY, order_id INT, reference_id VARCHAR(50), variation_id INT, "
    "care_id INT, quantity NUMERIC(40,2), price VARCHAR(40), status INT, deleted_at {time} NULL)",
    "CREATE TABLE marketplace_stock_locks (id INT PRIMARY KEY, order_item_id INT, quantity_locked INT, "
    "lock_status VARCHAR(20), locked_at {time} NULL, consumed_at {time} NULL, released_at {time} NULL)",
    "CREATE TABLE marketplace_stock (id INT PRIMARY KEY, variation_id INT, marketplace_id INT, listed_stock INT, "
    "locked_stock INT, available_stock INT, buffer_percentage INT)",
]
TABLES = ("marketplace_stock", "marketplace_stock_locks", "order_items", "variation", "orders")


def order(
    id: int, reference_id: str | None, marketplace: int | None = 1, *, reference: str | None = None, type_: int = 3,
    status: int | None = 2, currency: int | None = 1, price: str = "10", at: str | None = "2026-06-01 12:00:00",
    updated: str | None = "2026-06-01 13:00:00", deleted: str | None = None,
) -> tuple[str, dict[str, object]]:  # fmt: skip
    """A row of orders."""
    return "orders", {
        "id": id, "reference_id": reference_id, "reference": reference, "marketplace_id": marketplace,
        "order_type_id": type_, "status": status, "currency": currency, "price": price, "created_at": at,
        "updated_at": updated, "deleted_at": deleted, "label_url": " ",
    }  # fmt: skip


def item(
    id: int, order: int | None, reference_id: str | None, *, variation: int | None = 1, quantity: str | None = "1.00",
    price: str | None = "10", status: int | None = 2, care: int | None = None, deleted: str | None = None,
) -> tuple[str, dict[str, object]]:  # fmt: skip
    """A row of order_items."""
    return "order_items", {
        "id": id, "order_id": order, "reference_id": reference_id, "variation_id": variation, "quantity": quantity,
        "price": price, "status": status, "care_id": care, "deleted_at": deleted,
    }  # fmt: skip


def lock(
    id: int, item: int | None, status: str | None, *, quantity: int | None = 1, locked: str | None = None,
    consumed: str | None = None, released: str | None = None,
) -> tuple[str, dict[str, object]]:  # fmt: skip
    """A row of marketplace_stock_locks."""
    return "marketplace_stock_locks", {
        "id": id, "order_item_id": item, "quantity_locked": quantity, "lock_status": status, "locked_at": locked,
        "consumed_at": consumed, "released_at": released,
    }  # fmt: skip


def variation(id: int, sku: str | None) -> tuple[str, dict[str, object]]:
    """A row of variation."""
    return "variation", {"id": id, "sku": sku}


def build(engine: Engine, rows: Sequence[tuple[str, dict[str, object]]]) -> None:
    """The tables anew, with these rows."""
    is_mariadb = engine.dialect.name != "postgresql"
    with engine.begin() as connection:
        for name in TABLES:
            connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
        for statement in SCHEMA:
            connection.execute(text(statement.format(time="DATETIME" if is_mariadb else "TIMESTAMP")))
    add(engine, rows)


def add(engine: Engine, rows: Sequence[tuple[str, dict[str, object]]]) -> None:
    """Adds rows, whatever a strict server thinks of them."""
    with engine.begin() as connection:
        if engine.dialect.name != "postgresql":
            connection.execute(text("SET SESSION sql_mode = ''"))
        for name, values in rows:
            columns, marks = ", ".join(values), ", ".join(f":{each}" for each in values)
            connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({marks})"), values)
