"""The alembic revisions and the tables that they build."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from orders_sync.database.engine import connect, engine
from orders_sync.database.schema import newest_revision
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.database.tables import metadata
from orders_sync.database.tables.columns import BLANKED_COLUMNS, DEVICE_COLUMNS
from orders_sync.lanes.authority import current_authority
from orders_sync.testing.databases import a_database

SHADOW_TABLES = ("stock_levels", "stock_lock_history", "stock_locks", "stock_movements")


def test_the_revisions_build_the_tables_of_the_code(database_url: str) -> None:
    """Alembic compares tables, columns, types, nullability, indexes, unique constraints and comments."""
    pool = engine(database_url)
    with pool.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        differences = [d for d in compare_metadata(context, metadata) if "alembic_version" not in str(d)]
    pool.dispose()
    assert differences == []


@pytest.mark.parametrize("schema", ["public", "shadow"])
def test_the_database_holds_the_data_dictionary(database_url: str, schema: str) -> None:
    pool = engine(database_url)
    inspector = inspect(pool)
    stored = {
        table: (
            inspector.get_table_comment(table, schema)["text"],
            {
                column["name"]: (column["nullable"], column.get("comment"))
                for column in inspector.get_columns(table, schema)
            },
        )
        for table in inspector.get_table_names(schema)
        if table != "alembic_version"
    }
    expected = {
        name: (
            table.comment,
            {column.name: (bool(column.nullable), column.comment) for column in table.columns},
        )
        for name, table in metadata.tables.items()
        if schema == "public" or name in SHADOW_TABLES
    }
    pool.dispose()
    assert stored == expected


def test_every_table_and_column_has_a_meaning() -> None:
    for table in metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"
            assert column.comment.endswith("."), f"{table.name}.{column.name}"


def test_the_columns_with_personal_data_are_those_that_retention_blanks() -> None:
    personal = {column.name for column in metadata.tables["orders"].columns if column.info.get("personal_data")}
    assert personal == set(BLANKED_COLUMNS)
    of_items = {column.name for column in metadata.tables["order_items"].columns if column.info.get("personal_data")}
    assert of_items == set(DEVICE_COLUMNS)
    documents = metadata.tables["order_documents"].columns
    assert {each.name for each in documents if each.info.get("personal_data")} == {"url", "tracking_number"}


def test_an_upgrade_brings_the_comments_to_a_database_of_an_older_revision(template: str) -> None:
    comment = "SELECT col_description('orders'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'fingerprint'"
    with a_database(template, "t_upgraded_comments") as url, connect(url) as connection:
        upgrade_schema(url, "0003")
        assert connection.execute(comment).fetchone() == ("hash of the raw record, to tell unchanged ones",)
        upgrade_schema(url)
        assert connection.execute(comment).fetchone() == (metadata.tables["orders"].c.fingerprint.comment,)


def test_an_upgrade_keeps_the_numbers_of_devices_and_what_was_done_by_hand(template: str) -> None:
    with a_database(template, "t_upgraded_devices_and_acts") as url, connect(url) as connection:
        upgrade_schema(url, "0018")
        connection.execute(_BEFORE_0022)
        upgrade_schema(url)
        assert connection.execute("SELECT item_id, imeis, serial_numbers FROM order_items ORDER BY 1").fetchall() == [
            ("100", ["356938035643809"], None),
            ("200", None, None),
        ]
        assert connection.execute("SELECT items FROM order_changes").fetchall() == [
            ({"100": {"imeis": [], "status": ["accepted", "shipped"]}, "101": {"serial_numbers": []}},)
        ]
        assert connection.execute("SELECT previous FROM order_events ORDER BY event_id").fetchall() == [
            ({"product": "A"},),
            (None,),
        ]
        assert connection.execute("SELECT buyer_data_blanked_at FROM orders ORDER BY order_id").fetchall() == [
            (None,),
            (None,),
        ]
        assert connection.execute(
            "SELECT actor, act, detail, reason, account, order_id, item_id, sku, object FROM manual_acts ORDER BY act_id"
        ).fetchall() == [
            ("ann@desk", "lock_item", None, "he pays cash", "shop", "1", "100", "PHONE", None),
            ("ann@desk", "adjust_stock", "-2 pieces, 3 on hand", "broken", None, None, None, "PHONE", None),
            ("bob@desk", "dismiss_rejected", None, "a test", "shop", "9", None, None, "rejected order 9"),
            ("bob@desk", "rewind_lane", None, "a clock", "shop", None, None, None, "lane shop/new"),
        ]


def test_an_upgrade_lets_what_was_blanked_be_blanked_anew_and_lets_nothing_in_until_then(template: str) -> None:
    with a_database(template, "t_upgraded_blanked") as url, connect(url) as connection:
        upgrade_schema(url, "0029")
        connection.execute(
            "INSERT INTO orders (account, order_id, status, created_at, raw, fingerprint, buyer_data_blanked_at) VALUES "
            "('shop', '1', 'shipped', now(), '{}', '', now()), ('shop', '2', 'shipped', now(), '{}', '', NULL)"
        )
        upgrade_schema(url)
        blanked = "SELECT order_id, extract(year FROM buyer_data_blanked_at)::int FROM orders ORDER BY 1"
        assert connection.execute(blanked).fetchall() == [("1", 1970), ("2", None)]


_BEFORE_0022 = """
INSERT INTO orders (account, order_id, status, created_at, raw, fingerprint, buyer_data_blanked_at) VALUES
  ('shop', '1', 'shipped', now(), '{}', '', NULL), ('shop', '2', 'shipped', now(), '{}', '', now());
