"""Blanking buyers' data after the retention period of an account; the order itself stays. Does not import Dagster.

The stored contents of documents, and the error answers that are kept as evidence, are erased: the buyer's data may be
anywhere in them. The IMEIs and serial numbers of the
items are blanked as well: they identify a device that the buyer has, and whoever knows it knows the buyer.

The marketplace's record is kept without the parts about the buyer, and its fingerprint stays: a record that is listed
again unchanged is not filled in again. A record that changes later is stored as a whole and blanked again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from psycopg.sql import SQL, Identifier

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.database.tables.columns import ADDRESS_PARTS, DEVICE_COLUMNS
from orders_sync.documents.store import erase_documents
from orders_sync.lanes.error_answers import erase_error_answers
from orders_sync.marketplaces.kit.json_repair import MAX_DEPTH, cut
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.shown_ids import shown_id

MAX_RECORDS_PER_TRANSACTION = 500
CUT = f"its record was nested too deeply: what lay below {MAX_DEPTH} levels was removed with the buyer's data"
UNREADABLE = "its record can't be read, so it is not blanked"
BUYER_COLUMNS = ("buyer_email", *(f"{kind}_{part}" for kind in ("shipping", "billing") for part in ADDRESS_PARTS))


@dataclass
class Blanked:
    """How many records were blanked."""

    orders: int = 0
    care_records: int = 0
    rejected_records: int = 0
    documents: int = 0
    """Documents whose stored content was erased."""
    error_answers: int = 0
    """Error answers of the marketplace that were deleted."""
    problems: list[str] = field(default_factory=list[str])
    """Records that could only be blanked in part, or not at all, one line each."""


def blank_buyers_data(connection: Connection, account: SellerAccount, now: datetime | None = None) -> Blanked:
    """Blanks records that are older than the account's `retention_days` at `now`; none where that is not set.

    `now`: by our clock; the database's present by default.
    """
    blanked = Blanked()
    if account.settings.retention_days is None:
        return blanked
    keys = find_marketplace(account.settings.marketplace).buyer_keys
    parameters = {
        "account": account.name,
        "now": now,
        "days": account.settings.retention_days,
        "batch": MAX_RECORDS_PER_TRANSACTION,
    }

    for kind, select, updates in (
        ("order", _OLD_ORDERS, (_BLANK_ORDER, _BLANK_ITEMS)),
        ("care record", _OLD_CARE, (_BLANK_CARE,)),
    ):
        outcome = _in_batches(connection, select, updates, parameters, keys)
        if kind == "order":
            blanked.orders = outcome.count
        else:
            blanked.care_records = outcome.count
        blanked.problems += [
            f"{account.name}, {kind} {shown_id(record_id)}: {what}" for record_id, what in outcome.problems
        ]
    blanked.rejected_records = _blank_rejected(connection, parameters, keys)
    blanked.documents = erase_documents(connection, account.name, account.settings.retention_days, now)
    blanked.error_answers = erase_error_answers(connection, account.name, account.settings.retention_days, now)
    return blanked


@dataclass
class _Outcome:
    count: int = 0
    """How many records were blanked."""
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Records that are not as they should be: the id, and what was done."""


def _in_batches(
    connection: Connection, select: str, updates: Sequence[Any], parameters: dict[str, Any], keys: frozenset[str]
) -> _Outcome:
    outcome = _Outcome()
    after = ""
    while True:
        with connection.transaction():
            values = {**parameters, "after": after}
            rows = connection.execute(select, values).fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]
            blanked: list[dict[str, str]] = []
            for record_id, raw in rows:
                kept, problem = _without_buyer(raw, keys)
                if kept is not None:
                    blanked.append({"raw": kept, "account": parameters["account"], "record_id": record_id})
                if problem is not None:
                    outcome.problems.append((record_id, problem))
            with connection.cursor() as cursor:
                for update in updates:
                    cursor.executemany(update, blanked)
        outcome.count += len(blanked)
        if len(rows) < MAX_RECORDS_PER_TRANSACTION:
            return outcome
        after = rows[-1][0]


def _without_buyer(raw: str, keys: frozenset[str]) -> tuple[str | None, str | None]:
    """A record's JSON without the parts about the buyer (None: it can't be read), and what was odd about it."""
    try:
        return json.dumps(_without(json.loads(raw), keys), ensure_ascii=False), None
    except (RecursionError, ValueError):
        pass
    try:
        return json.dumps(_without(json.loads(cut(raw)), keys), ensure_ascii=False), CUT
    except (RecursionError, ValueError):
        return None, UNREADABLE


def _blank_rejected(connection: Connection, parameters: dict[str, Any], keys: frozenset[str]) -> int:
    count = 0
    with connection.transaction():
        for kind, record_id, raw in connection.execute(_OLD_REJECTED, parameters).fetchall():
            try:
                kept = json.dumps(_without(json.loads(bytes(raw)), keys), ensure_ascii=False).encode()
            except (ValueError, RecursionError):
                kept = b""  # no JSON, or nested too deeply to be read: it may hold a buyer's data anywhere
            if kept != bytes(raw):
                connection.execute(_BLANK_REJECTED, [kept, parameters["account"], kind, record_id])
                count += 1
    return count


def _without(value: Any, keys: frozenset[str]) -> Any:
    """A JSON value with null as the value of each of `keys`, at any depth."""
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value)
        return {key: None if key in keys else _without(part, keys) for key, part in pairs.items()}
    if isinstance(value, list):
        return [_without(part, keys) for part in cast(list[Any], value)]
    return value


_OLD_ORDERS = """
SELECT order_id, raw::text FROM orders
WHERE account = %(account)s AND order_id > %(after)s AND buyer_data_blanked_at IS NULL
  -- A creation time in the future is none, and must not keep the buyer's data for ever.
  AND least(created_at, first_stored_at) < coalesce(%(now)s, now()) - make_interval(days => %(days)s)
ORDER BY order_id LIMIT %(batch)s FOR UPDATE
"""
_BLANK_ORDER = SQL(
    "UPDATE orders SET {blank}, raw = %(raw)s::json, buyer_data_blanked_at = now() "
    "WHERE account = %(account)s AND order_id = %(record_id)s"
).format(blank=SQL(", ").join(SQL("{} = NULL").format(Identifier(column)) for column in BUYER_COLUMNS))
_BLANK_ITEMS = SQL("UPDATE order_items SET {blank} WHERE account = %(account)s AND order_id = %(record_id)s").format(
    blank=SQL(", ").join(SQL("{} = NULL").format(Identifier(column)) for column in DEVICE_COLUMNS)
)
_OLD_CARE = """
SELECT care_id, raw::text FROM care_records
WHERE account = %(account)s AND care_id > %(after)s AND buyer_data_blanked_at IS NULL
  AND least(opened_at, first_stored_at) < coalesce(%(now)s, now()) - make_interval(days => %(days)s)
ORDER BY care_id LIMIT %(batch)s FOR UPDATE
"""
_BLANK_CARE = SQL(
    "UPDATE care_records SET raw = %(raw)s::jsonb, buyer_data_blanked_at = now() "
    "WHERE account = %(account)s AND care_id = %(record_id)s"
)
_OLD_REJECTED = """
SELECT kind, record_id, raw FROM rejected_records
WHERE account = %(account)s AND first_seen_at < coalesce(%(now)s, now()) - make_interval(days => %(days)s)
ORDER BY kind, record_id FOR UPDATE
"""
_BLANK_REJECTED = "UPDATE rejected_records SET raw = %s WHERE account = %s AND kind = %s AND record_id = %s"
