"""The verdict: thirty kinds of planted differences among thousands of orders are found, each as what it is.

V1's tables begin as a copy of what V2 has, so that the two agree; then rows of either side are changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.v1 import CutoverSettings
from orders_sync.config.v1_tables import LevelsTable
from orders_sync.cutover import comparison as comparisons
from orders_sync.cutover.comparison import Comparison, Found, compare_day, sampled_day
from orders_sync.cutover.v1_database import V1Database
from orders_sync.cutover.v1_values import plain_text
from orders_sync.database.engine import Connection
from orders_sync.model.statuses import Status
from orders_sync.sandbox.v1 import TABLES
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.cutover.moved import begin

ORDERS = 10_000
FEW = 300
DAYS = 10


@dataclass
class Pair:
    """V1 and V2 of one marketplace."""

    marketplace: Marketplace
    account: SellerAccount
    connection: Connection
    v1: psycopg.Connection[tuple[Any, ...]]
    settings: CutoverSettings
    today: date
    expected: dict[tuple[str, str, str, str], str] = field(default_factory=dict[tuple[str, str, str, str], str])
    """(order id, item id, kind, field) → who is right; '': nobody can say."""

    def compare(self, day: date, now: datetime | None = None, **settings: Any) -> Comparison:
        chosen = self.settings.model_copy(update=settings)
        with V1Database(chosen) as v1:
            return compare_day(self.connection, v1, chosen, "shop", day, now)

    def last_days(self) -> list[date]:
        return [self.today - timedelta(days=back) for back in range(DAYS, 0, -1)]


@pytest.fixture
def pair(
    request: pytest.FixtureRequest,
    v1_url: str,
    settings: CutoverSettings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pair]:
    """With as many orders as the test asks for, by default a few hundred."""
    with (
        Marketplace(orders=getattr(request, "param", FEW), days=DAYS + 1) as marketplace,
        psycopg.connect(v1_url, autocommit=True) as v1,
    ):
        account = sandbox_account(marketplace, days_back=DAYS + 1)
        monkeypatch.setattr(comparisons, "load_accounts", lambda: ({"shop": account}, {}))
        begin(connection, settings)
        stock = StockConnection(connection)
        for sync_type in ("new", "modified", "care", "incomplete"):
            sync(account, sync_type)
        skus = connection.execute("SELECT DISTINCT sku FROM order_items WHERE sku <> ''").fetchall()
        import_levels(stock, {sku: 100_000 for (sku,) in skus})
        apply_pending(stock)
        sync(account, "modified")
        copy_to_v1(connection, v1, settings)
        # What V2 has stored today it stored today: only the marketplace's times spread over the days.
        connection.execute(
            "UPDATE orders SET first_stored_at = created_at, stored_at = coalesce(modified_at, created_at)"
        )
        connection.execute("UPDATE order_documents SET first_stored_at = first_stored_at - interval '100 days'")
        connection.execute("UPDATE care_records SET stored_at = stored_at - interval '100 days'")
        connection.execute("UPDATE stock_lock_history SET at = at - interval '100 days'")
        yield Pair(marketplace, account, connection, v1, settings, datetime.now(UTC).date())


def copy_to_v1(connection: Connection, v1: psycopg.Connection[tuple[Any, ...]], settings: CutoverSettings) -> None:
    """V1's rows of all that V2 has: times without a zone, in whole seconds; statuses as V1's numbers."""
    number = {status: number for number, meant in reversed(settings.order_statuses.items()) for status in meant}
    of_item = {status: number for number, meant in reversed(settings.item_statuses.items()) for status in meant}
    v1.execute(TABLES)
    ids: dict[str, int] = {}
    with v1.cursor().copy(
        "COPY orders (id, marketplace, marketplace_order_id, status, currency, total, ordered_at, delivery_note_url, "
        "label_url, created_at, updated_at) FROM STDIN"
    ) as copy:
        for order_id, status, currency, total, created_at, changed_at, note, label in connection.execute(
            "SELECT order_id, status, currency, items_total, created_at, coalesce(modified_at, created_at), "
            "delivery_note_url, label_url FROM orders ORDER BY created_at, order_id"
        ):
            ids[order_id] = len(ids) + 1
            naive = [each.astimezone(UTC).replace(tzinfo=None, microsecond=0) for each in (created_at, changed_at)]
            seen = naive[0] + timedelta(minutes=2)
            copy.write_row(
                [ids[order_id], "back_market", order_id, number[Status(status)], currency, total, naive[0], note, label,
                 seen, max(naive[1], seen)]
            )  # fmt: skip
    items: dict[str, int] = {}
    with v1.cursor().copy(
        "COPY order_items (id, order_id, orderline_id, sku, quantity, price, status, care_id) FROM STDIN"
    ) as copy:
        for order_id, item_id, sku, quantity, price, status, care_id in connection.execute(
            "SELECT order_id, item_id, sku, quantity, price, status, care_id FROM order_items ORDER BY item_id"
        ):
            items[item_id] = len(items) + 1
            row = [items[item_id], ids[order_id], item_id, sku, quantity, price, of_item[Status(status)], care_id]
            copy.write_row(row)
    with v1.cursor().copy(
        "COPY stock_locks (order_item_id, sku, quantity, created_at, consumed_at) FROM STDIN"
    ) as copy:
        for item_id, sku, quantity, state in connection.execute(
            "SELECT item_id, sku, quantity, state FROM stock_locks WHERE state IN ('locked', 'short', 'consumed')"
        ):
            consumed_at = datetime(2026, 1, 1) if state == "consumed" else None
            copy.write_row([items[item_id], sku, quantity, datetime(2026, 1, 1), consumed_at])


class Planter:
    """Plants differences, each in an order of its own, of another day each."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._taken: set[str] = set()
        self._number = 0

    def pick(self, where: str = "true") -> tuple[str, str]:
        """An untouched order with one of its items, for which `where` holds."""
        self._number += 1
        day = self.pair.last_days()[self._number % DAYS]
        row = self.pair.connection.execute(
            "SELECT placed.order_id, item.item_id FROM orders placed JOIN order_items item USING (account, order_id) "
            "LEFT JOIN stock_locks lock USING (account, item_id) "
            f"WHERE placed.order_id <> ALL(%s) AND ({where}) ORDER BY placed.created_at::date <> %s, placed.order_id "
            "LIMIT 1".replace("placed.created_at::date", "(placed.created_at AT TIME ZONE 'UTC')::date").encode(),
            [list(self._taken), day],
        ).fetchone()
        assert row is not None, where
        self._taken.add(row[0])
        return row[0], row[1]

    def v1(self, sql: str, **values: Any) -> None:
        assert self.pair.v1.execute(sql.encode(), values).rowcount >= 1, sql

    def v2(self, sql: str, **values: Any) -> None:
        assert self.pair.connection.execute(sql.encode(), values).rowcount >= 1, sql

    def expect(self, order_id: str, item_id: str, kind: str, name: str, right: str) -> None:
        self.pair.expected[order_id, item_id, kind, name] = right


