"""V1's orders, items and locks, read from its own database, which is never written."""

import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Engine, MetaData, Table, and_, create_engine, event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.database.embedded import embedded_url
from orders_sync.model.known_credentials import note_password_of

if TYPE_CHECKING:
    import pandas as pd  # the methods import it: each run loads this module, and most read no V1

_READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
ORDERS = ["order_id", "status", "currency", "total", "seen_at", "updated_at", "delivery_note_url", "label_url"]
ITEMS = ["order_id", "item_id", "sku", "quantity", "price", "status", "care_id"]
LOCKS = ["order_id", "item_id", "quantity", "state", "consumed_at"]


STAND_IN_DATABASE = "v1"
"""The embedded server's database that V1's stand-in uses."""


def v1_url(settings: CutoverSettings) -> str:
    """The SQLAlchemy URL of V1's database, from the environment; that of the stand-in where the variable is not set."""
    configured = os.environ.get(settings.database)
    note_password_of(configured or "")
    return configured or embedded_url(STAND_IN_DATABASE).replace("postgresql://", "postgresql+psycopg://", 1)


class V1Database:
    """V1's database, read through the mapping of v1.yaml; a context manager that closes it at the end of the block.

    Raises CutoverError where the database does not answer, or where its tables are not those of the mapping.
    """

    def __init__(self, settings: CutoverSettings) -> None:
        self.settings = settings
        url = make_url(v1_url(settings))
        backend = url.get_backend_name()
        if backend not in _READ_ONLY:
            raise CutoverError(
                f"{settings.database} names a {backend} database; allowed are mysql+pymysql://… and postgresql://…"
            )
        if backend == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        self.shown = url.render_as_string(hide_password=True)
        self.engine = create_engine(url, pool_pre_ping=True)
        event.listen(self.engine, "connect", lambda connection, _: _make_read_only(connection, _READ_ONLY[backend]))
        self.zone = ZoneInfo(settings.timezone)
        try:
            self.orders, self.items, self.locks = _mapped(self.engine, settings)
        except SQLAlchemyError as error:
            self.close()
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise CutoverError(f"V1's database {self.shown} can't be read: {reason}") from None
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

    def orders_of(self, account: str, start: datetime, end: datetime) -> "pd.DataFrame":
        """V1's orders of an account that were created from `start` to before `end`; the columns are ORDERS.

        Times are aware, in UTC; amounts are Decimal; a column that V1 does not have is None.
        """
        o, names = self.orders, self.settings.tables.orders
        columns = {name: _column(o, getattr(names, name)) for name in ORDERS}
        frame = self._read(columns, o, self._is_of(account, start, end))
        for name in ("seen_at", "updated_at"):
            frame[name] = frame[name].map(self._aware)
        return frame.astype({"order_id": str})

    def items_of(self, account: str, start: datetime, end: datetime) -> "pd.DataFrame":
        """The items of these orders; the columns are ITEMS."""
        i, names = self.items, self.settings.tables.items
        columns = {
            "order_id": self.orders.c[self.settings.tables.orders.order_id],
            **{name: _column(i, getattr(names, name)) for name in ITEMS if name != "order_id"},
        }
        joined = i.join(self.orders, i.c[names.order] == self.orders.c[self.settings.tables.orders.id])
        return self._read(columns, joined, self._is_of(account, start, end)).astype({"order_id": str, "item_id": str})

    def locks_of(self, account: str, start: datetime, end: datetime) -> "pd.DataFrame":
        """The locks of these orders' items, each `locked`, `consumed` or `released`; the columns are LOCKS.

        Times are aware, in UTC.
        """
        import pandas as pd

        names = self.settings.tables.locks
        if names is None or self.locks is None:
            return pd.DataFrame(columns=LOCKS)
        items, orders = self.settings.tables.items, self.settings.tables.orders
        joined = self.locks.join(self.items, self.locks.c[names.item] == self.items.c[items.id]).join(
            self.orders, self.items.c[items.order] == self.orders.c[orders.id]
        )
        columns = {
            "order_id": self.orders.c[orders.order_id],
            "item_id": self.items.c[items.item_id],
            "quantity": self.locks.c[names.quantity],
            "released_at": _column(self.locks, names.released_at),
            "consumed_at": _column(self.locks, names.consumed_at),
        }
        frame = self._read(columns, joined, self._is_of(account, start, end))
        frame["state"] = [
            "released" if not pd.isna(released) else "consumed" if not pd.isna(consumed) else "locked"
            for released, consumed in zip(frame["released_at"], frame["consumed_at"], strict=True)
        ]
        frame["consumed_at"] = frame["consumed_at"].map(self._aware)
        return frame.astype({"order_id": str, "item_id": str})[LOCKS]

    def all_locks(self) -> list[V1Lock]:
        """What V1 holds or has consumed for the items of all accounts: what V2 takes over.

        Of an item, one for each time at which V1 has consumed pieces, and one if V1 holds some.
        """
        found: list[V1Lock] = []
        for account in self.settings.marketplaces.values():
            frame = self.locks_of(account, datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
            for item_id, rows in frame[frame["state"] != "released"].groupby("item_id"):
                # V1 may have locked an item twice: no more pieces count as consumed than the item has.
                consumed = rows[rows["state"] == "consumed"]
                pieces = Counter[datetime]()
                for quantity, consumed_at in zip(consumed["quantity"], consumed["consumed_at"], strict=True):
                    pieces[consumed_at] += int(quantity)
                found += [
                    V1Lock(account, str(item_id), count, consumed_at) for consumed_at, count in sorted(pieces.items())
                ]
                if (rows["state"] == "locked").any():
                    found.append(V1Lock(account, str(item_id)))
        return found

    def written_since(self, moment: datetime) -> int:
        """How many of V1's orders were written after a moment; 0 where V1 is off."""
        names = self.settings.tables.orders
        updated = self.orders.c[names.updated_at]
        frame = self._read({"order_id": self.orders.c[names.order_id]}, self.orders, updated > self._naive(moment))
        return len(frame)

    def _read(self, columns: Mapping[str, Any], source: Any, where: Any) -> "pd.DataFrame":
        import pandas as pd

        labelled = [column.label(name) for name, column in columns.items() if column is not None]
        with self.engine.connect() as connection:
            rows = connection.execute(select(*labelled).select_from(source).where(where)).mappings().all()
        return pd.DataFrame([dict(row) for row in rows], columns=list(columns), dtype=object)

    def _is_of(self, account: str, start: datetime, end: datetime) -> Any:
        names = self.settings.tables.orders
        marketplaces = [theirs for theirs, ours in self.settings.marketplaces.items() if ours == account]
        ordered_at = self.orders.c[names.ordered_at]
        return and_(
            self.orders.c[names.marketplace].in_(marketplaces),
            ordered_at >= self._naive(start),
            ordered_at < self._naive(end),
        )

    def _naive(self, moment: datetime) -> datetime:
        """A time as V1 stores it: without a zone, in V1's own."""
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _aware(self, moment: Any) -> datetime | None:
        import pandas as pd

        if moment is None or pd.isna(moment):
            return None
        stored: datetime = pd.Timestamp(moment).to_pydatetime()
        return (stored if stored.tzinfo else stored.replace(tzinfo=self.zone)).astimezone(UTC)


def _make_read_only(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
    connection.commit()


def _column(table: Table, name: str | None) -> Any:
    return table.c[name] if name is not None else None


def _mapped(engine: Engine, settings: CutoverSettings) -> tuple[Table, Table, Table | None]:
    """The tables of the mapping. Raises CutoverError, which says what was found instead."""
    inspector = inspect(engine)
    present = sorted(inspector.get_table_names())
    problems: list[str] = []
    tables: dict[str, Table] = {}
    for key, names in (
        ("orders", settings.tables.orders),
        ("items", settings.tables.items),
        ("locks", settings.tables.locks),
    ):
        if names is None:
            continue
        if names.table not in present:
            instead = ", ".join(present) or "none"
            problems.append(f"tables.{key}.table: V1 has no table {names.table!r}; it has {instead}")
            continue
        found = [column["name"] for column in inspector.get_columns(names.table)]
        for setting, column in names:
            if setting != "table" and column is not None and column not in found:
                what = f"V1's table {names.table} has no column {column!r}; it has {', '.join(found)}"
                problems.append(f"tables.{key}.{setting}: {what}")
        tables[key] = Table(names.table, MetaData(), *(Column(name) for name in found))
    if problems:
        raise CutoverError("\n".join(f"{settings.file}: {problem}" for problem in problems))
    return tables["orders"], tables["items"], tables.get("locks")
