"""A real V1 is read by its preset, whatever is in its rows: on PostgreSQL and on MariaDB."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
import yaml
from sqlalchemy import Engine, create_engine, text

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.v1 import CutoverError, CutoverSettings, check_cutover_settings
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.cutover.v1_database import V1Database
from orders_sync.cutover.v1_values import V1Finding
from orders_sync.model.statuses import Status
from orders_sync_tests.cutover.origin import add, build, item, lock, order, variation
from orders_sync_tests.cutover.v1_servers import SERVERS

pytestmark = pytest.mark.xdist_group("v1")
MARKETPLACES = {1: "bm", 2: "bm_pro", 3: "bm_pro", 4: "refurbed"}
SETTINGS: Mapping[str, Any] = {
    "preset": "laravel_marketplaces", "timezone": "Europe/Berlin", "marketplaces": MARKETPLACES,
}  # fmt: skip
JUNE = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)


def settings(**more: Any) -> CutoverSettings:
    return check_cutover_settings({**SETTINGS, **more}, "v1.yaml")


@pytest.fixture(params=SERVERS)
def origin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An empty database of the origin."""
    url = request.getfixturevalue(request.param)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    build(engine, [variation(1, "PHONE"), variation(2, " CASE "), variation(3, None)])
    monkeypatch.setenv("V1_DATABASE_URL", url)
    yield engine
    build(engine, [])
    with engine.begin() as connection:
        for name in ("marketplace_stock", "marketplace_stock_locks", "order_items", "variation", "orders"):
            connection.execute(text(f"DROP TABLE {name}"))
    engine.dispose()


def by(frame: pd.DataFrame, key: str) -> dict[str, dict[Any, Any]]:
    return {str(row[key]): row for row in frame.to_dict("records")}


def found(findings: list[V1Finding]) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {each.kind: (each.count, each.examples) for each in findings}


def test_the_preset_needs_the_marketplaces_alone(origin: Engine) -> None:
    """Each fact of the origin: kinds of orders, soft deletes, ids by marketplace, SKU by join, statuses, locks."""
    add(
        origin,
        [
            order(1, "501", 1, status=3, price="129.90"), item(10, 1, "9001", care=77), lock(1, 10, "consumed", quantity=1),
            order(2, "501", 4, reference="r-1"), item(20, 2, "l-1", variation=2, quantity="2", status=4),
            item(21, 2, "l-2", status=5),
            order(3, "501", 2), order(4, "502", 3),
            order(5, "600", 1, type_=1), order(6, "601", 1, type_=5), order(7, "602", 1, deleted="2026-06-01 14:00:00"),
            item(11, 1, "9002", deleted="2026-06-01 14:00:00"), item(12, 1, "9003", status=4),
            order(8, "700", 9),
        ],
    )  # fmt: skip
    with V1Database(settings()) as v1:
        assert v1.touched("bm", *JUNE) == {"501"}
        assert v1.touched("bm_pro", *JUNE) == {"501", "502"}
        assert v1.touched("refurbed", *JUNE) == {"r-1"}
        (row,) = v1.orders("bm", ["501", "600", "601", "602", "700", "nothing"]).to_dict("records")
        assert row == {
            "order_id": "501", "status": 3, "currency": None, "total": Decimal("129.90"), "seen_at": None,
            "updated_at": datetime(2026, 6, 1, 11, tzinfo=UTC), "delivery_note_url": None, "label_url": None,
            "ordered_at": datetime(2026, 6, 1, 10, tzinfo=UTC),
            "statuses": [Status.SHIPPED, Status.RETURNED, Status.REFUNDED_AFTER_SHIPPING], "marketplace": "1",
        }  # fmt: skip
        assert v1.orders("bm_pro", ["501", "502"])[["order_id", "marketplace"]].values.tolist() == [
            ["501", "2"], ["502", "3"],
        ]  # fmt: skip
        items = v1.items("bm", ["501"])
        assert items[["item_id", "sku", "quantity", "care_id"]].values.tolist() == [
            ["9001", "PHONE", 1, "77"], ["9003", "PHONE", 1, None],
        ]  # fmt: skip
        assert all(type(quantity) is int for quantity in items["quantity"])
        assert items["statuses"].tolist()[1] == [Status.CANCELLED, Status.REMOVED]
        of_refurbed = by(v1.items("refurbed", ["r-1"]), "item_id")
        assert (of_refurbed["l-1"]["sku"], of_refurbed["l-1"]["quantity"]) == ("CASE", 2)
        assert Status.SHIPPED in of_refurbed["l-1"]["statuses"]
        assert Status.CANCELLED in of_refurbed["l-2"]["statuses"]
        assert v1.locks("bm", ["501"]).values.tolist() == [["501", "9001", 1, "consumed", None]]
        assert v1.levels() is None