_V1_ORDER = "UPDATE orders SET {} WHERE marketplace_order_id = %(order)s"
_V1_ITEM = "UPDATE order_items SET {} WHERE orderline_id = %(item)s"
_V1_LOCK = "{} WHERE order_item_id = (SELECT id FROM order_items WHERE orderline_id = %(item)s)"
_V2_ORDER = "UPDATE orders SET {} WHERE order_id = %(order)s"
_V2_ITEM = "UPDATE order_items SET {} WHERE item_id = %(item)s"
_SHIPPED = "placed.status = 'shipped' AND item.status = 'shipped'"
_ACCEPTED = "placed.status = 'accepted' AND item.status = 'accepted'"
_NOTED = f"{_ACCEPTED} AND placed.delivery_note_url IS NOT NULL"
_LABELLED = f"{_ACCEPTED} AND placed.label_url IS NOT NULL"
#: (side, statement, which orders, field, whether it is about the item, who is right)
_FIELDS = [
    ("v1", _V1_ORDER.format("status = 2"), _SHIPPED, "status", False, "V2"),
    ("v2", _V2_ORDER.format("status = 'accepted'"), _SHIPPED, "status", False, "V1"),
    ("v1", _V1_ORDER.format("total = total + 1"), _SHIPPED, "total", False, "V2"),
    ("v2", _V2_ORDER.format("items_total = items_total + 1"), _SHIPPED, "total", False, "V1"),
    ("v1", _V1_ORDER.format("total = NULL"), _SHIPPED, "total", False, "V2"),
    ("v1", _V1_ORDER.format("currency = 'USD'"), _SHIPPED, "currency", False, "V2"),
    ("v2", _V2_ORDER.format("currency = 'USD'"), _SHIPPED, "currency", False, "V1"),
    ("v1", _V1_ORDER.format("delivery_note_url = 'https://x.example.com/a'"), _NOTED, "delivery_note_url", False, "V2"),
    ("v1", _V1_ORDER.format("delivery_note_url = NULL"), _NOTED, "delivery_note_url", False, "V2"),
    ("v2", _V2_ORDER.format("delivery_note_url = NULL"), _NOTED, "delivery_note_url", False, "V1"),
    ("v1", _V1_ORDER.format("label_url = NULL"), _LABELLED, "label_url", False, "V2"),
    ("v2", _V2_ORDER.format("label_url = 'https://x.example.com/b'"), _LABELLED, "label_url", False, "V1"),
    ("v1", _V1_ITEM.format("sku = 'OTHER'"), _SHIPPED, "sku", True, "V2"),
    ("v2", _V2_ITEM.format("sku = 'OTHER'"), _SHIPPED, "sku", True, "V1"),
    ("v1", _V1_ITEM.format("quantity = 7"), _SHIPPED, "quantity", True, "V2"),
    ("v2", _V2_ITEM.format("quantity = 7"), _SHIPPED, "quantity", True, "V1"),
    ("v1", _V1_ITEM.format("price = price + 0.01"), _SHIPPED, "price", True, "V2"),
    ("v2", _V2_ITEM.format("price = price + 0.01"), _SHIPPED, "price", True, "V1"),
    ("v1", _V1_ITEM.format("status = 4"), _SHIPPED, "status", True, "V2"),
    ("v2", _V2_ITEM.format("status = 'returned', marketplace_state = NULL"), _ACCEPTED, "status", True, "V1"),
    ("v1", _V1_ITEM.format("care_id = '999'"), _SHIPPED, "care_id", True, ""),
    ("v2", _V2_ITEM.format("care_id = '999'"), _SHIPPED, "care_id", True, ""),
]


