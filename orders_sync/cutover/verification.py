"""Verifies differences between V1 and V2 against the marketplace: fetches each order, as it is now."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.cutover.differences import DIFFERS, DOCUMENTS, ONLY_V1, ONLY_V2, Difference, same_amount, same_document
from orders_sync.cutover.sides import Side
from orders_sync.marketplaces.kit.adapter import Adapter, MissingDocuments, OrderDocuments
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.marketplaces.kit.registry import opened_adapter
from orders_sync.model.errors import text_of
from orders_sync.model.records import DocumentKind, Order, OrderItem, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync.check_records import order_decoder
from orders_sync.sync.put_off import SingleFetches, fetch_order

MAX_SECONDS = 600.0
"""The verification of a comparison ends after this time: a marketplace may be slow."""
_KINDS = {"delivery_note_url": DocumentKind.DELIVERY_NOTE, "label_url": DocumentKind.LABEL}


class Right(StrEnum):
    """Who says what the marketplace says."""

    V1 = "V1"
    V2 = "V2"
    NEITHER = "neither"


class Verification(NamedTuple):
    """What the marketplace's orders have shown."""

    right: Mapping[Difference, Right]
    """The differences that the marketplace's order decides."""
    problem: str
    """Why not all orders were fetched, in one line; '' if all were."""


def verify_differences(
    account: SellerAccount, differences: Sequence[Difference], v1: Side, v2: Side, most_orders: int
) -> Verification:
    """Fetches the orders that differ, within the account's rate limits: the first `most_orders` of them.

    A lock or a care case is in no order: it stays undecided. Never raises for what the marketplace does.
    """
    by_order: dict[str, list[Difference]] = {}
    for each in differences:
        if not each.is_of_lock and each.field != "care_id":
            by_order.setdefault(each.order_id, []).append(each)
    chosen = list(by_order.items())[:most_orders]
    left = len(by_order) - len(chosen)
    problem = f"{left} more orders differ than readiness.verified_orders ({most_orders}) allows" if left else ""
    right: dict[Difference, Right] = {}
    if not chosen:
        return Verification(right, problem)
    try:
        with opened_adapter(account) as adapter:
            fetches, ends = SingleFetches(), time.monotonic() + MAX_SECONDS
            for number, (order_id, of_order) in enumerate(chosen):
                if time.monotonic() > ends:
                    problem = f"{len(chosen) - number} orders are left after {MAX_SECONDS / 60:g} minutes"
                    break
                try:
                    right |= _decided(adapter, order_id, of_order, v1, v2)
                    fetches.note_success()
                except MarketplaceError as error:
                    problem = str(error)
                    if fetches.is_down(error):
                        break
                except RecordRejectedError as error:
                    problem = f"order {order_id} can't be decoded: {error}"
    except (AccountConfigError, MarketplaceError) as error:
        problem = str(error)
    except Exception as error:  # an adapter that a user wrote may raise anything: the comparison goes on without it
        problem = text_of(error)
    return Verification(right, problem)


def _decided(
    adapter: Adapter, order_id: str, differences: Iterable[Difference], v1: Side, v2: Side
) -> dict[Difference, Right]:
    record = fetch_order(adapter, order_id)
    if record is None:
        word = {ONLY_V1: Right.V2, ONLY_V2: Right.V1}
        return {each: word.get(each.kind, Right.NEITHER) for each in differences}
    order = order_decoder(adapter)(record.raw).value
    items = None if order.items is None else {item.item_id: item for item in order.items}
    documents = _documents(adapter, order, [each for each in differences if each.field in DOCUMENTS])
    found: dict[Difference, Right] = {}
    for each in differences:
        right = (
            _of_missing_row(each, items)
            if each.kind != DIFFERS
            else _of_item(each, items, v1, v2)
            if each.item_id
            else _of_order(each, order, documents, v1, v2)
        )
        if right is not None:
            found[each] = right
    return found


def _of_missing_row(difference: Difference, items: Mapping[str, OrderItem] | None) -> Right | None:
    """An order, or an item, that one side alone has."""
    if difference.item_id and items is None:
        return None
    is_there = not difference.item_id or difference.item_id in (items or ())
    return Right.V1 if is_there == (difference.kind == ONLY_V1) else Right.V2


def _of_order(
    difference: Difference, order: Order, documents: Mapping[str, Sequence[str]], v1: Side, v2: Side
) -> Right | None:
    one, two = v1.orders[difference.order_id], v2.orders[difference.order_id]
    name = difference.field
    if name == "status":
        return _of_status(order.status, one.statuses, two.statuses)
    if name in DOCUMENTS:
        return _of_document(documents.get(name), getattr(one, name), getattr(two, name))
    if name == "total":
        return _of_value(order.items_total, one.total, two.total, same_amount)
    return _of_value(order.currency, one.currency, two.currency, _same_text)


def _of_item(difference: Difference, items: Mapping[str, OrderItem] | None, v1: Side, v2: Side) -> Right | None:
    key = difference.order_id, difference.item_id
    one, two = v1.items[key], v2.items[key]
    item = None if items is None else items.get(difference.item_id)
    if item is None:
        is_gone = items is not None
        return (Right.V2 if two.statuses == (Status.REMOVED,) else Right.NEITHER) if is_gone else None
    if difference.field == "status":
        return _of_status(item.status, one.statuses, two.statuses)
    if difference.field == "sku":
        return _of_value(item.sku or None, one.sku, two.sku, _same_text)
    value = item.quantity if difference.field == "quantity" else item.price
    return _of_value(value, getattr(one, difference.field), getattr(two, difference.field), same_amount)


def _of_status(true: Status, v1: Sequence[Status], v2: Sequence[Status]) -> Right:
    return Right.V2 if true in v2 else Right.V1 if true in v1 else Right.NEITHER


def _of_value(true: Any, v1: Any, v2: Any, same: Callable[[Any, Any], bool]) -> Right | None:
    """None: the marketplace does not say."""
    if true is None:
        return None
    return Right.V2 if same(true, v2) else Right.V1 if same(v1, true) else Right.NEITHER


def _of_document(true: Sequence[str] | None, v1: str | None, v2: str | None) -> Right | None:
    """`true`: the URLs that the marketplace lists, which may be several parcels' labels; None: it could not be read."""
    if true is None:
        return None
    if not true:
        return Right.V2 if v2 is None else Right.V1 if v1 is None else Right.NEITHER
    if v2 is not None and any(same_document(url, v2) for url in true):
        return Right.V2
    return Right.V1 if v1 is not None and any(same_document(url, v1) for url in true) else Right.NEITHER


def _documents(adapter: Adapter, order: Order, differing: Sequence[Difference]) -> dict[str, list[str]]:
    """The URLs of the documents that differ, by the name of their column; without those that could not be read."""
    names = {each.field for each in differing}
    if not names:
        return {}
    missing = MissingDocuments(order.order_id, "delivery_note_url" in names, "label_url" in names)
    for order_id, answer in adapter.documents([missing]):
        if order_id == order.order_id and not isinstance(answer, MarketplaceError):
            found = answer.found if isinstance(answer, OrderDocuments) else answer
            return {
                name: [
                    each.url for each in found if each.kind is _KINDS[name] and each.url and each.cancelled_at is None
                ]
                for name in names
            }
    return {}


def _same_text(v1: str | None, v2: str | None) -> bool:
    return (v1 or "").upper() == (v2 or "").upper()
