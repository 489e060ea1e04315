"""V1's orders, items and locks, read from its own database, which is never written."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, starmap
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, String, and_, cast, create_engine, event, exists, func, or_, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ColumnElement

from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.config.v1_tables import ItemsTable, OrdersTable
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.cutover.v1_source import Kind, Source, find_sources, reason_of, refers
from orders_sync.cutover.v1_values import (
    Odd,
    Oddities,
    Reader,
    V1Finding,
    decimal,
    id_text,
    instant,
    status_of,
    stored_time,
)
from orders_sync.database.embedded import embedded_url
from orders_sync.model.known_credentials import note_password_of

if TYPE_CHECKING:
    import pandas as pd  # the methods import it: each run loads this module, and most read no V1

_READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
_DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql", "postgresql": "postgresql+psycopg"}
BATCH = 5000
"""Ids per statement, and rows that are read at a time."""
_ORDER_TIMES = ("ordered_at", "seen_at", "updated_at")
_LOCK_TIMES = ("locked_at", "consumed_at", "released_at")
_DATABASE_SLACK = timedelta(hours=3)
"""Local times are there twice when summer time ends: so much more is read, and the rest is left out."""
ORDERS = ["order_id", "status", "currency", "total", "seen_at", "updated_at", "delivery_note_url", "label_url"]
ITEMS = ["order_id", "item_id", "sku", "quantity", "price", "status", "care_id"]
LOCKS = ["order_id", "item_id", "quantity", "state", "consumed_at"]
MORE_OF_ORDERS = ["ordered_at", "statuses", "marketplace"]
MORE_OF_ITEMS = ["updated_at", "statuses"]
EVER = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


STAND_IN_DATABASE = "v1"
"""The embedded server's database that V1's stand-in uses."""


class MarketplaceRows(NamedTuple):
    """V1's orders of one of its marketplaces."""

    marketplace: str | None
    """V1's name or number; None: the column is empty."""
    rows: int
    """All rows of the table."""
    left_out_by_where: int
    without_id: int
    """Of those that `where` leaves; 0 where the marketplace is not mapped."""
    recent: int
    """Of those that `where` leaves, the ones that were ordered in the requested time."""


class StoredOrder(NamedTuple):
    """An order as V1 stores it."""

    order_id: str
    marketplace: str
    ordered_at: datetime | None
    """Mostly without a zone."""
    seen_at: datetime | None
    currency: str | None
    """A code, or an id."""


def v1_url(settings: CutoverSettings) -> str:
    """The SQLAlchemy URL of V1's database, from the environment; that of the stand-in where the variable is not set."""
    configured = os.environ.get(settings.database)
    note_password_of(configured or "")
    return configured or embedded_url(STAND_IN_DATABASE).replace("postgresql://", "postgresql+psycopg://", 1)