def plant(pair: Pair) -> None:
    """More than thirty kinds, some of them in V1's rows alone, which make no difference."""
    planter = Planter(pair)
    for side, statement, where, name, is_of_item, right in _FIELDS:
        order_id, item_id = planter.pick(where)
        (planter.v1 if side == "v1" else planter.v2)(statement, order=order_id, item=item_id)
        planter.expect(order_id, item_id if is_of_item else "", "differs", name, right)

    both_wrong, _ = planter.pick(_SHIPPED)
    planter.v1(_V1_ORDER.format("status = 1"), order=both_wrong)
    planter.v2(_V2_ORDER.format("status = 'accepted'"), order=both_wrong)
    planter.expect(both_wrong, "", "differs", "status", "neither")

    unmapped, _ = planter.pick(_SHIPPED)
    planter.v1(_V1_ORDER.format("status = 77"), order=unmapped)
    planter.expect(unmapped, "", "differs", "status", "V2")

    renamed, _ = planter.pick(_SHIPPED)
    planter.v1(_V1_ORDER.format("marketplace_order_id = 'ghost'"), order=renamed)
    planter.expect("ghost", "", "only in V1", "", "V2")
    planter.expect(renamed, "", "only in V2", "", "V2")

    missing, _ = planter.pick(_SHIPPED)
    planter.v2("DELETE FROM order_items WHERE order_id = %(order)s", order=missing)
    planter.v2("DELETE FROM orders WHERE order_id = %(order)s", order=missing)
    planter.expect(missing, "", "only in V1", "", "V1")

    without_item, item_id = planter.pick(_SHIPPED)
    planter.v1("DELETE FROM order_items WHERE orderline_id = %(item)s", item=item_id)
    planter.expect(without_item, item_id, "only in V2", "item", "V2")
    planter.expect(without_item, item_id, "lock only in V2", "lock", "")

    lost, item_id = planter.pick(_SHIPPED)
    planter.v2("DELETE FROM order_items WHERE item_id = %(item)s", item=item_id)
    planter.expect(lost, item_id, "only in V1", "item", "V1")

    more, item_id = planter.pick(_SHIPPED)
    planter.v1(
        "INSERT INTO order_items (id, order_id, orderline_id, sku, quantity, price, status) SELECT 900001, order_id, "
        "'extra', sku, 1, 1, 3 FROM order_items WHERE orderline_id = %(item)s", item=item_id,
    )  # fmt: skip
    planter.expect(more, "extra", "only in V1", "item", "V2")

    locked = f"{_ACCEPTED} AND lock.state = 'locked'"
    order_id, item_id = planter.pick(locked)
    planter.v1(_V1_LOCK.format("DELETE FROM stock_locks"), item=item_id)
    planter.expect(order_id, item_id, "lock only in V2", "lock", "")
    order_id, item_id = planter.pick(locked)
    planter.v1(_V1_LOCK.format("UPDATE stock_locks SET quantity = 5"), item=item_id)
    planter.expect(order_id, item_id, "lock differs", "lock", "")
    order_id, item_id = planter.pick(locked)
    planter.v1(_V1_LOCK.format("UPDATE stock_locks SET consumed_at = now()"), item=item_id)
    planter.expect(order_id, item_id, "lock differs", "lock", "")
    order_id, item_id = planter.pick(locked)
    planter.v1(_V1_LOCK.format("UPDATE stock_locks SET released_at = now()"), item=item_id)
    planter.expect(order_id, item_id, "lock only in V2", "lock", "")
    order_id, item_id = planter.pick(locked)
    planter.v2("DELETE FROM stock_locks WHERE item_id = %(item)s", item=item_id)
    planter.expect(order_id, item_id, "lock only in V1", "lock", "")

    # What makes no difference: a duplicate, rows without an id, a signature, a fraction of a second, 1.00 for 1.
    twice, _ = planter.pick(_SHIPPED)
    planter.v1(
        "INSERT INTO orders SELECT 900002, marketplace, marketplace_order_id, 0, currency, 0, ordered_at, NULL, NULL, "
        "created_at, updated_at - interval '1 day' FROM orders WHERE marketplace_order_id = %(order)s", order=twice,
    )  # fmt: skip
    nameless, _ = planter.pick(_SHIPPED)
    planter.v1(
        "INSERT INTO orders SELECT 900003, marketplace, NULL, status, currency, total, ordered_at, NULL, NULL, "
        "created_at, updated_at FROM orders WHERE marketplace_order_id = %(order)s", order=nameless,
    )  # fmt: skip
    signed, _ = planter.pick(_NOTED)
    planter.v1(_V1_ORDER.format("delivery_note_url = delivery_note_url || '?signature=other'"), order=signed)
    pair.v1.execute("ALTER TABLE order_items ALTER quantity TYPE numeric(10, 2)")


