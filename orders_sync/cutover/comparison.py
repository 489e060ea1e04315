"""Compares V1 and V2: which orders only one has, which differ and in what, who saw them first, which locks differ.

A difference counts only when both sides had time to see what the other has. A younger difference is in flight.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, LiteralString

import pandas as pd
from psycopg.sql import Composed
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.v1 import CutoverSettings
from orders_sync.cutover.v1_database import V1Database, v1_url
from orders_sync.database.engine import Connection
from orders_sync.database.tables.cutover import migration_comparisons
from orders_sync.lanes.authority import current_authority
from orders_sync.lanes.watermark import watermark
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status
from orders_sync.stock.connection import StockSchema
from orders_sync.sync.rules import wrong_url

DIFFERENCES = ["order_id", "item_id", "kind", "field", "v1", "v2", "in_flight"]
ONLY_V1, ONLY_V2, DIFFERS = "only in V1", "only in V2", "differs"
LOCK_ONLY_V1, LOCK_ONLY_V2, LOCK_DIFFERS = "lock only in V1", "lock only in V2", "lock differs"
LOCK_KINDS = (LOCK_ONLY_V1, LOCK_ONLY_V2, LOCK_DIFFERS)
DOCUMENTS = ("delivery_note_url", "label_url")


@dataclass(frozen=True)
class Comparison:
    """V1 and V2 compared for one account and one UTC day of orders; its fields are columns of migration_comparisons."""

    account: str
    day: date
    orders_v1: int
    orders_v2: int
    only_in_v1: int
    only_in_v2: int
    differing: int
    in_flight: int
    agreement: float
    """Per cent of the orders that either side has."""
    locks_v1: int
    locks_v2: int
    locks_differing: int
    first_in_v1: int
    first_in_v2: int
    v2_later_seconds: float | None
    """The median of the seconds by which V2 stored an order later than V1."""
    calls_v1: int | None
    calls_v2: int
    too_many_requests_v2: int
    verdict: str
    differences: pd.DataFrame
    """One row per difference; the columns are DIFFERENCES."""


def compare_day(
    connection: Connection,
    v1: V1Database,
    settings: CutoverSettings,
    account: str,
    day: date,
    now: datetime | None = None,
    by: By | None = None,
) -> Comparison:
    """Compares the orders of an account that were created on a UTC day, and stores the result.

    `now`: the time of the comparison by the marketplace's clock; by default the present. `by`: the person who compares;
    None: the schedule does.
    """
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    both = _Sides(connection, v1, account, start, end)
    flight = _InFlight(connection, settings, account, both, now or datetime.now(UTC))
    rows = [*_orders(both, flight, settings), *_items(both, flight, settings), *_locks(both, flight)]
    differences = pd.DataFrame(rows, columns=DIFFERENCES)
    made = _summed_up(connection, settings, both, differences, account, day)
    with connection.transaction():
        _store(connection, made)
        if by is not None:
            note_act(connection, by, Act.COMPARE_V1_AND_V2, On(account, other=f"day {day}"), made.verdict)
    return made


class _Sides:
    """Both sides' rows of a day."""

    def __init__(self, connection: Connection, v1: V1Database, account: str, start: datetime, end: datetime) -> None:
        self.v1_orders = _by_key(v1.orders_of(account, start, end), ["order_id"])
        self.v1_items = v1.items_of(account, start, end)
        self.v1_locks = v1.locks_of(account, start, end)
        parameters = {"account": account, "start": start, "end": end}
        schema = StockSchema.of(current_authority(connection))
        self.v2_orders = _by_key(_frame(connection, _V2_ORDERS, parameters), ["order_id"])
        self.v2_items = _frame(connection, _V2_ITEMS, parameters)
        self.v2_locks = _frame(connection, schema.sql(_V2_LOCKS), parameters)


