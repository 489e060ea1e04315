"""A stand-in for V1, so that the whole migration can be tried on a laptop: it works as V1 does, faults included.

One order at a time, each with calls of its own; windows that do not overlap; lists read page by page with no look at
what changed meanwhile; no transaction around an order, its items and its locks; no rate limit of its own; an order's
lines accepted before it is stored. It speaks Back Market's contract and writes Laravel-like tables of its own.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg

from orders_sync.config.account import SellerAccount
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.config.v1 import CutoverSettings, load_cutover_settings
from orders_sync.cutover.v1_database import v1_url
from orders_sync.marketplaces.back_market import BackMarketSettings
from orders_sync.marketplaces.kit.accounts import find_account

PAGE = 10
"""Back Market's default; V1 never asked for more."""
MONTHS_BACK = timedelta(days=92)

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
  id bigserial PRIMARY KEY, marketplace text, marketplace_order_id text, status int, currency text, total numeric,
  ordered_at timestamp, delivery_note_url text, label_url text, created_at timestamp, updated_at timestamp);
CREATE INDEX IF NOT EXISTS orders_by_marketplace ON orders (marketplace, marketplace_order_id);
CREATE TABLE IF NOT EXISTS order_items (
  id bigserial PRIMARY KEY, order_id bigint, orderline_id text, sku text, quantity int, price numeric, status int,
  care_id text);
CREATE INDEX IF NOT EXISTS order_items_by_order ON order_items (order_id);
CREATE INDEX IF NOT EXISTS order_items_by_line ON order_items (orderline_id);
CREATE TABLE IF NOT EXISTS stock_locks (
  id bigserial PRIMARY KEY, order_item_id bigint, sku text, quantity int, created_at timestamp, released_at timestamp,
  consumed_at timestamp);
CREATE INDEX IF NOT EXISTS stock_locks_by_item ON stock_locks (order_item_id);
CREATE TABLE IF NOT EXISTS command_runs (
  id bigserial PRIMARY KEY, command text, started_at timestamp, calls int, too_many_requests int, problem text);