def test_what_is_beside_the_preset_overrides_it(origin: Engine) -> None:
    add(origin, [order(1, "501", 4, reference="r-1", status=7, currency=1), order(2, "502", 1, type_=1)])
    made = settings(
        tables={
            "orders": {"where": None, "currencies": {1: "eur"}, "by_marketplace": {4: {"statuses": {7: ["pending"]}}}},
            "items": {"table": "order_items", "sku": "variation_id"},
            "levels": {
                "query": "SELECT v.sku, s.listed_stock AS on_hand FROM marketplace_stock s "
                "JOIN variation v ON v.id = s.variation_id;"
            },
        }
    )
    assert set(made.overridden) == {"tables.orders.where", "tables.items.sku"}
    with origin.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO marketplace_stock (id, variation_id, marketplace_id, listed_stock) "
                "VALUES (1, 1, 1, 3), (2, 1, 2, -1), (3, 2, 1, 4), (4, 3, 1, 9)"
            )
        )
    with V1Database(made) as v1:
        assert v1.touched("bm", *JUNE) == {"502"}  # no condition any more
        (row,) = v1.orders("refurbed", ["r-1"]).to_dict("records")
        assert (row["currency"], row["statuses"]) == ("EUR", [Status.PENDING])
        levels = v1.levels()
        assert levels is not None
        assert levels.values.tolist() == [["CASE", 4], ["PHONE", 2]]


def test_the_examples_of_the_runbook_work(origin: Engine) -> None:
    page = (PROJECT_ROOT / "docs" / "cutover.md").read_text()
    examples = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]
    whole, tables = examples
    add(origin, [order(1, "501", 4, reference="r-1", status=5, currency=2), item(10, 1, "l-1")])
    for document in (whole, whole | tables):
        with V1Database(check_cutover_settings(document, "v1.yaml")) as v1:
            assert v1.items("refurbed_eu", ["r-1"])["sku"].tolist() == ["PHONE"]
            (row,) = v1.orders("refurbed_eu", ["r-1"]).to_dict("records")
    assert (row["currency"], row["statuses"]) == ("GBP", [Status.CANCELLED, Status.UNPAID])


def test_of_duplicates_the_last_updated_one_counts(origin: Engine) -> None:
    """Of equal ids, rows of two marketplaces of one account too; and with them their items."""
    add(
        origin,
        [
            order(1, "501", 2, status=2, updated="2026-06-01 15:00:00"), order(2, "501", 2, status=1, updated=None),
            order(3, "501", 3, status=3, updated="2026-06-01 14:00:00"),
            order(4, "502", 2, status=1), order(5, "502", 2, status=3),
            order(6, "503", 2, status=3, updated="2026-06-01 18:00:00", deleted="2026-06-01 19:00:00"),
            order(7, "503", 2, status=4),
            item(10, 1, "9001", quantity="1"), item(31, 3, "9001", quantity="5"), item(32, 3, "9002", quantity="6"),
            item(40, 5, "9003", quantity="1"), item(41, 5, "9003", quantity="2"),
            item(39, 5, "9003", quantity="3", deleted="2026-06-01 19:00:00"),
        ],
    )  # fmt: skip
    with V1Database(settings()) as v1:
        orders = v1.orders("bm_pro", ["501", "502", "503"]).set_index("order_id")
        assert orders["status"].to_dict() == {"501": 2, "502": 3, "503": 4}
        items = v1.items("bm_pro", ["501", "502"])
        assert sorted(items[["item_id", "quantity"]].values.tolist()) == [["9001", 1], ["9002", 6], ["9003", 2]]
        odd = found(v1.findings("bm_pro", *JUNE))
        assert (odd["duplicate orders"][0], {*odd["duplicate orders"][1]}) == (3, {"order 501", "order 502"})
        count, examples = odd["duplicate items"]
        assert (count, {*examples}) == (2, {"order 501, item 9001", "order 502, item 9003"})


