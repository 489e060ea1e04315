"""Pieces that came back and are in quarantine: received by a care record, then put away once, piece by piece.

Pieces in quarantine are not on hand. A receipt (`stock_received`) is one SKU of one item of a care record; its rows in
`stock_put_away` say what became of how many of its pieces. The care record's row in `stock_returns` counts received
pieces as booked, so that neither the stock job nor a person books them once more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.stock.by_hand import NO_OVERSELL, StockActError, catch_up, coming_back, note_care_record, on_item
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Movement, StockLevel
from orders_sync.stock.departures import RECEIVED, Departure, by_sku
from orders_sync.stock.input import check_id, check_pieces
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import StockResult, move
from orders_sync.stock.stock_skus import check_in_stock_list
from orders_sync.stock.store import load_levels, store_movements, stored_sku_case

SHELVED = "shelved"
SCRAPPED = "scrapped"
_END_OF_NUMBERS = 2**63
"""PostgreSQL's bigint has no such number."""


class Receipt(NamedTuple):
    """Pieces of one SKU that came back by a care record, and where they are now."""

    number: int
    received_at: datetime
    account: str
    care_id: str
    care_state: str
    """The care record's state: open, closed, cancelled or unknown; '' where it is not stored any more."""
    marketplace_state: str | None
    """The care record's state in the marketplace's words."""
    order_id: str
    item_id: str
    sku: str
    """The SKU of the stock list."""
    pieces: int
    quarantine: int
    shelved: int
    scrapped: int
    shelved_as: str
    """The SKUs under which pieces are on the shelf again."""
    reason: str
    made_by: str


class Received(NamedTuple):
    """What receiving pieces did."""

    receipts: list[Receipt]
    applied: StockResult
    """What was stored about their items, and waited to be applied."""


class Destination(NamedTuple):
    """Where received pieces go."""

    sku: str | None = None
    """The SKU of the stock list under which they are on the shelf; None: the SKU with which they left."""
    is_scrap: bool = False
    """They are not sold again; `sku` is None then."""


def destination(sku: str | None, *, same_sku: bool, is_scrap: bool) -> Destination:
    """What a person chose. Raises StockActError unless it is one of the three: nobody sells broken goods by default."""
    if [same_sku, sku is not None, is_scrap].count(True) != 1:
        raise StockActError("Say where the pieces go: to the same SKU, to another one, or to scrap.")
    return Destination(sku, is_scrap)


class PutAway(NamedTuple):
    """What putting pieces away did."""

    text: str
    """It in one line, for the person."""
    applied: StockResult


def care_record_named(stock: StockConnection, subject: str) -> tuple[str, str]:
    """(account, care id) of a care record that a person names by its id, or as `account/id`.

    Raises StockActError where there is none, or where several accounts have one.
    """
    subject = check_id(subject, "the care record's id")
    account, _, own_id = subject.partition("/")
    found = stock.execute(_CARE_RECORDS, {"subject": subject, "account": account, "id": own_id}).fetchall()
    if not found:
        raise StockActError(f"There is no care record {subject}.")
    if len(found) > 1:
        names = " or ".join(f"{account}/{care_id}" for account, care_id in found)
        raise StockActError(f"Several accounts have a care record {subject}: name {names}.")
    return found[0]