class _InFlight:
    """Whether one side could not have seen yet what the other has."""

    def __init__(
        self, connection: Connection, settings: CutoverSettings, account: str, both: _Sides, now: datetime
    ) -> None:
        self.young = now - timedelta(minutes=settings.readiness.in_flight_minutes)
        self.new_seen = watermark(connection, Lane(account, SyncType.NEW))
        self.modified_seen = watermark(connection, Lane(account, SyncType.MODIFIED))
        self.documents_seen = watermark(connection, Lane(account, SyncType.INCOMPLETE))
        self.care_seen = watermark(connection, Lane(account, SyncType.CARE))
        self.both = both

    def only_in_v1(self, order_id: str) -> bool:
        """V1 stored the order just now, or one of V2's lanes has not fetched everything since.

        `new` lists what was created since its last pass and what waits for the merchant. An order that was paid late
        and accepted by V1 is in neither list, and comes with the nightly `modified`.
        """
        seen = self.both.v1_orders.loc[order_id, "seen_at"]
        watermarks = (self.new_seen, self.modified_seen)
        return _after(seen, self.young) or any(upto is None or _after(seen, upto) for upto in watermarks)

    def only_in_v2(self, order_id: str) -> bool:
        """The order was created or changed so recently that V1 may not have seen it yet."""
        v2 = self.both.v2_orders.loc[order_id]
        return _after(v2["created_at"], self.young) or _after(v2["modified_at"], self.young)

    def field(self, order_id: str, name: str) -> bool:
        """One side wrote after the other last looked, or the order no longer needs the document that differs."""
        v1, v2 = self.both.v1_orders.loc[order_id], self.both.v2_orders.loc[order_id]
        seen = self.documents_seen if name in DOCUMENTS else self.care_seen if name == "care_id" else self.modified_seen
        if name in DOCUMENTS and v2["status"] not in (*DELIVERY_NOTE_DUE, *LABEL_DUE):
            return True
        return (
            seen is None
            or _after(v1["updated_at"], min(seen, self.young))
            or _after(v2["modified_at"], self.young)
            or _after(v2["modified_at"], v1["updated_at"])
        )


def _orders(both: _Sides, flight: _InFlight, settings: CutoverSettings) -> Iterable[tuple[Any, ...]]:
    in_v1, in_v2 = set(both.v1_orders.index), set(both.v2_orders.index)
    for order_id in sorted(in_v1 - in_v2):
        yield order_id, "", ONLY_V1, "", None, None, flight.only_in_v1(order_id)
    for order_id in sorted(in_v2 - in_v1):
        yield order_id, "", ONLY_V2, "", None, None, flight.only_in_v2(order_id)
    names = settings.tables.orders
    for order_id in sorted(in_v1 & in_v2):
        v1, v2 = both.v1_orders.loc[order_id], both.v2_orders.loc[order_id]
        if not _same_status(v1["status"], v2["status"], settings.order_statuses):
            yield order_id, "", DIFFERS, "status", v1["status"], v2["status"], flight.field(order_id, "status")
        if names.total and not _same_amount(v1["total"], v2["total"]):
            yield order_id, "", DIFFERS, "total", v1["total"], v2["total"], flight.field(order_id, "total")
        for name in ("currency",) if v2["is_blanked"] else ("currency", *DOCUMENTS):
            if getattr(names, name) and _text(v1[name]).upper() != _text(v2[name]).upper():
                shown = _shown_url(v1[name]) if name in DOCUMENTS else v1[name]
                yield order_id, "", DIFFERS, name, shown, v2[name], flight.field(order_id, name)


def _items(both: _Sides, flight: _InFlight, settings: CutoverSettings) -> Iterable[tuple[Any, ...]]:
    shared = set(both.v1_orders.index) & set(both.v2_orders.index)
    names = settings.tables.items
    v1, v2 = (
        _by_key(frame[frame["order_id"].isin(shared)], ["order_id", "item_id"])
        for frame in (both.v1_items, both.v2_items)
    )
    for order_id, item_id in sorted(set(v1.index) ^ set(v2.index)):
        kind = ONLY_V1 if (order_id, item_id) in v1.index else ONLY_V2
        if kind == ONLY_V2 and v2.loc[(order_id, item_id), "status"] == Status.REMOVED:
            continue
        yield order_id, item_id, kind, "item", None, None, flight.field(order_id, "item")
    for order_id, item_id in sorted(set(v1.index) & set(v2.index)):
        one, two = v1.loc[(order_id, item_id)], v2.loc[(order_id, item_id)]
        for name in ("sku", "quantity", "care_id"):
            if getattr(names, name) and _text(one[name]) != _text(two[name]):
                yield order_id, item_id, DIFFERS, name, one[name], two[name], flight.field(order_id, name)
        if names.price and not _same_amount(one["price"], two["price"]):
            yield order_id, item_id, DIFFERS, "price", one["price"], two["price"], flight.field(order_id, "price")
        if names.status and not _same_status(one["status"], two["status"], settings.item_statuses):
            yield order_id, item_id, DIFFERS, "status", one["status"], two["status"], flight.field(order_id, "status")