def found_in(made: Comparison) -> dict[tuple[str, str, str, str], str]:
    return {each.difference[:4]: str(each.right or "") for each in made.counted}


@pytest.mark.parametrize("pair", [ORDERS], indirect=True)
def test_thirty_kinds_of_differences_are_found_and_none_is_invented(pair: Pair) -> None:
    compared = 0
    for day in pair.last_days():
        made = pair.compare(day)
        assert (made.found, made.agreement, made.correct) == ([], 100.0, 100.0)
        assert (made.v1_ran, made.is_whole_day, made.zone_offset_minutes) == (True, True, 0)
        compared += made.compared_orders
    assert compared > ORDERS * 0.9, "each order was compared"
    plant(pair)
    assert len(pair.expected) >= 30
    found: dict[tuple[str, str, str, str], str] = {}
    findings: dict[str, int] = {}
    runs = [pair.compare(day) for day in pair.last_days()]
    for made in runs:
        found |= found_in(made)
        findings |= {finding.kind: finding.count for finding in made.findings}
    assert found == pair.expected
    made = runs[-1]
    verdict = made.verdict
    counts = {right: list(pair.expected.values()).count(right) for right in ("V2", "V1", "neither")}
    assert f"V2 right {counts['V2']}, V1 right {counts['V1']}, neither 1." in verdict, "what differed stays in view"
    assert (made.v2_right, made.v1_right, made.neither_right) == tuple(counts.values())
    assert made.correct > made.agreement
    assert len(findings) >= 3, findings