def test_rows_without_an_id_an_order_or_an_item_are_left_out_and_found(origin: Engine) -> None:
    add(
        origin,
        [
            order(1, "501"), order(2, None), order(3, "  "), order(4, "502", None),
            item(10, 1, None), item(11, None, "9001"), item(12, 99, "9002"), item(13, 1, "9003", variation=None),
            item(14, 1, "9004", deleted="2026-06-01 14:00:00"), item(20, 2, "9005"),
            lock(1, 10, "locked"), lock(2, 14, "locked"), lock(3, None, "locked"), lock(4, 13, "locked"),
        ],
    )  # fmt: skip
    with V1Database(settings()) as v1:
        assert v1.touched("bm", *JUNE) == {"501"}
        assert v1.orders("bm", ["501", "502", ""])["order_id"].tolist() == ["501"]
        assert v1.items("bm", ["501"])[["item_id", "sku"]].values.tolist() == [["9003", None]]
        assert v1.locks("bm", ["501"])["item_id"].tolist() == ["9003"]
        odd = found(v1.findings("bm", *JUNE))
        assert odd["orders without an id"] == (2, ("V1's id 2", "V1's id 3"))
        assert odd["items without an id"] == (1, ("order 501, V1's id 10",))
        assert odd["items without an order"] == (2, ("V1's id 11", "V1's id 12"))
        assert odd["items without a SKU"] == (1, ("order 501, item 9003",))
        count, examples = odd["locks without an item"]
        assert (count, set(examples)) == (2, {"of item 14", "of item none"})


def test_odd_values_are_none_and_found(origin: Engine) -> None:
    """Nothing raises: no number, no amount, no status and no time."""
    is_mariadb = origin.dialect.name != "postgresql"
    zero = "0000-00-00 00:00:00" if is_mariadb else "infinity"
    add(
        origin,
        [
            order(1, "501", status=99, currency=3), order(2, "502", status=None), order(3, "503", status=99),
            order(4, "504", at=None), order(5, "505", at="1999-12-31 12:00:00"), order(6, "506", at="2090-01-01 00:00:00"),
            order(7, "507", at="2026-03-29 02:30:00"), order(8, "508", at=zero),
            item(10, 1, "1", quantity=None), item(11, 1, "2", quantity="-1"), item(12, 1, "3", quantity="1.50"),
            item(13, 1, "4", quantity="99999999999999999999999999999999"), item(14, 1, "5", price="free", status=77),
            item(15, 1, "6", price="9" * 40), item(16, 1, "7", price=None),
            lock(1, 10, "reserved", released="2026-06-01 14:00:00"), lock(2, 11, "locked", quantity=None, consumed=zero),
        ],
    )  # fmt: skip
    with V1Database(settings()) as v1:
        ids = [f"50{number}" for number in range(1, 9)]
        orders = by(v1.orders("bm", ids), "order_id")
        assert [orders["501"][name] for name in ("status", "currency", "statuses")] == [99, None, []]
        assert [orders["502"][name] for name in ("status", "statuses")] == [None, []]
        assert [orders[key]["ordered_at"] for key in ("504", "505", "507", "508")] == [None] * 4
        assert orders["506"]["ordered_at"] == datetime(2089, 12, 31, 23, tzinfo=UTC)
        items = by(v1.items("bm", ["501"]), "item_id")
        assert [items[key]["quantity"] for key in "1234"] == [None, -1, Decimal("1.50"), None]
        assert [items[key]["price"] for key in "567"] == [None, None, None]
        assert v1.locks("bm", ["501"]).set_index("item_id")["state"].to_dict() == {"1": "released", "2": "locked"}
        odd = found(v1.findings("bm", *JUNE))
        assert odd["unmapped statuses of orders"] == (3, ("99: 2 rows", "empty: 1 rows"))
        assert odd["unmapped statuses of items"] == (1, ("77: 1 rows",))
        assert odd["unknown states of locks"] == (1, ("reserved: 1 rows",))
        assert odd["currencies without a code"] == (8, ("1: 7 rows", "3: 1 rows"))
        assert odd["quantities that are not whole"] == (1, ("order 501, item 3: 1.50",))
        assert odd["negative quantities"] == (1, ("order 501, item 2: -1.00",))
        assert odd["quantities that are no numbers"][0] == 2  # of an item and of a lock
        assert odd["absurd quantities"][0] == 1
        assert odd["amounts that are no numbers"][0] == 2
        assert odd["times before 2000"] == (1, ("order 505: 1999-12-31 12:00:00",))
        assert odd["times in the future"] == (1, ("order 506: 2090-01-01 00:00:00",))
        count, examples = odd["times that can't be read"]
        assert (count, "order 504: empty" in examples) == (3, True)
    # In the days of the change of time, the gap is found as well.
    with V1Database(settings()) as v1:
        spring = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)
        assert "507" in v1.touched("bm", *spring)
        assert found(v1.findings("bm", *spring))["times that the zone does not have"] == (
            1, ("order 507: 2026-03-29 02:30:00",),
        )  # fmt: skip


