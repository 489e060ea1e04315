"""Which orders are stored, and in which version."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

import msgspec

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import RawRecord


class Comparison(Enum):
    """How records are compared with the stored orders."""

    FINGERPRINTS = "fingerprints"
    """A record with the stored fingerprint brings nothing new."""
    VALUES = "values"
    """A record with the stored fingerprint is compared value by value (`reread`)."""
    STORED_RECORDS = "stored records"
    """The records are the stored ones, decoded again: compared value by value. A record that has another fingerprint by
    now was replaced meanwhile, and brings nothing new."""


class StoredVersion(msgspec.Struct, frozen=True, gc=False):
    """The stored version of an order, as far as it shows whether a record brings anything new."""

    fingerprint: bytes
    modified_at: datetime | None

    def covers(self, record: RawRecord, comparison: Comparison) -> bool:
        """Whether the record brings nothing new: it is the stored version, or an older one.

        The stored version counts as new where values are compared.
        """
        if self.fingerprint == record.fingerprint:
            return comparison is Comparison.FINGERPRINTS
        return comparison is Comparison.STORED_RECORDS or is_newer(self.modified_at, record.modified_at)


def is_newer(modified_at: datetime | None, than: datetime | None) -> bool:
    """Whether a version is certainly newer than another one; a time that is missing proves nothing."""
    return modified_at is not None and than is not None and modified_at > than


class StoredOrders:
    """Looks up the stored versions of one account's orders.

    On a first load, nothing is looked up: the account has no orders, so a look-up would only cost time. The writer ends
    the first load as soon as an order is, or may be, stored: another lane can store orders meanwhile.
    """

    def __init__(self, reader: Connection, account: str) -> None:
        self._reader = reader
        self._account = account
        row = reader.execute("SELECT EXISTS (SELECT FROM orders WHERE account = %s)", [account]).fetchone()
        self._is_first_load = row is not None and not row[0]

    @property
    def is_first_load(self) -> bool:
        return self._is_first_load

    def end_first_load(self) -> None:
        """Orders are looked up from now on. Safe to call from any thread."""
        self._is_first_load = False

    def versions(self, order_ids: Sequence[str]) -> dict[str, StoredVersion]:
        """The stored versions, by order id; orders that are not stored are left out. Empty on a first load."""
        if self._is_first_load:
            return {}
        rows = self._reader.execute(
            "SELECT order_id, fingerprint, modified_at FROM orders WHERE account = %s AND order_id = ANY(%s)",
            [self._account, list(order_ids)],
            binary=True,
        )
        return {order_id: StoredVersion(fingerprint, modified_at) for order_id, fingerprint, modified_at in rows}