INSERT INTO order_items (account, order_id, item_id, sku, quantity, status, imei, serial_number) VALUES
  ('shop', '1', '100', 'PHONE', 1, 'shipped', '356938035643809', ''),
  ('shop', '2', '200', 'PHONE', 1, 'shipped', '490154203237518', 'SN-1');
INSERT INTO order_changes (account, order_id, revision, written_by, run_id, fields, items) VALUES
  ('shop', '1', 2, 'modified', 'test', '{}',
   '{"100": {"imei": [null, "356938035643809"], "status": ["accepted", "shipped"]},
     "101": {"serial_number": ["SN-1", "SN-2"]}}');
INSERT INTO order_events (account, order_id, item_id, kind, revision, old_status, new_status, previous) VALUES
  ('shop', '1', '100', 'OrderStatusChanged', 2, 'accepted', 'shipped', '{"imei": null, "product": "A"}'),
  ('shop', '1', '101', 'OrderStatusChanged', 2, 'accepted', 'shipped', '{"serial_number": "SN-1"}');
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by, made_at) VALUES
  ('shop', '100', 'lock', 'accepted', 'he pays cash', 'ann@desk', '2026-03-01'),
  ('shop', '200', 'shipped', 'shipped', 'V1 has consumed it', 'cutover', '2026-03-01');
INSERT INTO stock_movements (sku, kind, pieces, on_hand_change, on_hand, reason, made_by, at) VALUES
  ('PHONE', 'adjusted', -2, -2, 3, 'broken', 'ann@desk', '2026-03-02'),
  ('PHONE', 'shipped', -1, -1, 2, 'order 1', '', '2026-03-02');
INSERT INTO rejected_records (account, kind, record_id, raw, reasons, dismissed_at, dismissed_by, dismissed_reason)
  VALUES ('shop', 'order', '9', '{}', '[]', '2026-03-03', 'bob@desk', 'a test');
INSERT INTO watermark_rewinds (account, sync_type, from_watermark, to_watermark, rewound_at, rewound_by, reason)
  VALUES ('shop', 'new', '2026-03-02', '2026-03-01', '2026-03-04', 'bob@desk', 'a clock');