def a_difference(pair: Pair) -> tuple[str, date]:
    """A status that V1 has wrong, in an order of yesterday."""
    planter = Planter(pair)
    planter._number = DAYS - 2
    order_id, _ = planter.pick(_SHIPPED)
    planter.v1(_V1_ORDER.format("status = 2"), order=order_id)
    return order_id, pair.today - timedelta(days=1)


def only(made: Comparison) -> Found:
    (found,) = made.found
    return found


class TestClocks:
    """Clocks and zones that are wrong hide no difference, and are reported."""

    def test_a_v1_clock_that_is_ahead(self, pair: Pair) -> None:
        order_id, day = a_difference(pair)
        pair.v1.execute("UPDATE orders SET updated_at = now() AT TIME ZONE 'UTC' + interval '5 hours'")
        assert only(pair.compare(day)).in_flight, "V2 may not have looked yet"
        later = datetime.now(UTC) + timedelta(hours=27)
        found = [each for each in pair.compare(day, later).counted if each.difference.field == "status"]
        assert [each.difference.order_id for each in found] == [order_id]

    @pytest.mark.parametrize(("zone", "minutes"), [("Asia/Tokyo", -540), ("America/New_York", 300)])
    def test_a_wrong_zone(self, pair: Pair, zone: str, minutes: int) -> None:
        order_id, day = a_difference(pair)
        made = pair.compare(day, timezone=zone)
        assert made.zone_offset_minutes == minutes
        assert order_id in {each.difference.order_id for each in made.counted}

    def test_fractions_of_seconds(self, pair: Pair) -> None:
        order_id, day = a_difference(pair)
        pair.connection.execute("UPDATE orders SET modified_at = modified_at + interval '0.7 seconds'")
        assert [each.difference.order_id for each in pair.compare(day).counted] == [order_id]


class TestOutages:
    """What one side could not see yet is in flight; then it counts."""

    def test_v2_stands_still(self, pair: Pair) -> None:
        order_id, day = a_difference(pair)
        pair.v1.execute(
            "UPDATE orders SET updated_at = (now() AT TIME ZONE 'UTC') - interval '3 hours' WHERE marketplace_order_id = %s",
            [order_id],
        )
        pair.connection.execute("UPDATE lanes SET watermark = now() - interval '30 hours'")
        made = pair.compare(day)
        assert (only(made).in_flight, made.v2_ran) == (True, False)
        assert "1 differences are in flight" in made.verdict
        again = pair.compare(day, datetime.now(UTC) + timedelta(hours=27))
        assert not only(again).in_flight, "for a day at most"
        pair.connection.execute("UPDATE lanes SET watermark = now()")
        assert not only(pair.compare(day)).in_flight, "V2 has looked, and says the same"

    def test_v1_stands_still(self, pair: Pair) -> None:
        day = pair.today - timedelta(days=1)
        pair.v1.execute(
            "UPDATE orders SET ordered_at = ordered_at - interval '200 days', created_at = created_at - interval "
            "'200 days', updated_at = updated_at - interval '200 days' WHERE updated_at::date = %s OR created_at::date = %s "
            "OR ordered_at::date = %s",
            [day] * 3,
        )
        assert not pair.compare(day).v1_ran

    def test_an_order_that_only_v2_has_is_in_flight_for_v1s_cadence(self, pair: Pair) -> None:
        row = pair.connection.execute("SELECT order_id, created_at FROM orders ORDER BY created_at DESC LIMIT 1")
        ((order_id, created_at),) = row.fetchall()
        pair.v1.execute("DELETE FROM orders WHERE marketplace_order_id = %s", [order_id])
        for minutes, in_flight in ((10, True), (31, False)):
            made = pair.compare(created_at.date(), created_at + timedelta(minutes=minutes))
            found = next(each for each in made.found if each.difference.order_id == order_id)
            assert (found.difference.kind, found.in_flight) == ("only in V2", in_flight)


