"""Devices: the IMEIs and serial numbers of what was sold, what shipped without one, and what was sold twice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.device_numbers import is_imei
from orders_sync.model.statuses import Status

WITH_BUYER = (Status.ACCEPTED, Status.SHIPPED)
"""The statuses of items whose device is, or will be, the buyer's."""


class Device(NamedTuple):
    """An item with the numbers of its devices."""

    account: str
    order_id: str
    item_id: str
    sku: str
    status: str
    quantity: int
    imeis: list[str] | None
    serial_numbers: list[str] | None


class Selection(NamedTuple):
    """Which devices are meant; None: any."""

    account: str | None = None
    order_id: str | None = None
    number: str | None = None
    """An IMEI or a serial number."""


def devices(connection: Connection, selection: Selection) -> list[Device]:
    """The items with an IMEI or a serial number, by account, order and item."""
    return rows_as(connection, Device, _DEVICES, selection._asdict())


class ShippedWithout(NamedTuple):
    """An item that has shipped and that the marketplace has no IMEI and no serial number of."""

    account: str
    order_id: str
    item_id: str
    sku: str
    shipped_at: datetime | None
    """When the order shipped, by the marketplace's clock; None: it does not say."""


def shipped_without(connection: Connection, accounts: Mapping[str, SellerAccount]) -> list[ShippedWithout]:
    """Goods that shipped without a device's number, of the accounts that require one.

    Only orders that `modified` still reads: no number comes for others. Orders whose buyer's data was blanked have
    none. A marketplace takes one number for all pieces of a line: one is enough.
    """
    required = {name: account.settings for name, account in accounts.items() if account.settings.require_device_numbers}
    months = [settings.months_back for settings in required.values()]
    return rows_as(connection, ShippedWithout, _SHIPPED_WITHOUT, [list(required), months])


class SoldTwice(NamedTuple):
    """A device that several items have, none of which came back."""

    imei: str
    account: str
    order_id: str
    item_id: str
    status: str
    items: int
    """How many items have it."""


def sold_twice(connection: Connection) -> list[SoldTwice]:
    """The items whose IMEI another item has as well, by IMEI.

    A device that came back is sold again. So an item counts only if it is to ship or has shipped, and has no care
    record (a replacement, a return), unless that was cancelled. A number that is no IMEI is not compared: people type
    the same for none. Nor are serial numbers: two makers may give the same.
    """
    found = connection.execute(_WITH_SHARED_IMEI, [list(WITH_BUYER)]).fetchall()
    by_imei: dict[str, list[Sequence[str]]] = defaultdict(list)
    for imei, *item in found:
        if is_imei(imei):
            by_imei[imei].append(item)
    return [SoldTwice(imei, *item, items=len(items)) for imei, items in by_imei.items() for item in items]


_DEVICES = """
SELECT account, order_id, item_id, sku, status, quantity, imeis, serial_numbers FROM order_items
WHERE (imeis IS NOT NULL OR serial_numbers IS NOT NULL)
  AND (%(account)s::text IS NULL OR account = %(account)s)
  AND (%(order_id)s::text IS NULL OR order_id = %(order_id)s)
  AND (%(number)s::text IS NULL OR %(number)s = ANY(imeis) OR %(number)s = ANY(serial_numbers))
ORDER BY account, order_id, item_id
"""
_SHIPPED_WITHOUT = """
SELECT account, order_id, item.item_id, item.sku, placed.shipped_at
FROM unnest(%s::text[], %s::int[]) AS required (account, months)
JOIN order_items item USING (account) JOIN orders placed USING (account, order_id)
WHERE item.kind = 'goods' AND (item.status = 'shipped' OR item.shipped > 0)
  AND item.imeis IS NULL AND item.serial_numbers IS NULL AND placed.buyer_data_blanked_at IS NULL
  AND greatest(placed.created_at, placed.modified_at) > now() - make_interval(months => required.months)
ORDER BY account, order_id, item_id
"""
_WITH_BUYER: LiteralString = """
  SELECT imei, account, order_id, item_id, status FROM order_items item CROSS JOIN LATERAL unnest(imeis) AS imei
  WHERE imeis IS NOT NULL AND status = ANY(%s) AND kind = 'goods' AND coalesce(returned, 0) = 0
    AND coalesce(refunded, 0) = 0 AND NOT EXISTS (
      SELECT FROM care_records care
      WHERE care.account = item.account AND care.care_id = item.care_id AND care.state <> 'cancelled')
"""
_WITH_SHARED_IMEI: LiteralString = """
SELECT imei, account, order_id, item_id, status
FROM (SELECT *, count(*) OVER (PARTITION BY imei) AS items FROM ({with_buyer}) sold) sold
WHERE items > 1 ORDER BY imei, account, order_id, item_id
""".replace("{with_buyer}", _WITH_BUYER)
