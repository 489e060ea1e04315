"""Blanking buyers' data after the retention period of an account; the order itself stays. Does not import Dagster.

The stored contents of documents, and the error answers that are kept as evidence, are erased: the buyer's data may be
anywhere in them. The IMEIs and serial numbers of the
items are blanked as well: they identify a device that the buyer has, and whoever knows it knows the buyer.

A copy of a blanked record that is listed later is stored without the buyer (`orders_sync/privacy/erased.py`): its
statuses, items and stock go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.documents.store import erase_documents
from orders_sync.lanes.error_answers import erase_error_answers
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.privacy.blanking import blank_care_records, blank_orders, blank_rejected

MAX_RECORDS_PER_TRANSACTION = 500


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


def blank_buyers_data(connection: Connection, account: SellerAccount, now: datetime | None = None) -> Blanked:
    """Blanks records that are older than the account's `retention_days` at `now`; where that is not set, erased ones.

    `now`: by our clock; the database's present by default. Of erased records (`buyer erase`) nothing is left: a copy
    that was stored in the same moment is blanked here.
    """
    kept = find_marketplace(account.settings.marketplace).kept_fields
    days = account.settings.retention_days
    parameters = {"account": account.name, "now": now, "days": days, "batch": MAX_RECORDS_PER_TRANSACTION}
    blanked = Blanked(
        orders=_in_batches(connection, account.name, kept, _OLD_ORDERS, parameters, blank_orders),
        care_records=_in_batches(connection, account.name, kept, _OLD_CARE, parameters, blank_care_records),
    )
    with connection.transaction():
        old = connection.execute(_OLD_REJECTED, parameters).fetchall()
        for kind in ("order", "care"):
            keys = [key for its_kind, key in old if its_kind == kind]
            blanked.rejected_records += blank_rejected(connection, account.name, kept, kind, keys)
    if days is not None:
        blanked.documents = erase_documents(connection, account.name, days, now)
        blanked.error_answers = erase_error_answers(connection, account.name, days, now)
    return blanked


def _in_batches(
    connection: Connection,
    account: str,
    kept: KeptFields,
    select: LiteralString,
    parameters: Mapping[str, Any],
    blank: Callable[[Connection, str, KeptFields, Mapping[str, str]], None],
) -> int:
    count, after = 0, ""
    while True:
        with connection.transaction():
            rows = connection.execute(select, {**parameters, "after": after}).fetchall()
            blank(connection, account, kept, dict(rows))
        count += len(rows)
        if len(rows) < MAX_RECORDS_PER_TRANSACTION:
            return count
        after = rows[-1][0]


#: What an older version blanked by its own list is blanked anew: revision 0031 gave it the year 1970.
_OLD_ORDERS: LiteralString = """
SELECT order_id, raw::text FROM orders
WHERE account = %(account)s AND order_id > %(after)s
  AND (buyer_data_blanked_at IS NULL OR buyer_data_blanked_at = 'epoch')
  -- A creation time in the future is none, and must not keep the buyer's data for ever.
  AND (least(created_at, first_stored_at) < coalesce(%(now)s, now()) - make_interval(days => %(days)s::int)
    OR buyer_data_blanked_at = 'epoch'
    OR EXISTS (SELECT FROM erased_records erased WHERE erased.account = orders.account AND erased.kind = 'order'
      AND erased.record_id = orders.order_id))
ORDER BY order_id LIMIT %(batch)s FOR UPDATE OF orders
"""
_OLD_CARE: LiteralString = """
SELECT care_id, raw::text FROM care_records care
WHERE account = %(account)s AND care_id > %(after)s
  AND (buyer_data_blanked_at IS NULL OR buyer_data_blanked_at = 'epoch')
  AND (least(opened_at, first_stored_at) < coalesce(%(now)s, now()) - make_interval(days => %(days)s::int)
    OR buyer_data_blanked_at = 'epoch'
    OR EXISTS (SELECT FROM erased_records erased WHERE erased.account = care.account AND erased.kind = 'care'
      AND erased.record_id = care.care_id)
    OR EXISTS (SELECT FROM care_record_items about JOIN order_items item USING (account, item_id)
      JOIN erased_records erased ON erased.account = item.account AND erased.kind = 'order'
        AND erased.record_id = item.order_id
      WHERE about.account = care.account AND about.care_id = care.care_id))
ORDER BY care_id LIMIT %(batch)s FOR UPDATE OF care
"""
_OLD_REJECTED: LiteralString = """
SELECT kind, record_id FROM rejected_records
WHERE account = %(account)s AND (
  first_seen_at < coalesce(%(now)s, now()) - make_interval(days => %(days)s::int)
  OR EXISTS (SELECT FROM erased_records erased WHERE erased.account = rejected_records.account
    AND erased.kind = rejected_records.kind AND erased.record_id = rejected_records.record_id))
ORDER BY kind, record_id
"""
