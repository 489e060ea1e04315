"""A stand-in for V1, so that the whole cutover can be tried on a laptop. It works as V1 does, V1's faults included.

    python -m orders_sync.sandbox.v1 refresh:new

It handles one order at a time, with API calls for each; its time windows do not overlap; it reads lists page by page
and does not notice what changes meanwhile; an order, its items and its locks are not written in one transaction; it has
no rate limiter; it accepts an order's lines before it stores the order. It speaks Back Market's contract, and its
tables are like Laravel's.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg

from orders_sync.config.account import SellerAccount
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.config.v1 import COMMANDS, CutoverSettings, load_cutover_settings
from orders_sync.cutover.v1_database import v1_url
from orders_sync.marketplaces.back_market import BackMarketSettings
from orders_sync.marketplaces.kit.accounts import find_account
from orders_sync.model.errors import UserFacingError
from orders_sync.sandbox.formats import stamp

PAGE_SIZE = 10
"""Back Market's default; V1 never requests larger pages."""
FIRST_WINDOW = timedelta(days=92)
"""How far back the first `refresh:orders` looks: three months."""
DOCUMENTS_WINDOW = timedelta(days=2)
"""How old an order may be for V1 to look for its missing documents."""

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
STATUS = {0: 0, 10: 0, 1: 1, 3: 2, 9: 3, 8: 4}
"""V1's number for each order state of Back Market."""


class StandInError(UserFacingError):
    """The stand-in can't run a command; the text says why."""


@dataclass
class CommandRun:
    """What one run of a command did."""

    calls: int = 0
    """API calls."""
    too_many_requests: int = 0
    """Responses with status 429."""
    orders: int = 0
    """Orders stored, again or for the first time."""