def test_touched_has_what_changed_in_a_time_and_nothing_else(origin: Engine) -> None:
    """By its own times and those of its locks; an hour that is there twice in autumn counts once."""
    add(
        origin,
        [
            order(1, "created", at="2026-06-02 01:59:59", updated=None), order(2, "before", at="2026-06-01 01:59:59", updated=None),
            order(3, "after", at="2026-06-02 02:00:00", updated=None),
            order(4, "updated", at="2026-01-01 00:00:00", updated="2026-06-01 02:00:00"),
            order(5, "locked", at="2026-01-01 00:00:00", updated=None), item(50, 5, "50"),
            lock(1, 50, "locked", locked="2026-06-01 12:00:00"),
            order(6, "consumed", at="2026-01-01 00:00:00", updated=None), item(60, 6, "60"),
            lock(2, 60, "consumed", locked="2026-01-01 12:00:00", consumed="2026-06-01 12:00:00"),
            order(7, "released", at="2026-01-01 00:00:00", updated=None), item(70, 7, "70"),
            lock(3, 70, "released", locked="2026-01-01 12:00:00", released="2026-06-01 12:00:00"),
            order(8, "autumn", at="2026-10-25 02:30:00", updated=None),
        ],
    )  # fmt: skip
    with V1Database(settings()) as v1:
        assert v1.touched("bm", *JUNE) == {"created", "updated", "locked", "consumed", "released"}
        hours = [datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in range(4)]
        times = [v1.touched("bm", start, end) for start, end in pairwise(hours)]
        assert times == [{"autumn"}, set(), set()]


def test_items_with_a_time_of_their_own_touch_their_order(origin: Engine) -> None:
    add(
        origin,
        [order(1, "501", at="2026-01-01 00:00:00", updated=None), item(10, 1, "1", deleted="2026-06-01 12:00:00")],
    )
    items = {"where": None, "updated_at": "deleted_at"}
    with V1Database(settings(tables={"items": items})) as v1:
        assert v1.touched("bm", *JUNE) == {"501"}
        (row,) = v1.items("bm", ["501"]).to_dict("records")
        assert row["updated_at"] == datetime(2026, 6, 1, 10, tzinfo=UTC)