"""


def test_several_may_upgrade_at_once(template: str) -> None:
    with a_database(template, "t_upgraded_at_once") as url:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(upgrade_schema, [url] * 3))
        with connect(url) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest_revision(),)]


def test_a_second_upgrade_changes_nothing(database_url: str) -> None:
    upgrade_schema(database_url)
    with connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (newest_revision(),)


@pytest.mark.parametrize(("phase", "used"), [("parallel", "shadow"), ("live", "public"), (None, "public")])
def test_an_upgrade_keeps_the_stock_that_the_phase_used(template: str, phase: str | None, used: str) -> None:
    """Until revision 0039 the schema `shadow` had it while V1 had the authority over the whole project."""
    with a_database(template, f"t_upgraded_{phase}".lower()) as url, connect(url) as connection:
        upgrade_schema(url, "0039")
        for schema, pieces in (("public", 1), ("shadow", 2)):
            for statement in (
                "INSERT INTO {}.stock_levels (sku, on_hand) VALUES ('PHONE', %(pieces)s)",
                "INSERT INTO {}.stock_locks (account, item_id, sku, order_id, quantity, locked, short, consumed, "
                "state) VALUES ('shop', '1', 'PHONE', '1', %(pieces)s, %(pieces)s, 0, 0, 'locked')",
                "INSERT INTO {}.stock_lock_history (account, item_id, sku, cause, to_state, quantity, locked, "
                "short, consumed) SELECT 'shop', '1', 'PHONE', 'a test', 'locked', 1, 1, 0, 0 FROM generate_series(1, %(pieces)s)",
            ):
                connection.execute(statement.format(schema).encode(), {"pieces": pieces})
        connection.execute(
            "INSERT INTO orders (account, order_id, status, raw, fingerprint) VALUES ('shop', '1', 'accepted', '{}', '')"
        )
        connection.execute(
            "INSERT INTO order_events (account, order_id, kind, revision, new_status, applied_at, shadow_applied_at, "
            "shadow_problem) VALUES ('shop', '1', 'OrderCreated', 1, 'accepted', NULL, now(), 'no such SKU')"
        )
        connection.execute("INSERT INTO stock_available_position (position_id, schema_name) VALUES (1, 'shadow')")
        if phase is not None:
            connection.execute(
                "INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks) "
                "VALUES ('live', %s, 'a test', false, 'a test', '[]')",
                [phase],
            )
        upgrade_schema(url)
        pieces = {"public": 1, "shadow": 2}[used]
        assert connection.execute("SELECT on_hand FROM stock_levels").fetchall() == [(pieces,)]
        assert connection.execute("SELECT locked FROM stock_locks").fetchall() == [(pieces,)]
        assert connection.execute("SELECT count(*) FROM stock_lock_history").fetchone() == (pieces,)
        connection.execute(
            "INSERT INTO stock_lock_history (account, item_id, sku, cause, to_state, quantity, locked, short, "
            "consumed) VALUES ('shop', '1', 'PHONE', 'its number is new', 'locked', 1, 1, 0, 0)"
        )
        event = connection.execute("SELECT applied_at IS NOT NULL, problem FROM order_events").fetchone()
        assert event == ((True, "no such SKU") if used == "shadow" else (False, None))
        authority = current_authority(connection)
        assert authority.of("shop").phase == (phase or "live")
        left = connection.execute("SELECT to_regclass('shadow.stock_locks') IS NOT NULL").fetchone()
        assert left == (used == "public",), "the release before must not take an empty stock over"


def test_an_upgrade_notes_what_has_left_before_departures_were_on_record(template: str) -> None:
    """A phone that was subtracted, two sets that left before the count, and a shipment that was undone."""
    with a_database(template, "t_upgraded_departures") as url, connect(url) as connection:
        upgrade_schema(url, "0012")
        connection.execute(_BEFORE_DEPARTURES)
        upgrade_schema(url)
        rows = connection.execute(
            "SELECT item_id, sku, kind, pieces, on_hand_change, item_pieces FROM stock_movements "
            "WHERE item_id <> '' ORDER BY item_id, movement_id"
        ).fetchall()
        assert rows == [
            ("phone", "PHONE", "shipped", -1, -1, 1),
            ("sets", "CASE", "shipped", -4, 0, 2),
            ("sets", "PHONE", "shipped", -2, 0, 0),
            ("undone", "PHONE", "shipped", -1, -1, 1),
            ("undone", "PHONE", "not_shipped", 1, 0, 1),
        ]
        locks = connection.execute("SELECT item_id, sku, item_pieces FROM stock_locks ORDER BY 1, 2").fetchall()
        assert locks == [("phone", "PHONE", 1), ("sets", "CASE", 2), ("sets", "PHONE", 0), ("undone", "PHONE", 0)]


_BEFORE_DEPARTURES = b"""
INSERT INTO orders (account, order_id, status, created_at, raw, fingerprint)
SELECT 'shop', id, 'shipped', now(), '{}', '' FROM unnest(ARRAY['phone', 'sets', 'undone']) AS id;
INSERT INTO order_items (account, order_id, item_id, quantity, status, kind, sku) VALUES
  ('shop', 'phone', 'phone', 1, 'shipped', 'goods', 'PHONE'), ('shop', 'sets', 'sets', 2, 'shipped', 'goods', 'SET'),
  ('shop', 'undone', 'undone', 1, 'shipped', 'goods', 'PHONE');
INSERT INTO stock_skus (account, sku, stock_sku, pieces) VALUES ('', 'SET', 'PHONE', 1), ('', 'SET', 'CASE', 2);
INSERT INTO stock_levels (sku, on_hand, reserved) VALUES ('PHONE', 8, 0), ('CASE', 10, 0);
INSERT INTO stock_locks (account, item_id, sku, order_id, quantity, locked, short, consumed, state) VALUES
  ('shop', 'phone', 'PHONE', 'phone', 1, 0, 0, 1, 'consumed'), ('shop', 'sets', 'PHONE', 'sets', 2, 0, 0, 2, 'consumed'),
  ('shop', 'sets', 'CASE', 'sets', 4, 0, 0, 4, 'consumed'), ('shop', 'undone', 'PHONE', 'undone', 1, 0, 0, 0, 'released');
INSERT INTO stock_movements (sku, kind, pieces, on_hand, account, item_id, reason) VALUES
  ('PHONE', 'counted', 10, 10, '', '', ''), ('PHONE', 'shipped', -1, 9, 'shop', 'phone', ''),
  ('PHONE', 'shipped', -1, 8, 'shop', 'undone', '');
"""