def test_a_later_day_finds_what_changed_long_after_the_order_was_made(pair: Pair) -> None:
    """Only an order's first day was compared once."""
    order_id, _ = a_difference(pair)
    yesterday = pair.today - timedelta(days=1)
    pair.connection.execute(
        "UPDATE orders SET created_at = created_at - interval '60 days' WHERE order_id = %s", [order_id]
    )
    pair.v1.execute(
        "UPDATE orders SET ordered_at = ordered_at - interval '60 days', created_at = created_at - interval '60 days', "
        "updated_at = %s WHERE marketplace_order_id = %s",
        [datetime.combine(yesterday, datetime.min.time()) + timedelta(hours=12), order_id],
    )
    assert [each.difference.order_id for each in pair.compare(yesterday).counted] == [order_id]


def test_each_run_is_a_row_and_what_differed_is_compared_until_it_agrees(pair: Pair) -> None:
    order_id, day = a_difference(pair)
    first = only(pair.compare(day))
    next_day = only(pair.compare(day + timedelta(days=1), datetime.now(UTC) + timedelta(days=1)))
    assert (next_day.difference, next_day.first_found_at) == (first.difference, first.first_found_at)
    pair.v1.execute("UPDATE orders SET status = 3 WHERE marketplace_order_id = %s", [order_id])
    assert pair.compare(day).found == []
    rows = pair.connection.execute("SELECT day, differing FROM migration_comparisons ORDER BY comparison_id").fetchall()
    assert rows == [(day, 1), (day + timedelta(days=1), 1), (day, 0)]


def test_each_earlier_day_is_compared_again_within_three_months() -> None:
    mornings = [date(2026, 3, 1) + timedelta(days=number) for number in range(200)]
    sampled = [sampled_day(morning) for morning in mornings]
    assert all(timedelta(2) <= morning - day <= timedelta(94) for morning, day in zip(mornings, sampled, strict=True))
    for start in range(100):
        assert len(set(sampled[start : start + 92])) == 92


def test_orders_of_another_account_are_no_agreement(pair: Pair) -> None:
    """The marketplace says that V2 is right about each of them."""
    pair.v1.execute("UPDATE orders SET marketplace_order_id = 'of-another-' || id")
    made = pair.compare(pair.today - timedelta(days=1))
    assert (made.orders_in_both, made.agreement) == (0, 0.0)
    assert made.orders_v1 > 10


def test_a_lock_that_v1_has_forgotten_is_no_difference_of_v2(pair: Pair) -> None:
    _, item_id = Planter(pair).pick(_SHIPPED)
    day = pair.today - timedelta(days=1)
    ((order_id,),) = pair.connection.execute(
        "SELECT order_id FROM order_items WHERE item_id = %s", [item_id]
    ).fetchall()
    pair.connection.execute("DELETE FROM stock_locks WHERE item_id = %s", [item_id])
    pair.v1.execute("UPDATE orders SET updated_at = %s WHERE marketplace_order_id = %s", [day, order_id])
    pair.connection.execute("UPDATE orders SET modified_at = %s WHERE order_id = %s", [day, order_id])
    made = pair.compare(day)
    assert (only(made).difference.kind, made.locks_differing) == ("lock forgotten in V1", 0)
    assert (made.v2_right, made.agreement) == (0, 100.0), "the marketplace says nothing of locks"


def test_what_the_marketplace_was_never_asked_about_comes_first(pair: Pair) -> None:
    planter = Planter(pair)
    for _ in range(3):
        planter._number = DAYS - 2
        order_id, _ = planter.pick(_SHIPPED)
        planter.v1(_V1_ORDER.format("status = 2"), order=order_id)
    day, now = pair.today - timedelta(days=1), datetime.now(UTC)
    two = pair.settings.readiness.model_copy(update={"verified_orders": 2})
    assert pair.compare(day, now, readiness=two).v2_right == 2
    calls = pair.marketplace.calls()
    later = pair.compare(day, now + timedelta(days=1), readiness=two)
    assert (later.v2_right, later.undecided) == (3, 0), "with what is known of the others"
    assert pair.marketplace.calls() == calls + 2
    none = pair.settings.readiness.model_copy(update={"verified_orders": 0})
    kept = pair.compare(day, now + timedelta(days=2), readiness=none)
    assert (kept.v2_right, kept.undecided) == (3, 0)
    old = pair.compare(day, now + timedelta(days=4, hours=1), readiness=none)
    assert (old.v2_right, old.undecided) == (0, 3), "the marketplace may say something else by now"