class V1Database:
    """V1's database, read through the mapping of v1.yaml; a context manager that closes it at the end of the block.

    Raises CutoverError where the database does not answer, or where its tables are not those of the mapping; so does
    each method. What a row has in a column never raises: what is odd counts as none, and is one of `findings`.
    """

    def __init__(self, settings: CutoverSettings, statement_seconds: int | None = None) -> None:
        """`statement_seconds`: after so many seconds V1's server ends a statement; None: it does not."""
        self.settings = settings
        url = make_url(v1_url(settings))
        backend = url.get_backend_name()
        if backend not in _READ_ONLY:
            raise CutoverError(
                f"{settings.database} names a {backend} database; allowed are mysql+pymysql://… and postgresql://…"
            )
        if backend == "postgresql" or "+" not in url.drivername:
            url = url.set(drivername=_DRIVERS[backend])
        self.shown = url.render_as_string(hide_password=True)
        self.engine = create_engine(url, pool_pre_ping=True)
        statements = [
            (_READ_ONLY[backend],),
            *([_time_limits(backend, statement_seconds)] if statement_seconds else []),
        ]
        event.listen(self.engine, "connect", lambda connection, _: _prepare(connection, statements))
        self.zone = ZoneInfo(settings.timezone)
        self._spaces: dict[str, bool] = {}
        try:
            self.sources = find_sources(self.engine, settings)
        except SQLAlchemyError as error:
            self.close()
            raise CutoverError(f"V1's database {self.shown} can't be read: {reason_of(error)}") from None
        except CutoverError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self.engine.dispose()

    # -- by what changed in a time, and by ids

    def touched(self, account: str, start: datetime, end: datetime) -> set[str]:
        """The marketplace's ids of the orders that V1 created, first saw or updated from `start` to before `end`.

        Also those whose items or locks changed in it, where V1 has columns that say so.
        """
        return self._touched(account, start, end, _ORDER_TIMES, with_items_and_locks=True)

    def orders(self, account: str, order_ids: Iterable[str]) -> "pd.DataFrame":
        """V1's orders with these ids, each once; the columns are ORDERS and MORE_OF_ORDERS.

        Times are aware, in UTC; amounts are Decimal; texts are trimmed. What V1 does not have, or nobody can read, is
        None. `statuses`: those of ours that V1's number may mean, none where it is unmapped. `marketplace`: V1's name.
        """
        return self._frame(self._orders(account, order_ids, self._reader()), [*ORDERS, *MORE_OF_ORDERS])

    def items(self, account: str, order_ids: Iterable[str]) -> "pd.DataFrame":
        """The items of these orders, each once; the columns are ITEMS and MORE_OF_ITEMS.

        Quantities are int where they are whole, else Decimal.
        """
        return self._frame(self._items(account, order_ids, self._reader()), [*ITEMS, *MORE_OF_ITEMS])

    def locks(self, account: str, order_ids: Iterable[str]) -> "pd.DataFrame":
        """The locks of these orders' items, each `locked`, `consumed` or `released`; the columns are LOCKS.

        V1 may have several locks of an item.
        """
        return self._frame(self._locks(account, order_ids, self._reader()), LOCKS)

    def levels(self) -> "pd.DataFrame | None":
        """V1's pieces on hand, one row for each SKU: `sku`, `on_hand`. None where the mapping has no levels."""
        if self.sources.levels is None:
            return None
        return self._frame(self._levels(self._reader()), ["sku", "on_hand"])

    def findings(self, account: str, start: datetime, end: datetime) -> list[V1Finding]:
        """What is odd about the orders that `touched` has, and about those without a time that can be read.

        Items without an order, and levels, have no account: they are found for each.
        """
        odd = Oddities()
        reader = self._reader(odd)
        ids = self.touched(account, start, end) | self._at_odd_times(account, reader.now)
        for _ in self._orders(account, ids, reader):
            pass
        for _ in self._items(account, ids, reader):
            pass
        for _ in self._locks(account, ids, reader):
            pass
        for marketplace in self.settings.marketplaces_of(account):
            self._note_orders_without_id(marketplace, odd)
        self._note_orphans(odd)
        for _ in self._levels(reader):
            pass
        return odd.findings()

    def clock(self) -> datetime:
        """The server's present time, in UTC."""
        is_postgresql = self.engine.dialect.name == "postgresql"
        with self._connected() as connection:
            now = connection.execute(
                text("SELECT clock_timestamp()" if is_postgresql else "SELECT UTC_TIMESTAMP(6)")
            ).scalar_one()
        return now.astimezone(UTC) if now.tzinfo else now.replace(tzinfo=UTC)

    # -- what the check of the mapping asks

    def marketplace_rows(self, start: datetime, end: datetime) -> list[MarketplaceRows]:
        """V1's orders by its marketplaces, those that are not mapped included, the most rows first."""
        source, names = self.sources.orders, self.settings.tables.orders
        whole = self._counts(source.all_rows.c[names.marketplace])
        kept = self._counts(source.rows.c[names.marketplace])
        recent = self._counts(
            source.rows.c[names.marketplace],
            and_(
                source.since(names.ordered_at, start, self.zone), source.before(names.ordered_at, end, self.zone)
            ),
        )  # fmt: skip
        return [
            MarketplaceRows(
                name, rows, rows - kept[name],
                self._count(self._without_id(name)) if name in self.settings.marketplaces else 0, recent[name],
            )
            for name, rows in whole.most_common()
        ]  # fmt: skip

    def stored(self, account: str, order_ids: Iterable[str]) -> Iterator[StoredOrder]:
        """These orders as V1 stores them, so that the mapping itself can be checked."""
        for marketplace, row in self._order_rows(account, order_ids):
            order_id = id_text(row["order_id"])
            if order_id is not None:
                ordered_at, seen_at = stored_time(row["ordered_at"]), stored_time(row["seen_at"])
                yield StoredOrder(order_id, marketplace, ordered_at, seen_at, id_text(row["currency"]))

    def ids_of_marketplace(self, marketplace: str, limit: int) -> list[str]:
        """Some ids of the newest orders of one of V1's marketplaces, which need not be mapped."""
        source, names = self.sources.orders, self.settings.tables.orders.of_marketplace(marketplace)
        query = (
            select(source.readable(names.order_id))
            .where(source.among(names.marketplace, [marketplace]))
            .order_by(source.rows.c[names.id].desc())
            .limit(limit)
        )
        with self._connected() as connection:
            return [found for value in connection.execute(query).scalars() if (found := id_text(value)) is not None]

    # -- as the comparison by days reads V1

    def locks_to_take(self, accounts: Collection[str]) -> list[V1Lock]:
        """What V1 holds or has consumed for the items of accounts: what V2 takes over.

        Of an item, one for each time at which V1 has consumed pieces, and one if V1 holds some.
        """
        reader = self._reader()
        consumed: dict[tuple[str, str, datetime | None], int] = {}
        held: dict[tuple[str, str], None] = {}
        for account in accounts:
            ids = self.ordered(account, *EVER) | self._at_odd_times(account, reader.now)
            for row in self._locks(account, ids, reader):
                if row["state"] == "locked":
                    held[account, row["item_id"]] = None
                elif row["state"] == "consumed":
                    # V1 may have locked an item twice: no more pieces count as consumed than the item has.
                    key = (account, row["item_id"], row["consumed_at"])
                    consumed[key] = consumed.get(key, 0) + int(row["quantity"] or 0)
        of_items = sorted(consumed.items(), key=lambda each: (*each[0][:2], each[0][2] or EVER[0]))
        return [V1Lock(account, item, pieces, at) for (account, item, at), pieces in of_items] + list(
            starmap(V1Lock, held)
        )

    def written_since(self, account: str, moment: datetime) -> int:
        """How many orders of an account V1 has written since a moment, or their items or locks; 0 where V1 is off."""
        # A row of a far future is no news.
        until = datetime.now(UTC) + timedelta(minutes=10)
        return len(self.touched(account, moment, until))

    # -- rows

    def _reader(self, odd: Oddities | None = None) -> Reader:
        return Reader(self.zone, odd or Oddities(), datetime.now(UTC))

    def ordered(self, account: str, start: datetime, end: datetime) -> set[str]:
        """The marketplace's ids of V1's orders that were ordered from `start` to before `end`."""
        return self._touched(account, start, end, ("ordered_at",), with_items_and_locks=False)

    def _touched(
        self, account: str, start: datetime, end: datetime, times: Sequence[str], *, with_items_and_locks: bool
    ) -> set[str]:
        found: set[str] = set()
        items, locks = self.settings.tables.items, self.settings.tables.locks
        for marketplace in self.settings.marketplaces_of(account):
            names = self.settings.tables.orders.of_marketplace(marketplace)
            source = self.sources.orders
            for name in dict.fromkeys(getattr(names, time) for time in times):
                found |= self._ids_with_time(marketplace, source, source.rows, name, start, end)
            if not with_items_and_locks:
                continue
            of_items = self.sources.items
            with_items = of_items.rows.join(source.rows, refers(of_items, items.order, source, names.id))
            changed = items.of_marketplace(marketplace).updated_at
            found |= self._ids_with_time(marketplace, of_items, with_items, changed, start, end)
            if locks is not None and (of_locks := self.sources.locks) is not None:
                with_locks = with_items.join(of_locks.rows, refers(of_locks, locks.item, of_items, items.id))
                for time in _LOCK_TIMES:
                    found |= self._ids_with_time(marketplace, of_locks, with_locks, getattr(locks, time), start, end)
        return found

    def _ids_with_time(
        self, marketplace: str, source: Source, joined: Any, name: str | None, start: datetime, end: datetime
    ) -> set[str]:
        """The ids of the orders for which a column of one of the joined sources has a time in this time."""
        if name is None:
            return set()
        orders = self.sources.orders
        columns = self.settings.tables.orders.of_marketplace(marketplace)
        where = and_(
            orders.among(columns.marketplace, [marketplace]),
            source.since(name, start - _DATABASE_SLACK, self.zone),
            source.before(name, end + _DATABASE_SLACK, self.zone),
        )
        read = {"order_id": orders.readable(columns.order_id), "at": source.readable(name)}
        found: set[str] = set()
        for row in self._read(read, joined, where):
            stored, order_id = stored_time(row["at"]), id_text(row["order_id"])
            moment = instant(stored, self.zone) if stored is not None else None
            if order_id is not None and moment is not None and start <= moment < end:
                found.add(order_id)
        return found

    def _at_odd_times(self, account: str, now: datetime) -> set[str]:
        """The ids of the orders whose time of ordering is empty, before 2000 or in the future."""
        found: set[str] = set()
        source = self.sources.orders
        for marketplace in self.settings.marketplaces_of(account):
            names = self.settings.tables.orders.of_marketplace(marketplace)
            ordered_at = source.rows.c[names.ordered_at]
            where = and_(
                source.among(names.marketplace, [marketplace]),
                or_(
                    ordered_at.is_(None),
                    source.before(names.ordered_at, datetime(2000, 1, 2, tzinfo=UTC), self.zone),
                    source.since(names.ordered_at, now + timedelta(minutes=5), self.zone),
                ),
            )
            rows = self._read({"order_id": source.readable(names.order_id)}, source.rows, where)
            found |= {order_id for row in rows if (order_id := id_text(row["order_id"])) is not None}
        return found

    def _order_rows(self, account: str, order_ids: Iterable[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """V1's rows of these orders, each with V1's marketplace."""
        source = self.sources.orders
        for batch in _batches(order_ids):
            for marketplace in self.settings.marketplaces_of(account):
                names = self.settings.tables.orders.of_marketplace(marketplace)
                columns = {name: source.readable(getattr(names, name)) for name in ("id", *ORDERS, "ordered_at")}
                for row in self._read(columns, source.rows, self._is_one_of(marketplace, batch)):
                    yield marketplace, row

    def _orders(self, account: str, order_ids: Iterable[str], reader: Reader) -> list[dict[str, Any]]:
        best = _Best(reader.odd, Odd.DUPLICATE_ORDER)
        codes = self.settings.tables.orders.currencies
        for marketplace, row in self._order_rows(account, order_ids):
            order_id = id_text(row["order_id"])
            if order_id is None:
                continue
            where = f"order {order_id}"
            status = status_of(row["status"])
            updated_at = reader.time(row["updated_at"], where)
            made = {
                "order_id": order_id,
                "status": status,
                "currency": reader.currency(row["currency"], codes),
                "total": reader.amount(row["total"], where),
                "seen_at": reader.time(row["seen_at"], where),
                "updated_at": updated_at,
                "delivery_note_url": id_text(row["delivery_note_url"]),
                "label_url": id_text(row["label_url"]),
                "ordered_at": reader.time(row["ordered_at"], where, required=True),
                "statuses": reader.statuses(status, self.settings.order_statuses_of(marketplace), Odd.ORDER_STATUS),
                "marketplace": marketplace,
            }
            best.add(order_id, (_or_first(updated_at), _rank(row["id"])), made, where)
        return best.rows()

    def _items(self, account: str, order_ids: Iterable[str], reader: Reader) -> list[dict[str, Any]]:
        best = _Best(reader.odd, Odd.DUPLICATE_ITEM)
        quiet = self._reader()  # the times of the orders are noted with the orders
        for marketplace, names, row in self._item_rows(account, order_ids):
            order_id, item_id = id_text(row["order_id"]), id_text(row["item_id"])
            if order_id is None:
                continue
            if item_id is None:
                reader.odd.note(Odd.NO_ITEM_ID, f"order {order_id}, V1's id {id_text(row['id'])}")
                continue
            where = f"order {order_id}, item {item_id}"
            sku, status = id_text(row["sku"]), status_of(row["status"])
            if sku is None:
                reader.odd.note(Odd.NO_SKU, where)
            updated_at = reader.time(row["updated_at"], where)
            meanings = self.settings.item_statuses_of(marketplace)
            made = {
                "order_id": order_id,
                "item_id": item_id,
                "sku": sku,
                "quantity": reader.quantity(row["quantity"], where),
                "price": reader.amount(row["price"], where),
                "status": status,
                "care_id": id_text(row["care_id"]),
                "updated_at": updated_at,
                "statuses": reader.statuses(status, meanings, Odd.ITEM_STATUS) if names.status is not None else [],
            }
            # Of two rows of an order, the one that counts has the items that count.
            of_order = _or_first(quiet.time(row["order_updated_at"], where)), _rank(row["order_row"])
            best.add((order_id, item_id), (*of_order, _or_first(updated_at), _rank(row["id"])), made, where)
        return best.rows()

    def _item_rows(self, account: str, order_ids: Iterable[str]) -> Iterator[tuple[str, ItemsTable, Mapping[str, Any]]]:
        orders, items = self.sources.orders, self.sources.items
        for batch in _batches(order_ids):
            for marketplace in self.settings.marketplaces_of(account):
                of_orders, of_items = self._names(marketplace)
                columns = {
                    "order_id": orders.readable(of_orders.order_id),
                    "order_row": orders.readable(of_orders.id),
                    "order_updated_at": orders.readable(of_orders.updated_at),
                    "id": items.readable(of_items.id),
                    "updated_at": items.readable(of_items.updated_at),
                    **{name: items.readable(getattr(of_items, name)) for name in ITEMS if name != "order_id"},
                }
                joined = items.rows.join(orders.rows, refers(items, of_items.order, orders, of_orders.id))
                for row in self._read(columns, joined, self._is_one_of(marketplace, batch)):
                    yield marketplace, of_items, row

    def _locks(self, account: str, order_ids: Iterable[str], reader: Reader) -> Iterator[dict[str, Any]]:
        names, locks = self.settings.tables.locks, self.sources.locks
        if names is None or locks is None:
            return
        orders, items = self.sources.orders, self.sources.items
        for batch in _batches(order_ids):
            for marketplace in self.settings.marketplaces_of(account):
                of_orders, of_items = self._names(marketplace)
                joined = locks.rows.join(items.rows, refers(locks, names.item, items, of_items.id)).join(
                    orders.rows, refers(items, of_items.order, orders, of_orders.id)
                )
                columns = {
                    "order_id": orders.readable(of_orders.order_id),
                    "item_id": items.readable(of_items.item_id),
                    "quantity": locks.readable(names.quantity),
                    "status": locks.readable(names.status),
                    "released_at": locks.readable(names.released_at),
                    "consumed_at": locks.readable(names.consumed_at),
                }
                for row in self._read(columns, joined, self._is_one_of(marketplace, batch)):
                    order_id, item_id = id_text(row["order_id"]), id_text(row["item_id"])
                    if order_id is not None and item_id is not None:
                        yield self._lock(order_id, item_id, row, reader)

    def _lock(self, order_id: str, item_id: str, row: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
        names, where = self.settings.tables.locks, f"lock of order {order_id}, item {item_id}"
        state: str | None = None
        if names is not None and names.status is not None:
            word = id_text(row["status"]) or ""
            state = ({"locked": "locked", "consumed": "consumed", "released": "released"} | names.states).get(word)
            if state is None:
                reader.odd.note(Odd.LOCK_STATE, word[:50] or "empty")
        if state is None:
            released, consumed = (_is_set(row[name]) for name in ("released_at", "consumed_at"))
            state = "released" if released else "consumed" if consumed else "locked"
        return {
            "order_id": order_id,
            "item_id": item_id,
            "quantity": reader.quantity(row["quantity"], where),
            "state": state,
            "consumed_at": reader.time(row["consumed_at"], where),
        }

    def _levels(self, reader: Reader) -> list[dict[str, Any]]:
        source, names = self.sources.levels, self.settings.tables.levels
        if source is None or names is None:
            return []
        pieces: dict[str, int | Decimal] = {}
        columns = {"sku": source.readable(names.sku), "on_hand": source.readable(names.on_hand)}
        for row in self._read(columns, source.rows, None):
            sku = id_text(row["sku"])
            quantity = reader.quantity(row["on_hand"], f"level of {sku}")
            if sku is not None and quantity is not None:
                pieces[sku] = pieces.get(sku, 0) + quantity
        return [{"sku": sku, "on_hand": pieces[sku]} for sku in sorted(pieces)]

    # -- rows that belong to nothing

    def _note_orders_without_id(self, marketplace: str, odd: Oddities) -> None:
        source, names = self.sources.orders, self.settings.tables.orders
        where = self._without_id(marketplace)
        with self._connected() as connection:
            rows = connection.execute(select(source.rows.c[names.id]).where(where).limit(5)).scalars().all()
        count = self._count(where)
        for place, each in enumerate(rows):
            odd.note(Odd.NO_ORDER_ID, f"V1's id {each}", count - len(rows) + 1 if place == 0 else 1)

    def _without_id(self, marketplace: str) -> ColumnElement[bool]:
        source, names = self.sources.orders, self.settings.tables.orders.of_marketplace(marketplace)
        order_id = source.rows.c[names.order_id]
        return and_(
            source.among(names.marketplace, [marketplace]),
            or_(order_id.is_(None), func.trim(cast(order_id, String)) == ""),
        )

    def _note_orphans(self, odd: Oddities) -> None:
        """Items whose order is not there at all; locks whose item is not there, or is left out by `where`."""
        orders, items, locks = self.sources.orders, self.sources.items, self.sources.locks
        of_orders, of_items, of_locks = (
            self.settings.tables.orders, self.settings.tables.items, self.settings.tables.locks
        )  # fmt: skip
        every = orders.all_rows.alias("v1_all_orders")
        no_order = ~exists().where(refers(items, of_items.order, orders, of_orders.id, every)).correlate(items.rows)
        self._note_rows(odd, Odd.ITEM_WITHOUT_ORDER, items, of_items.id, no_order)
        if locks is not None and of_locks is not None:
            no_item = ~exists().where(refers(locks, of_locks.item, items, of_items.id)).correlate(locks.rows)
            self._note_rows(odd, Odd.LOCK_WITHOUT_ITEM, locks, of_locks.item, no_item)

    def _note_rows(self, odd: Oddities, kind: Odd, source: Source, name: str, where: ColumnElement[bool]) -> None:
        with self._connected() as connection:
            count = connection.execute(select(func.count()).select_from(source.rows).where(where)).scalar_one()
            some = connection.execute(select(source.rows.c[name]).where(where).limit(5)).scalars().all()
        for place, each in enumerate(some):
            what = "V1's id" if kind is Odd.ITEM_WITHOUT_ORDER else "of item"
            odd.note(kind, f"{what} {id_text(each) or 'none'}", count - len(some) + 1 if place == 0 else 1)

    # -- statements

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection; what fails on it is a CutoverError."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise CutoverError(f"V1's database {self.shown} can't be read: {reason_of(error)}") from None

    def _names(self, marketplace: str) -> tuple[OrdersTable, ItemsTable]:
        tables = self.settings.tables
        return tables.orders.of_marketplace(marketplace), tables.items.of_marketplace(marketplace)

    def _is_one_of(self, marketplace: str, order_ids: Collection[str]) -> ColumnElement[bool]:
        source, names = self.sources.orders, self.settings.tables.orders.of_marketplace(marketplace)
        has_id = source.among(names.order_id, order_ids)
        if self._has_spaces(marketplace):  # no index serves this
            has_id = func.trim(source.rows.c[names.order_id]).in_(order_ids)
        return and_(source.among(names.marketplace, [marketplace]), has_id)

    def _has_spaces(self, marketplace: str) -> bool:
        """Whether V1 has ids of a marketplace with spaces around them; looked up once."""
        if marketplace not in self._spaces:
            source, names = self.sources.orders, self.settings.tables.orders.of_marketplace(marketplace)
            column = source.rows.c[names.order_id]
            padded = and_(
                source.among(names.marketplace, [marketplace]), func.length(func.trim(column)) < func.length(column)
            )
            is_text = source.kinds[names.order_id] is Kind.TEXT
            self._spaces[marketplace] = is_text and self._count(padded) > 0
        return self._spaces[marketplace]

    def _count(self, where: ColumnElement[bool]) -> int:
        with self._connected() as connection:
            query = select(func.count()).select_from(self.sources.orders.rows).where(where)
            return int(connection.execute(query).scalar_one())

    def _counts(self, column: Any, where: ColumnElement[bool] | None = None) -> "Counter[str | None]":
        query = select(column, func.count()).group_by(column)
        with self._connected() as connection:
            rows = connection.execute(query if where is None else query.where(where)).all()
        found = Counter[str | None]()
        for value, count in rows:
            found[self._as_mapped(id_text(value))] += int(count)
        return found

    def _as_mapped(self, marketplace: str | None) -> str | None:
        """V1's marketplace as the mapping writes it: MySQL's collations do not distinguish capital letters."""
        if marketplace is not None and self.engine.dialect.name != "postgresql":
            for name in self.settings.marketplaces:
                if name.casefold() == marketplace.casefold():
                    return name
        return marketplace

    def _read(self, columns: Mapping[str, Any], source: Any, where: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of a statement, some at a time; a column that V1 does not have is None."""
        absent = dict.fromkeys(name for name, column in columns.items() if column is None)
        present = [name for name in columns if name not in absent]
        labelled = [column.label(name) for name, column in columns.items() if column is not None]
        query = select(*labelled).select_from(source)
        with self._connected() as connection:
            result = connection.execution_options(yield_per=BATCH).execute(
                query if where is None else query.where(where)
            )
            for row in result:
                yield absent | dict(zip(present, row, strict=True))

    @staticmethod
    def _frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(list(rows), columns=list(columns), dtype=object)


class _Best:
    """Of several rows with one key, the one with the highest rank."""

    def __init__(self, odd: Oddities, kind: Odd) -> None:
        self._odd, self._kind = odd, kind
        self._kept: dict[Any, tuple[Any, dict[str, Any]]] = {}

    def add(self, key: Any, rank: Any, row: dict[str, Any], where: str) -> None:
        """One more row; a second one of a key is noted."""
        if key in self._kept:
            self._odd.note(self._kind, where)
            if rank <= self._kept[key][0]:
                return
        self._kept[key] = (rank, row)

    def rows(self) -> list[dict[str, Any]]:
        """Those that count."""
        return [row for _, row in self._kept.values()]


def _batches(order_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    rest = iter(dict.fromkeys(order_ids))
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def _or_first(moment: datetime | None) -> datetime:
    return moment or EVER[0]


def _rank(key: Any) -> tuple[int, int, str]:
    """V1's own ids in their order: numbers by their value, after texts."""
    number = decimal(key)
    return (1, int(number), "") if number is not None else (0, 0, str(key))


def _is_set(time: Any) -> bool:
    """Whether a time is there; MySQL's 0000-00-00 is none."""
    return time is not None and stored_time(time) is not None


def _time_limits(backend: str, seconds: int) -> tuple[str, ...]:
    """Statements of which the server knows one: MariaDB counts in seconds, MySQL in milliseconds."""
    if backend == "postgresql":
        return (f"SET statement_timeout = {seconds * 1000}",)
    return (f"SET SESSION max_statement_time = {seconds}", f"SET SESSION max_execution_time = {seconds * 1000}")


def _prepare(connection: Any, statements: Sequence[Sequence[str]]) -> None:
    """Runs one of each group of statements on a new connection: the first that the server knows."""
    for group in statements:
        for place, statement in enumerate(group, start=1):
            cursor = connection.cursor()
            try:
                cursor.execute(statement)
                break
            except Exception:
                connection.rollback()
                if place == len(group):
                    raise
            finally:
                cursor.close()
        connection.commit()