def receive(
    stock: StockConnection,
    care_id: str,
    returns: Mapping[ItemKey, int],
    by: By,
    oversell: frozenset[str] = NO_OVERSELL,
) -> Received:
    """Takes pieces of items into quarantine that came back by a care record. `returns`: item → its pieces.

    What is stored as shipped counts, even if the stock job has yet to look at it. Raises StockActError where fewer
    pieces of an item are away than come back, or where the care record is not about the item or says that fewer come
    back.
    """
    with stock.changing():
        numbers: list[int] = []
        applied = catch_up(stock, returns, oversell)
        for key, pieces in returns.items():
            note_care_record(stock, care_id, key, pieces)
            back = coming_back(stock, key, pieces)
            levels = load_levels(stock, by_sku(back))
            reason = by._replace(reason=f"care record {care_id}: {by.reason}")
            store_movements(stock, _into_quarantine(back, key, levels, reason))
            on = on_item(key)._replace(other=f"care record {care_id}")
            note_act(stock.connection, by, Act.RECEIVE_PIECES, on, f"{pieces} pieces")
            for sku, count in by_sku(back).items():
                row = stock.execute(_RECEIVE, [key[0], care_id, key[1], sku, count, by.reason, by.user]).fetchone()
                numbers += row or ()
        return Received(stock.rows_as(Receipt, _RECEIPTS + _BY_NUMBER, [numbers]), applied)


def _into_quarantine(
    back: Sequence[Departure], key: ItemKey, levels: Mapping[str, StockLevel], by: By
) -> list[Movement]:
    return [
        Movement(
            part.sku, RECEIVED, part.pieces * departure.pieces, 0, levels[part.sku].on_hand, *key, by.reason, by.user,
            None, 0 if number else departure.pieces,
        )
        for departure in back
        for number, part in enumerate(departure.parts)
    ]  # fmt: skip


def put_away(
    stock: StockConnection,
    number: int,
    pieces: int | None,
    destination: Destination,
    by: By,
    oversell: frozenset[str] = NO_OVERSELL,
) -> PutAway:
    """Puts pieces of a receipt on the shelf, or scraps them. `pieces`: None for all that are still in quarantine.

    Pieces whose own SKU is not in the stock list are noted, as those of a return are. Raises StockActError where fewer
    pieces are in quarantine, or where another SKU is not in the stock list; StockInputError for values that can't be
    used.
    """
    if pieces is not None:
        check_pieces(pieces, "the number of pieces", lowest=1)
    with stock.changing():
        receipt = _receipt(stock, number)
        count = receipt.quarantine if pieces is None else pieces
        if not 0 < count <= receipt.quarantine:
            raise StockActError(
                f"All {receipt.pieces} pieces of receipt {number} were put away already."
                if not receipt.quarantine
                else f"Of receipt {number}, {receipt.quarantine} pieces are in quarantine: {count} can't be put away."
            )
        case = stored_sku_case(stock)
        target = case.form(receipt.sku if destination.sku is None else check_id(destination.sku, "sku"))
        level = load_levels(stock, [target])[target]
        if destination.is_scrap:
            movement = _movement(receipt, SCRAPPED, target, -count, 0, level, by)
            text = f"{count} pieces of SKU {target} were scrapped."
        else:
            _check_target(stock, receipt, target, level, count)
            change = 0 if level.on_hand is None else count
            movement = _movement(receipt, SHELVED, target, count, change, level, by)
            text = (
                f"{count} pieces are on record as SKU {target}, not on hand: it is not in the stock list."
                if level.on_hand is None
                else f"{count} pieces are on hand as SKU {target}."
            )
        shelved_as = None if destination.is_scrap else target
        stock.execute(_PUT_AWAY, [number, movement.kind, shelved_as, count, by.reason, by.user])
        on = on_item((receipt.account, receipt.item_id))._replace(sku=target, other=f"receipt {number}")
        note_act(stock.connection, by, Act.PUT_AWAY, on, f"{count} pieces {movement.kind}")
        cause = Cause(f"put away by {by.user}: {by.reason}")
        return PutAway(text, move(stock, {target: level}, [movement], cause, oversell))


def _receipt(stock: StockConnection, number: int) -> Receipt:
    found = stock.rows_as(Receipt, _RECEIPTS + _BY_NUMBER, [[number]]) if 0 < number < _END_OF_NUMBERS else []
    if not found:
        raise StockActError(f"There is no receipt {number}. `orders-sync stock received --all` lists all.")
    return found[0]


