"""Erasing a buyer's data on request: the right to erasure (GDPR, article 17).

It blanks what the retention blanks, whatever its age, and notes that it did (`erased_records`): what the marketplace
lists of these records later is stored without the buyer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.database.engine import Connection
from orders_sync.documents.store import erase_documents_of
from orders_sync.lanes.error_answers import erase_error_answers
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.privacy.blanking import blank_care_records, blank_orders, blank_rejected
from orders_sync.privacy.buyers import BuyerRecords
from orders_sync.privacy.erased import note_erased

KeptOf = Callable[[str], KeptFields]
"""What stays of the records of an account, by its name."""


@dataclass
class Erased:
    """What was erased."""

    records: int = 0
    documents: int = 0
    """Documents whose stored content was erased."""
    error_answers: int = 0
    """Kept error answers of the accounts that were deleted: any of them may quote the buyer."""


def erase(connection: Connection, records: BuyerRecords, kept_of: KeptOf, by: By, found_by: str) -> Erased:
    """Erases the buyer's data of these records. Each is one transaction, with the act that names its id.

    `found_by`: how the buyer was named, without the name. What is done stays done if a later one fails; repeat it then.
    """
    outcome = Erased()
    detail = f"found by {found_by}, with {records.in_words()}"
    for account, order_id in records.orders:
        with connection.transaction():
            rows = connection.execute(_LOCKED_ORDER, [account, order_id]).fetchall()
            blank_orders(connection, account, kept_of(account), {order_id: rows[0][0] if rows else ""})
            outcome.documents += erase_documents_of(connection, account, [order_id])
            note_erased(connection, account, "order", [order_id])
            note_act(connection, by, Act.ERASE_BUYER, On(account, order_id), detail)
    for account, care_id in records.care:
        with connection.transaction():
            rows = connection.execute(_LOCKED_CARE, [account, care_id]).fetchall()
            blank_care_records(connection, account, kept_of(account), dict(rows))
            note_erased(connection, account, "care", [care_id])
            note_act(connection, by, Act.ERASE_BUYER, On(account, other=f"care record {care_id}"), detail)
    for account, kind, key in records.rejected:
        with connection.transaction():
            blank_rejected(connection, account, kept_of(account), kind, [key])
            note_erased(connection, account, kind, [key])
            on = On(account, key if kind == "order" else None, other=f"rejected {kind} {key}")
            note_act(connection, by, Act.ERASE_BUYER, on, detail)
    for account in sorted({account for account, *_ in (*records.orders, *records.care, *records.rejected)}):
        outcome.error_answers += erase_error_answers(connection, account, 0)
    outcome.records = len(records.orders) + len(records.care) + len(records.rejected)
    return outcome


_LOCKED_ORDER = "SELECT raw::text FROM orders WHERE account = %s AND order_id = %s FOR UPDATE"
_LOCKED_CARE = "SELECT care_id, raw::text FROM care_records WHERE account = %s AND care_id = %s FOR UPDATE"