CREATE TABLE IF NOT EXISTS cursors (command text PRIMARY KEY, seen_to timestamp);
"""
#: Order states of Back Market onto V1's numbers.
STATUS = {0: 0, 10: 0, 1: 1, 3: 2, 9: 3, 8: 4}


@dataclass
class CommandRun:
    """What one run of a command did."""

    calls: int = 0
    too_many_requests: int = 0
    orders: int = 0


class V1StandIn:
    """V1 over its own tables. `now` is the clock it lives by (UTC); the marketplace's in a simulation."""

    def __init__(
        self, connection: psycopg.Connection[Any], account: SellerAccount, marketplace: str = "back_market",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self.connection = connection
        self.marketplace = marketplace
        self.now = now
        settings = account.settings
        assert isinstance(settings, BackMarketSettings)
        self.client = httpx.Client(
            base_url=settings.base_url or "",
            headers={
                "Authorization": f"Basic {account.credential()}",
                "Accept-Language": settings.accept_language,
                "User-Agent": settings.user_agent,
            },
            timeout=30,
            trust_env=False,
        )
        self.run = CommandRun()
        connection.execute(TABLES)

    def close(self) -> None:
        self.client.close()

    def command(self, name: str) -> CommandRun:
        """Runs `refresh:new`, `refresh:latest` or `refresh:orders`; what went wrong is written down and raised."""
        self.run = CommandRun()
        started, problem = self.now(), None
        work = {"refresh:new": self._new, "refresh:latest": self._latest, "refresh:orders": self._orders}[name]
        try:
            work()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"[:300]
            raise
        finally:
            self.connection.execute(
                "INSERT INTO command_runs (command, started_at, calls, too_many_requests, problem) "
                "VALUES (%s,%s,%s,%s,%s)",
                [name, _naive(started), self.run.calls, self.run.too_many_requests, problem],
            )
        return self.run

    # -- the three commands

    def _new(self) -> None:
        """What waits for the merchant: accepts each line, then stores the order."""
        for listed in self._list("/ws/orders", {"state": "1"}):
            for line in listed["orderlines"]:
                if line["state"] == 1:
                    body = {"order_id": listed["order_id"], "new_state": 2, "sku": line["listing"]}
                    self._call("POST", f"/ws/orders/{listed['order_id']}", json=body)
            self._store(self._call("GET", f"/ws/orders/{listed['order_id']}"))

    def _orders(self) -> None:
        """Everything modified since the last run, without an overlap; three months the first time. Then what lacks
        papers, of the last two days."""
        began = self.now()
        for listed in self._list("/ws/orders", {"date_modification": _stamp(self._cursor("refresh:orders"))}):
            self._store(self._call("GET", f"/ws/orders/{listed['order_id']}"))
        self._move_cursor("refresh:orders", began)
        lacking = self.connection.execute(
            "SELECT marketplace_order_id FROM orders WHERE ordered_at >= %s AND status IN (1, 2) "
            "AND (delivery_note_url IS NULL OR label_url IS NULL)",
            [_naive(began - timedelta(days=2))],
        ).fetchall()
        for (order_id,) in lacking:
            self._store(self._call("GET", f"/ws/orders/{order_id}"))

    def _latest(self) -> None:
        """Care folders after the highest known id: later changes of older ones are never seen."""
        row = self.connection.execute("SELECT coalesce(max(care_id::bigint), 0) FROM order_items").fetchone()
        for folder in self._list("/ws/sav", {"last_id": str(row[0] if row else 0)}):
            self.connection.execute(
                "UPDATE order_items SET care_id = %s WHERE orderline_id = %s", [folder["id"], str(folder["orderline"])]
            )

    # -- one order at a time

    def _store(self, told: dict[str, Any]) -> None:
        """The order, then its items, then its locks: each a transaction of its own."""
        self.run.orders += 1
        order_id, now = str(told["order_id"]), _naive(self.now())
        status = STATUS.get(told["state"], 0)
        values = [status, told.get("currency"), told.get("price"), told.get("delivery_note"), self._label(told), now]
        known = self.connection.execute(
            "SELECT id FROM orders WHERE marketplace = %s AND marketplace_order_id = %s", [self.marketplace, order_id]
        ).fetchone()
        if known is None:
            known = self.connection.execute(
                "INSERT INTO orders (status, currency, total, delivery_note_url, label_url, updated_at, marketplace, "
                "marketplace_order_id, ordered_at, created_at) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) RETURNING id",
                [*values, self.marketplace, order_id, _naive(datetime.fromisoformat(told["date_creation"])), now],
            ).fetchone()
        else:
            self.connection.execute(
                "UPDATE orders SET status = %s, currency = %s, total = %s, "
                "delivery_note_url = coalesce(%s, delivery_note_url), label_url = coalesce(%s, label_url), "
                "updated_at = %s WHERE id = %s",
                [*values, known[0]],
            )
        assert known is not None
        for line in told["orderlines"]:
            self._store_line(int(known[0]), line)

    def _store_line(self, order: int, line: dict[str, Any]) -> None:
        values = [line["listing"], line["quantity"], line["price"], line["state"]]
        known = self.connection.execute(
            "SELECT id FROM order_items WHERE order_id = %s AND orderline_id = %s", [order, str(line["id"])]
        ).fetchone()
        if known is None:
            known = self.connection.execute(
                "INSERT INTO order_items (sku, quantity, price, status, order_id, orderline_id) "
                "VALUES (%s,%s,%s,%s,%s,%s) RETURNING id",
                [*values, order, str(line["id"])],
            ).fetchone()
        else:
            self.connection.execute(
                "UPDATE order_items SET sku = %s, quantity = %s, price = %s, status = %s WHERE id = %s",
                [*values, known[0]],
            )
        assert known is not None
        self._lock(int(known[0]), line)

    def _lock(self, item: int, line: dict[str, Any]) -> None:
        now = _naive(self.now())
        held = self.connection.execute(
            "SELECT id, consumed_at FROM stock_locks WHERE order_item_id = %s", [item]
        ).fetchone()
        if line["state"] in (1, 2) and held is None:
            self.connection.execute(
                "INSERT INTO stock_locks (order_item_id, sku, quantity, created_at) VALUES (%s,%s,%s,%s)",
                [item, line["listing"], line["quantity"], now],
            )
        elif line["state"] == 3 and (held is None or held[1] is None):
            if held is None:
                self.connection.execute(
                    "INSERT INTO stock_locks (order_item_id, sku, quantity, created_at, consumed_at) "
                    "VALUES (%s,%s,%s,%s,%s)",
                    [item, line["listing"], line["quantity"], now, now],
                )
            else:
                self.connection.execute("UPDATE stock_locks SET consumed_at = %s WHERE id = %s", [now, held[0]])
        elif line["state"] in (4, 5, 7) and held is not None and held[1] is None:
            self.connection.execute(
                "UPDATE stock_locks SET released_at = coalesce(released_at, %s) WHERE id = %s", [now, held[0]]
            )

    def _label(self, told: dict[str, Any]) -> str | None:
        if told["state"] != 3:
            return None
        found = self._call("GET", "/ws/shipping/v1/deliveries", params={"order_id": told["order_id"]})["results"]
        url = next((delivery["labelUrl"] for delivery in found if delivery.get("labelUrl")), None)
        return str(self.client.base_url).rstrip("/") + url if url and url.startswith("/") else url

    # -- asking, with no look at limits

    def _list(self, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            answer = self._call("GET", path, params={**params, "page": str(page), "page-size": str(PAGE)})
            yield from answer["results"]
            if not answer["next"] or not answer["results"]:
                return
            page += 1

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        self.run.calls += 1
        answer = self.client.request(method, path, **request)
        if answer.status_code == 429:
            self.run.too_many_requests += 1
        if method == "POST" and answer.status_code == 400:
            return {}
        answer.raise_for_status()
        return dict(answer.json())

    def _cursor(self, command: str) -> datetime:
        row = self.connection.execute("SELECT seen_to FROM cursors WHERE command = %s", [command]).fetchone()
        return row[0].replace(tzinfo=UTC) if row else self.now() - MONTHS_BACK

    def _move_cursor(self, command: str, to: datetime) -> None:
        self.connection.execute(
            "INSERT INTO cursors VALUES (%s, %s) ON CONFLICT (command) DO UPDATE SET seen_to = excluded.seen_to",
            [command, _naive(to)],
        )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_stand_in(settings: CutoverSettings, command: str) -> CommandRun:
    """One command of the stand-in, for the account that its marketplace is here."""
    marketplace, name = next(iter(settings.marketplaces.items()))
    url = v1_url(settings).replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(url, autocommit=True, application_name=f"V1 {command}") as connection:
        stand_in = V1StandIn(connection, find_account(name), marketplace)
        try:
            return stand_in.command(command)
        finally:
            stand_in.close()


def main() -> None:
    """`python -m orders_sync.sandbox.v1 refresh:new`: runs one command, and prints what it did in one line."""
    command = sys.argv[1]
    provide_sandbox_credentials()
    done = run_stand_in(load_cutover_settings(), command)
    print(f"{command}: {done.orders} orders, {done.calls} API calls, {done.too_many_requests} of them throttled")


if __name__ == "__main__":
    main()
