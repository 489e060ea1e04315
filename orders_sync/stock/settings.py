"""The settings of stock that are stored in the orders database, since what is stored depends on them."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.stock.available_position import recompute
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.merge_skus import check_that_skus_can_merge, merge_shared_skus, merge_skus
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.store import stored_sku_case


class UnknownShippingTime(StrEnum):
    """When pieces left of which the marketplace says that they have, and not when."""

    AS_SEEN = "as_seen"
    """When a pass saw it. Pieces that left before a count are subtracted from it too: too few may be offered."""
    BEFORE_COUNT = "before_count"
    """Before any count since the last `modified` pass. Those that left after it are not subtracted: too many may be."""


class StockSettings(NamedTuple):
    """The settings, and who changed them last and when; both None: they were never changed."""

    sku_case: SkuCase = SkuCase.EXACT
    unknown_shipping_time: UnknownShippingTime = UnknownShippingTime.AS_SEEN
    changed_by: str | None = None
    changed_at: datetime | None = None


class CaseChange(NamedTuple):
    """What a change of `sku_case` did."""

    merged: dict[str, list[str]]
    """The SKUs of the stock list that had several spellings, with these."""
    rechecked: int
    """How many items the stock job looks at again."""


def stored_settings(stock: StockConnection) -> StockSettings:
    """The settings now."""
    row = stock.execute("SELECT sku_case, unknown_shipping_time, changed_by, changed_at FROM stock_settings").fetchone()
    return StockSettings(SkuCase(row[0]), UnknownShippingTime(row[1]), *row[2:]) if row else StockSettings()


def set_unknown_shipping_time(stock: StockConnection, value: UnknownShippingTime, by: By) -> None:
    """Changes when pieces count as having left of which the marketplace gives no time; for shipments from now on.

    Where it is so already, nothing changes.
    """
    with stock.changing():
        if stored_settings(stock).unknown_shipping_time is value:
            return
        stock.execute(_SET_UNKNOWN_SHIPPING_TIME, [value, by.user])
        note_act(stock.connection, by, Act.CHANGE_STOCK_SETTINGS, detail=f"unknown_shipping_time: {value}")


def set_sku_case(
    stock: StockConnection, sku_case: SkuCase, by: By, oversell: frozenset[str] = frozenset()
) -> CaseChange | None:
    """Changes whether the case of SKUs counts, in one transaction. The stock job then looks at all open items.

    Returns None where it is so already.

    To IGNORE: what is stored comes into upper case, and what differs only in case is merged. Raises SkuMergeError,
    and changes nothing, where it is not clear what the merged SKU would be. To EXACT: what is stored stays as it is.
    `oversell`: the accounts whose locks keep their pieces where a merged SKU has fewer than its locks hold.
    """
    with stock.changing():
        if stored_sku_case(stock) is sku_case:
            return None
        if sku_case is SkuCase.IGNORE:
            check_that_skus_can_merge(stock)
        stock.execute(_SET, [sku_case, by.user])
        note_act(stock.connection, by, Act.CHANGE_STOCK_SETTINGS, detail=f"sku_case: {sku_case}")
        recompute(stock)
        merged: dict[str, list[str]] = {}
        if sku_case is SkuCase.IGNORE:
            merge_shared_skus(stock)
            merged = merge_skus(stock, by.user, oversell)
            # The tables of the schema that is not in use stay as they are: a move of the cutover replaces them.
        return CaseChange(merged, stock.execute(_RECHECK).rowcount)


_SET_UNKNOWN_SHIPPING_TIME = """
INSERT INTO stock_settings (settings_id, unknown_shipping_time, changed_by) VALUES (1, %s, %s)
ON CONFLICT (settings_id) DO UPDATE SET unknown_shipping_time = excluded.unknown_shipping_time,
  changed_by = excluded.changed_by, changed_at = now()
"""
_SET = """
INSERT INTO stock_settings (settings_id, sku_case, changed_by) VALUES (1, %s, %s)
ON CONFLICT (settings_id) DO UPDATE SET sku_case = excluded.sku_case, changed_by = excluded.changed_by,
  changed_at = now()
"""
_RECHECK = """
INSERT INTO stock_rechecks (account, item_id)
SELECT account, item_id FROM order_items WHERE status IN ('pending', 'accepted', 'unknown')
UNION SELECT account, item_id FROM stock_locks WHERE {active}
UNION SELECT account, item_id FROM stock_decisions WHERE decision = 'lock'
"""