def test_many_ids_are_read_in_batches(origin: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orders_sync.cutover.v1_database.BATCH", 3)
    add(origin, [each for n in range(10) for each in (order(n, f"o{n}"), item(n, n, f"i{n}"), lock(n, n, "locked"))])
    with V1Database(settings()) as v1:
        ids = v1.touched("bm", *JUNE)
        assert len(ids) == len(v1.orders("bm", ids)) == len(v1.items("bm", ids)) == len(v1.locks("bm", ids)) == 10
        assert sorted(v1.locks_to_take(["bm"])) == [V1Lock("bm", f"i{n}") for n in range(10)]


def test_a_view_counts_as_a_table_and_marketplaces_may_be_texts(origin: Engine) -> None:
    """Numbers as texts, an id that is a number, a condition with a colon, a per cent sign and a comment."""
    add(origin, [order(1, "501", 1), order(2, "502", 2), order(3, "503", 1, status=9)])
    cast = "CHAR" if origin.dialect.name != "postgresql" else "TEXT"
    with origin.begin() as connection:
        connection.execute(text("DROP VIEW IF EXISTS shop_orders"))
        connection.execute(
            text(
                f"CREATE VIEW shop_orders AS SELECT id, CAST(marketplace_id AS {cast}) AS shop, id AS number, status, "
                "currency, price, created_at, updated_at, reference_id FROM orders"
            )
        )
    tables = {
        "orders": {
            "table": "shop_orders", "order_id": "number", "marketplace": "shop", "delivery_note_url": None,
            "label_url": None, "where": "reference_id LIKE '50%' AND ':x' = ':x' AND status <> 9 -- not yet",
            "by_marketplace": {"4": {"order_id": "number"}},
        }
    }  # fmt: skip
    try:
        with V1Database(settings(tables=tables)) as v1:
            assert v1.touched("bm", *JUNE) == {"1"}
            assert v1.orders("bm", ["1", "x", "9" * 30, "01"])["order_id"].tolist() == ["1"]
            assert v1.orders("bm_pro", ["2"])["order_id"].tolist() == ["2"]
    finally:
        with origin.begin() as connection:
            connection.execute(text("DROP VIEW shop_orders"))


def test_what_v1_cannot_run_is_reported_with_its_setting(origin: Engine) -> None:
    tables = {
        "orders": {"where": "deleted IS NULL", "order_id": "referense"}, "items": {"query": "SELECT * FROM lines"},
        "levels": {"table": "variaton", "on_hand": "stock"},
    }  # fmt: skip
    with pytest.raises(CutoverError) as problem:
        V1Database(settings(tables=tables))
    lines = str(problem.value).splitlines()
    assert lines[0].startswith("v1.yaml: tables.orders.where: V1's database can't run it: ")
    assert "deleted" in lines[0]
    assert lines[1].startswith("v1.yaml: tables.items.query: V1's database can't run it: ")
    assert "V1 has no table 'variaton' (did you mean variation?)" in lines[2]
    with pytest.raises(
        CutoverError, match=r"tables.orders.by_marketplace.4.total: V1's table orders has no column 'sum'"
    ):
        V1Database(settings(tables={"orders": {"by_marketplace": {4: {"total": "sum"}}}}))


def test_the_server_says_its_time(origin: Engine) -> None:
    with V1Database(settings(), statement_seconds=30) as v1:
        assert abs((v1.clock() - datetime.now(UTC)).total_seconds()) < 5


def test_ids_with_spaces_around_them_are_those_without(origin: Engine) -> None:
    add(origin, [order(1, " 501 "), order(2, "502"), item(10, 1, " 1 "), lock(1, 10, " locked ")])
    with V1Database(settings()) as v1:
        assert v1.touched("bm", *JUNE) == {"501", "502"}
        assert sorted(v1.orders("bm", ["501", "502"])["order_id"]) == ["501", "502"]
        assert v1.items("bm", ["501"])["item_id"].tolist() == ["1"]
        assert v1.locks("bm", ["501"])["state"].tolist() == ["locked"]


TIMES = {
    "text": {"postgresql": "to_char(created_at, 'YYYY-MM-DD HH24:MI:SS')", "mysql": "CAST(created_at AS CHAR)"},
    "seconds since 1970": {
        "postgresql": "CAST(extract(epoch FROM created_at AT TIME ZONE 'Europe/Berlin') AS bigint)",
        "mysql": "TIMESTAMPDIFF(SECOND, '1970-01-01', created_at) - 7200",
    },
    "with a zone": {"postgresql": "created_at AT TIME ZONE 'Europe/Berlin'", "mysql": "created_at"},
    "a day": {"postgresql": "CAST(created_at AS date)", "mysql": "CAST(created_at AS date)"},
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_any_type_are_read(origin: Engine, kind: str) -> None:
    add(origin, [order(1, "501"), order(2, "502", at="2026-06-03 12:00:00")])
    written = TIMES[kind][origin.dialect.name.replace("mariadb", "mysql")]
    tables = {"orders": {"query": f"SELECT orders.*, {written} AS at_ FROM orders", "ordered_at": "at_"}}
    tables["orders"]["updated_at"] = "at_"
    with V1Database(settings(tables=tables)) as v1:
        day = (JUNE[0] - timedelta(hours=3), JUNE[1])
        assert v1.touched("bm", *day) == {"501"}
        (at,) = v1.orders("bm", ["501"])["ordered_at"]
        assert at == datetime(2026, 6, 1, 10, tzinfo=UTC) - timedelta(hours=12 if kind == "a day" else 0)
        assert found(v1.findings("bm", *day)).keys() == {"currencies without a code"}


def test_a_database_that_fails_later_is_reported_as_well(origin: Engine) -> None:
    with V1Database(settings()) as v1:
        with origin.begin() as connection:
            connection.execute(text("ALTER TABLE orders RENAME TO gone"))
        try:
            with pytest.raises(CutoverError, match=r"V1's database .* can't be read: "):
                v1.touched("bm", *JUNE)
        finally:
            with origin.begin() as connection:
                connection.execute(text("ALTER TABLE gone RENAME TO orders"))