def test_a_v2_that_stands_still_is_not_right_for_ever(pair: Pair) -> None:
    """The marketplace agrees with V2 one day, and goes on the next day, as V1 has said all along."""
    planter = Planter(pair)
    planter._number = DAYS - 2
    order_id, _ = planter.pick(_ACCEPTED)
    planter.v1(_V1_ORDER.format("status = 3"), order=order_id)
    day = pair.today - timedelta(days=1)
    assert [str(each.right) for each in pair.compare(day).counted] == ["V2"]
    order = next(each for each in pair.marketplace.listed() if str(each["order_id"]) == order_id)
    pair.marketplace.put({**order, "state": 9, "orderlines": [{**line, "state": 3} for line in order["orderlines"]]})
    assert [str(each.right) for each in pair.compare(day).counted] == ["V1"]


def test_a_character_that_postgresql_does_not_store_stops_no_day() -> None:
    assert plain_text("a\x00b") == "a\ufffdb", "MariaDB stores it"


def test_v2_has_run_at_the_crons_of_the_brief(pair: Pair) -> None:
    """`new` ends at 22:00, and the comparison is at 5:30."""
    day = pair.today - timedelta(days=2)
    morning = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=5, minutes=30)
    reached = {"new": -7.6, "modified": -3.6, "care": -1.6, "incomplete": -1.6}

    def set_watermarks(**hours: float) -> None:
        for sync_type, ago in {**reached, **hours}.items():
            pair.connection.execute(
                "UPDATE lanes SET watermark = %s WHERE sync_type = %s", [morning + timedelta(hours=ago), sync_type]
            )

    set_watermarks()
    assert pair.compare(day, morning).v2_ran
    for lane, hours in (("new", -12), ("modified", -6), ("care", -6), ("incomplete", -12)):
        set_watermarks(**{lane: hours})
        assert not pair.compare(day, morning).v2_ran, lane


def test_stock_levels_are_compared_where_v1_has_some(pair: Pair) -> None:
    day = pair.today - timedelta(days=1)
    assert pair.compare(day).levels_differing is None
    pair.v1.execute("CREATE TABLE shelf (sku text, on_hand int)")
    for row in pair.connection.execute("SELECT sku, on_hand FROM stock_levels").fetchall():
        pair.v1.execute("INSERT INTO shelf VALUES (%s, %s)", row)
    tables = pair.settings.tables.model_copy(update={"levels": LevelsTable(table="shelf")})
    assert pair.compare(day, tables=tables).levels_differing == 0
    pair.v1.execute("UPDATE shelf SET on_hand = on_hand - 1 WHERE sku = (SELECT min(sku) FROM shelf)")
    assert pair.compare(day, tables=tables).levels_differing == 1
    pair.v1.execute("DELETE FROM shelf WHERE sku = (SELECT max(sku) FROM shelf)")
    assert pair.compare(day, tables=tables).levels_differing == 2, "one that only V2 has"
    pair.v1.execute("DELETE FROM shelf")
    assert pair.compare(day, tables=tables).levels_differing is None, "nothing was compared"


def test_a_marketplace_that_is_down_leaves_the_verdict_open(pair: Pair) -> None:
    _, day = a_difference(pair)
    pair.marketplace.fault("status", status=503, times=1000)
    made = pair.compare(day)
    assert (only(made).right, made.undecided) == (None, 1)
    assert made.not_verified
    assert made.correct < 100


def test_no_more_orders_are_asked_for_than_the_settings_allow(pair: Pair) -> None:
    for _ in range(3):
        pair.v1.execute(
            "UPDATE orders SET status = 2 WHERE id = (SELECT min(id) FROM orders WHERE status = 3 AND ordered_at::date = %s)",
            [pair.today - timedelta(days=1)],
        )
    readiness = pair.settings.readiness.model_copy(update={"verified_orders": 2})
    calls = pair.marketplace.calls()
    made = pair.compare(pair.today - timedelta(days=1), readiness=readiness)
    assert (made.v2_right, made.undecided) == (2, 1)
    assert pair.marketplace.calls() - calls == 2
    assert made.not_verified == "1 more orders differ than readiness.verified_orders (2) allows"