def _locks(both: _Sides, flight: _InFlight) -> Iterable[tuple[Any, ...]]:
    shared = set(both.v1_orders.index) & set(both.v2_orders.index)
    held = both.v1_locks[both.v1_locks["order_id"].isin(shared) & (both.v1_locks["state"] != "released")]
    v1 = held.groupby(["order_id", "item_id"]).agg(quantity=("quantity", "sum"), state=("state", "max"))
    of_v2 = both.v2_locks[both.v2_locks["order_id"].isin(shared) & (both.v2_locks["state"] != "released")]
    v2 = _by_key(of_v2, ["order_id", "item_id"])
    for key in sorted(set(v1.index) | set(v2.index)):
        order_id, item_id = key
        one = f"{v1.loc[key, 'state']} {v1.loc[key, 'quantity']}" if key in v1.index else None
        two = f"{v2.loc[key, 'state']} {v2.loc[key, 'quantity']}" if key in v2.index else None
        if one != two:
            kind = LOCK_ONLY_V2 if one is None else LOCK_ONLY_V1 if two is None else LOCK_DIFFERS
            yield order_id, item_id, kind, "lock", one, two, flight.field(order_id, "lock")


@dataclass(frozen=True)
class _Counts:
    """What differs, without what is in flight."""

    only_in_v1: int
    only_in_v2: int
    differing: int
    """Orders that both have, with at least one difference in the order or its items."""
    locks_differing: int
    in_flight: int
    """Differences that are in flight."""

    def verdict(self, orders: int) -> str:
        """The comparison of so many orders in one sentence."""
        if orders == 0:
            return "No orders on this day."
        counts = {
            "missing in V2": self.only_in_v1,
            "missing in V1": self.only_in_v2,
            "differ": self.differing,
            "locks differ": self.locks_differing,
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        verdict = f"Of {orders} orders: {', '.join(parts)}" if parts else f"All {orders} orders agree"
        return verdict + (f"; {self.in_flight} differences are in flight." if self.in_flight else ".")


def _counted(differences: pd.DataFrame) -> _Counts:
    in_flight = differences["in_flight"].astype(bool)
    counted = differences[~in_flight]
    is_lock = counted["kind"].isin(LOCK_KINDS)
    of_orders = counted[~is_lock]
    whole = of_orders[of_orders["item_id"] == ""]
    only_in_v1 = set(whole.loc[whole["kind"] == ONLY_V1, "order_id"])
    only_in_v2 = set(whole.loc[whole["kind"] == ONLY_V2, "order_id"])
    return _Counts(
        only_in_v1=len(only_in_v1),
        only_in_v2=len(only_in_v2),
        differing=len(set(of_orders["order_id"]) - only_in_v1 - only_in_v2),
        locks_differing=int(is_lock.sum()),
        in_flight=int(in_flight.sum()),
    )


def _summed_up(
    connection: Connection,
    settings: CutoverSettings,
    both: _Sides,
    differences: pd.DataFrame,
    account: str,
    day: date,
) -> Comparison:
    counts = _counted(differences)
    orders = len(set(both.v1_orders.index) | set(both.v2_orders.index))
    agreeing = orders - counts.only_in_v1 - counts.only_in_v2 - counts.differing
    later = _seconds_later(both)
    calls_v2, too_many_requests_v2 = _calls_v2(connection, account, day)
    return Comparison(
        account=account,
        day=day,
        orders_v1=len(both.v1_orders),
        orders_v2=len(both.v2_orders),
        only_in_v1=counts.only_in_v1,
        only_in_v2=counts.only_in_v2,
        differing=counts.differing,
        in_flight=counts.in_flight,
        agreement=100.0 * agreeing / orders if orders else 100.0,
        locks_v1=_held(both.v1_locks),
        locks_v2=_held(both.v2_locks),
        locks_differing=counts.locks_differing,
        first_in_v1=int((later > 0).sum()),
        first_in_v2=int((later < 0).sum()),
        v2_later_seconds=float(later.median()) if len(later) else None,
        calls_v1=_calls_v1(settings, day),
        calls_v2=calls_v2,
        too_many_requests_v2=too_many_requests_v2,
        verdict=counts.verdict(orders),
        differences=differences,
    )


def _held(locks: pd.DataFrame) -> int:
    """Locks that are not released."""
    return int((locks["state"] != "released").sum()) if len(locks) else 0


def _seconds_later(both: _Sides) -> "pd.Series[float]":
    """By how many seconds V2 stored an order later than V1 (below 0: earlier), for the orders that both have."""
    shared = both.v1_orders.index.intersection(both.v2_orders.index)
    v1 = pd.to_datetime(both.v1_orders.loc[shared, "seen_at"], utc=True)
    v2 = pd.to_datetime(both.v2_orders.loc[shared, "first_stored_at"], utc=True)
    return (v2 - v1).dt.total_seconds().dropna()


def _calls_v2(connection: Connection, account: str, day: date) -> tuple[int, int]:
    row = connection.execute(
        "SELECT coalesce(sum((summary->>'api_calls')::int), 0), coalesce(sum((summary->>'too_many_requests')::int), 0) "
        "FROM lane_runs WHERE account = %s AND (started_at AT TIME ZONE 'UTC')::date = %s",
        [account, day],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _calls_v1(settings: CutoverSettings, day: date) -> int | None:
    """V1's API calls on a day. Only the stand-in counts them; a real V1 does not."""
    if not settings.is_stand_in:
        return None
    import psycopg

    with psycopg.connect(v1_url(settings).replace("+psycopg", "", 1)) as v1:
        row = v1.execute(
            "SELECT coalesce(sum(calls), 0) FROM command_runs WHERE started_at::date = %s", [day]
        ).fetchone()
    return int(row[0]) if row else 0


def _store(connection: Connection, made: Comparison) -> None:
    values = {name: value for name, value in vars(made).items() if name != "differences"}
    row = insert(migration_comparisons).values(values)
    updated = {name: row.excluded[name] for name in values if name not in ("account", "day")} | {
        "compared_at": func.now()
    }
    upsert = row.on_conflict_do_update(index_elements=["account", "day"], set_=updated)
    with connection.transaction():
        compiled = upsert.compile(dialect=psycopg_dialect.dialect())
        connection.execute(str(compiled), compiled.params)  # pyright: ignore[reportArgumentType, reportCallIssue]
        connection.execute(
            "DELETE FROM migration_differences WHERE account = %s AND day = %s", [made.account, made.day]
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO migration_differences (account, day, order_id, item_id, kind, field, v1, v2, in_flight) "
                "VALUES (%(account)s, %(day)s, %(order_id)s, %(item_id)s, %(kind)s, %(field)s, %(v1)s, %(v2)s, "
                "%(in_flight)s)",
                [
                    {
                        **{str(name): value for name, value in row.items()},
                        "account": made.account,
                        "day": made.day,
                        "v1": _or_none(row["v1"]),
                        "v2": _or_none(row["v2"]),
                        "in_flight": bool(row["in_flight"]),
                    }
                    for row in made.differences.to_dict("records")
                ],
            )


def _frame(connection: Connection, query: LiteralString | Composed, parameters: dict[str, Any]) -> pd.DataFrame:
    cursor = connection.execute(query, parameters)
    columns = [column.name for column in cursor.description or []]
    return pd.DataFrame(cursor.fetchall(), columns=columns, dtype=object)


def _by_key(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows by their key. V1 has no unique keys: of several rows with one key, the last one counts."""
    return frame.drop_duplicates(key, keep="last").set_index(key)


def _after(moment: Any, than: Any) -> bool:
    return moment is not None and than is not None and not pd.isna(moment) and not pd.isna(than) and moment > than


def _same_status(v1: Any, v2: str, allowed: dict[int, list[Status]]) -> bool:
    try:
        return Status(v2) in allowed.get(int(v1), [])
    except (TypeError, ValueError):
        return False


def _same_amount(v1: Any, v2: Any) -> bool:
    """The same amount, however it is written: "10.5", 10.50, Decimal("10.500")."""
    if _text(v1) == "" or _text(v2) == "":
        return _text(v1) == _text(v2)
    try:
        return round(Decimal(str(v1)), 4) == round(Decimal(str(v2)), 4)
    except InvalidOperation:
        return False


def _text(value: Any) -> str:
    return "" if _or_none(value) is None else str(value)


def _shown_url(value: Any) -> str | None:
    """V1's URL of a document, to be stored and shown: what is no http or https URL must not become a link."""
    url = _or_none(value)
    return "no http or https URL" if wrong_url(url) is not None else url


def _or_none(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


_V2_ORDERS = """
SELECT order_id, status, currency, items_total AS total, created_at, first_stored_at, modified_at,
  delivery_note_url, label_url, buyer_data_blanked_at IS NOT NULL AS is_blanked
FROM orders WHERE account = %(account)s AND created_at >= %(start)s AND created_at < %(end)s
"""
_V2_ITEMS = """
SELECT item.order_id, item.item_id, item.sku, item.quantity, item.price, item.status, item.care_id
FROM order_items item JOIN orders placed USING (account, order_id)
WHERE placed.account = %(account)s AND placed.created_at >= %(start)s AND placed.created_at < %(end)s
"""
# V1 waits for no pieces, and holds none: it releases what is cancelled after the label.
_V2_LOCKS = """
SELECT DISTINCT ON (lock.order_id, lock.item_id) lock.order_id, lock.item_id, lock.quantity,
  CASE lock.state WHEN 'short' THEN 'locked'
    WHEN 'held' THEN CASE WHEN lock.consumed > 0 THEN 'consumed' ELSE 'released' END ELSE lock.state END AS state
FROM {locks} lock JOIN orders placed USING (account, order_id)
WHERE placed.account = %(account)s AND placed.created_at >= %(start)s AND placed.created_at < %(end)s
ORDER BY lock.order_id, lock.item_id, lock.state IN ('released', 'held'), lock.sku
"""