def _check_target(stock: StockConnection, receipt: Receipt, target: str, level: StockLevel, pieces: int) -> None:
    check_in_stock_list(stock, [target])
    if level.on_hand is None and target != receipt.sku:
        raise StockActError(
            f"SKU {target} is not in the stock list, so that its pieces would not be on hand. If it is spelled right, "
            "import it first, with 0 pieces: `orders-sync stock import`."
        )
    check_pieces((level.on_hand or 0) + pieces, f"the sum of pieces on hand of SKU {target}")


def _movement(
    receipt: Receipt, kind: str, sku: str, pieces: int, on_hand_change: int, level: StockLevel, by: By
) -> Movement:
    on_hand = level.on_hand if level.on_hand is None else level.on_hand + on_hand_change
    reason = f"care record {receipt.care_id}: {by.reason}"
    return Movement(sku, kind, pieces, on_hand_change, on_hand, receipt.account, receipt.item_id, reason, by.user)


def receipts(stock: StockConnection, *, only_in_quarantine: bool = True) -> list[Receipt]:
    """The receipts, the oldest first. `only_in_quarantine`: only those with pieces that are not put away yet."""
    return stock.rows_as(Receipt, _RECEIPTS + _WITH_QUARANTINE, [only_in_quarantine])


def receipts_of(
    stock: StockConnection, skus: Sequence[str], items: Sequence[ItemKey], limit: int | None
) -> list[Receipt]:
    """The latest receipts of these SKUs, under which pieces came back or were put away, and of these items."""
    accounts, ids = [account for account, _ in items], [item_id for _, item_id in items]
    shown = {"skus": list(skus), "accounts": accounts, "items": ids, "limit": limit}
    return stock.rows_as(Receipt, _RECEIPTS + _OF_SUBJECT, shown)[::-1]


_CARE_RECORDS = """
SELECT account, care_id FROM care_records
WHERE care_id = %(subject)s OR account = %(account)s AND care_id = %(id)s ORDER BY account, care_id
"""
_RECEIVE = """
INSERT INTO stock_received (account, care_id, item_id, sku, pieces, reason, made_by)
VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING received_id
"""
_PUT_AWAY = """
INSERT INTO stock_put_away (received_id, kind, sku, pieces, reason, made_by) VALUES (%s, %s, %s, %s, %s, %s)
"""
_RECEIPTS: LiteralString = """
SELECT received.received_id AS number, received.received_at, received.account, received.care_id,
  coalesce(care.state, '') AS care_state, care.marketplace_state, coalesce(item.order_id, '') AS order_id,
  received.item_id, received.sku, received.pieces, received.pieces - away.shelved - away.scrapped AS quarantine,
  away.shelved, away.scrapped, away.shelved_as, received.reason, received.made_by
FROM stock_received received
LEFT JOIN care_records care USING (account, care_id)
LEFT JOIN order_items item USING (account, item_id)
CROSS JOIN LATERAL (
  SELECT coalesce(sum(pieces) FILTER (WHERE kind = 'shelved'), 0)::int AS shelved,
    coalesce(sum(pieces) FILTER (WHERE kind = 'scrapped'), 0)::int AS scrapped,
    coalesce(string_agg(DISTINCT sku, ', ' ORDER BY sku), '') AS shelved_as, array_agg(sku) AS skus
  FROM stock_put_away WHERE stock_put_away.received_id = received.received_id) away
"""
_BY_NUMBER = "WHERE received.received_id = ANY(%s::bigint[]) ORDER BY received.received_id"
_WITH_QUARANTINE = """
WHERE NOT %s OR received.pieces > away.shelved + away.scrapped ORDER BY received.received_id
"""
_OF_SUBJECT = """
WHERE received.sku = ANY(%(skus)s) OR away.skus && %(skus)s::text[] OR (received.account, received.item_id) IN (
  SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))
ORDER BY received.received_id DESC LIMIT %(limit)s
"""