class V1StandIn:
    """V1 over its own tables, for one account at Back Market.

    `marketplace`: V1's word for the marketplace in its tables. `now`: the clock that V1 goes by (UTC); a simulation
    hands in the marketplace's. Raises StandInError for an account at another marketplace.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], account: SellerAccount, marketplace: str = "back_market",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        settings = account.settings
        if not isinstance(settings, BackMarketSettings):
            raise StandInError(
                f"{account.file}: V1's stand-in speaks Back Market's contract only, not that of {settings.marketplace}."
            )
        self.connection = connection
        self.marketplace = marketplace
        self.now = now
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
        """Closes the HTTP client; the connection stays open."""
        self.client.close()

    def command(self, name: str) -> CommandRun:
        """Runs `refresh:new`, `refresh:latest` or `refresh:orders`, and writes a row of `command_runs`.

        Raises whatever went wrong, e.g. httpx.HTTPError, after it is written to the row's `problem`.
        """
        self.run = CommandRun()
        started, problem = self.now(), None
        commands = {"refresh:new": self._new, "refresh:latest": self._latest, "refresh:orders": self._orders}
        try:
            commands[name]()
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
        """Orders that wait for the merchant: accepts each line, then stores the order."""
        for listed in self._list("/ws/orders", {"state": "1"}):
            for line in listed["orderlines"]:
                if line["state"] == 1:
                    body = {"order_id": listed["order_id"], "new_state": 2, "sku": line["listing"]}
                    self._call("POST", f"/ws/orders/{listed['order_id']}", json=body)
            self._store(self._call("GET", f"/ws/orders/{listed['order_id']}"))

    def _orders(self) -> None:
        """Orders modified since the last run, without an overlap; then recent orders whose documents are missing."""
        began = self.now()
        for listed in self._list("/ws/orders", {"date_modification": stamp(self._cursor("refresh:orders"))}):
            self._store(self._call("GET", f"/ws/orders/{listed['order_id']}"))
        self._move_cursor("refresh:orders", began)
        undocumented = self.connection.execute(
            "SELECT marketplace_order_id FROM orders WHERE ordered_at >= %s AND status IN (1, 2) "
            "AND (delivery_note_url IS NULL OR label_url IS NULL)",
            [_naive(began - DOCUMENTS_WINDOW)],
        ).fetchall()
        for (order_id,) in undocumented:
            self._store(self._call("GET", f"/ws/orders/{order_id}"))

    def _latest(self) -> None:
        """Care folders with ids above the highest one stored: V1 never sees later changes of older folders."""
        row = self.connection.execute("SELECT coalesce(max(care_id::bigint), 0) FROM order_items").fetchone()
        for folder in self._list("/ws/sav", {"last_id": str(row[0] if row else 0)}):
            self.connection.execute(
                "UPDATE order_items SET care_id = %s WHERE orderline_id = %s", [folder["id"], str(folder["orderline"])]
            )

    # -- one order at a time

    def _store(self, order: dict[str, Any]) -> None:
        """Stores the order, then its items, then their locks: each in a transaction of its own."""
        self.run.orders += 1
        order_id, now = str(order["order_id"]), _naive(self.now())
        status = STATUS.get(order["state"], 0)
        values = [
            status, order.get("currency"), order.get("price"), order.get("delivery_note"), self._label(order), now,
        ]  # fmt: skip
        row = self.connection.execute(
            "SELECT id FROM orders WHERE marketplace = %s AND marketplace_order_id = %s", [self.marketplace, order_id]
        ).fetchone()
        if row is None:
            row = self.connection.execute(
                "INSERT INTO orders (status, currency, total, delivery_note_url, label_url, updated_at, marketplace, "
                "marketplace_order_id, ordered_at, created_at) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) RETURNING id",
                [*values, self.marketplace, order_id, _naive(datetime.fromisoformat(order["date_creation"])), now],
            ).fetchone()
        else:
            self.connection.execute(
                "UPDATE orders SET status = %s, currency = %s, total = %s, "
                "delivery_note_url = coalesce(%s, delivery_note_url), label_url = coalesce(%s, label_url), "
                "updated_at = %s WHERE id = %s",
                [*values, row[0]],
            )
        assert row is not None
        for line in order["orderlines"]:
            self.store_line(int(row[0]), line)

    def store_line(self, order: int, line: dict[str, Any]) -> None:
        """Stores an item of the order with this id in V1's table, then its lock.

        A simulation overrides it to stop V1 between an order and its items.
        """
        values = [line["listing"], line["quantity"], line["price"], line["state"]]
        row = self.connection.execute(
            "SELECT id FROM order_items WHERE order_id = %s AND orderline_id = %s", [order, str(line["id"])]
        ).fetchone()
        if row is None:
            row = self.connection.execute(
                "INSERT INTO order_items (sku, quantity, price, status, order_id, orderline_id) "
                "VALUES (%s,%s,%s,%s,%s,%s) RETURNING id",
                [*values, order, str(line["id"])],
            ).fetchone()
        else:
            self.connection.execute(
                "UPDATE order_items SET sku = %s, quantity = %s, price = %s, status = %s WHERE id = %s",
                [*values, row[0]],
            )
        assert row is not None
        self._lock(int(row[0]), line)

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

    def _label(self, order: dict[str, Any]) -> str | None:
        """The URL of the label of an order that is to be shipped."""
        if order["state"] != 3:
            return None
        found = self._call("GET", "/ws/shipping/v1/deliveries", params={"order_id": order["order_id"]})["results"]
        url = next((delivery["labelUrl"] for delivery in found if delivery.get("labelUrl")), None)
        return str(self.client.base_url).rstrip("/") + url if url and url.startswith("/") else url

    # -- API calls, without a rate limiter

    def _list(self, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            document = self._call("GET", path, params={**params, "page": str(page), "page-size": str(PAGE_SIZE)})
            yield from document["results"]
            if document["next"] in (None, "null") or not document["results"]:
                return
            page += 1

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        self.run.calls += 1
        response = self.client.request(method, path, **request)
        if response.status_code == 429:
            self.run.too_many_requests += 1
        if method == "POST" and response.status_code == 400:  # the line is no longer waiting
            return {}
        response.raise_for_status()
        return dict(response.json())

    def _cursor(self, command: str) -> datetime:
        row = self.connection.execute("SELECT seen_to FROM cursors WHERE command = %s", [command]).fetchone()
        return row[0].replace(tzinfo=UTC) if row else self.now() - FIRST_WINDOW

    def _move_cursor(self, command: str, to: datetime) -> None:
        self.connection.execute(
            "INSERT INTO cursors VALUES (%s, %s) ON CONFLICT (command) DO UPDATE SET seen_to = excluded.seen_to",
            [command, _naive(to)],
        )


def _naive(at: datetime) -> datetime:
    """A time as V1 stores it: UTC, without a zone."""
    return at.astimezone(UTC).replace(tzinfo=None)


def run_stand_in(settings: CutoverSettings, command: str, marketplace: str | None = None) -> CommandRun:
    """Runs one command of the stand-in, for one of the `marketplaces` of v1.yaml, by default the first.

    Raises StandInError if the marketplace or V1's database does not answer as it should, and CutoverError or
    AccountConfigError for wrong settings.
    """
    if not settings.marketplaces:
        raise StandInError("defs/cutover/v1.yaml: marketplaces: is empty; V1's stand-in needs one account.")
    marketplace = marketplace or next(iter(settings.marketplaces))
    if marketplace not in settings.marketplaces:
        raise StandInError(f"defs/cutover/v1.yaml: marketplaces: has no {marketplace}.")
    name = settings.marketplaces[marketplace]
    account = find_account(name)
    url = v1_url(settings).replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        with psycopg.connect(url, autocommit=True, application_name=f"V1 {command}") as connection:
            stand_in = V1StandIn(connection, account, marketplace)
            try:
                return stand_in.command(command)
            finally:
                stand_in.close()
    except httpx.HTTPStatusError as error:
        request, status = error.request, error.response.status_code
        raise StandInError(f"The marketplace answered {request.method} {request.url} with {status}.") from error
    except httpx.TransportError as error:
        raise StandInError(
            f"The marketplace of account {name} ({account.settings.base_url}) does not answer: {error}. "
            "`orders-sync up` starts the sandbox."
        ) from error
    except psycopg.OperationalError as error:
        raise StandInError(f"V1's database does not answer: {str(error).splitlines()[0]}") from error


def main() -> None:
    """Runs the command that the command line names, and prints in one line what it did.

    Exit codes: 0 done, 1 failed (stderr says why), 2 no such command.
    """
    parser = argparse.ArgumentParser(prog="python -m orders_sync.sandbox.v1", description="Run a command of V1.")
    parser.add_argument("command", choices=sorted(COMMANDS.values()))
    parser.add_argument("--marketplaces", help="Those of V1's marketplaces to run it for, with commas.")
    arguments = parser.parse_args()
    command: str = arguments.command
    marketplaces: list[str | None] = arguments.marketplaces.split(",") if arguments.marketplaces else [None]
    provide_sandbox_credentials()
    for marketplace in marketplaces:
        try:
            done = run_stand_in(load_cutover_settings(), command, marketplace)
        except UserFacingError as error:
            raise SystemExit(f"{command} failed: {error}") from None
        print(f"{command}: {done.orders} orders, {done.calls} API calls, {done.too_many_requests} of them throttled")


if __name__ == "__main__":
    main()
