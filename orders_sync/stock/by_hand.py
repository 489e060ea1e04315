"""What a person does to stock: each act has a reason, and is on record in manual_acts beside what it changes."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.model.errors import UserFacingError
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Movement, has_lock
from orders_sync.stock.departures import Departure, by_sku, pieces_of, returning, undoing
from orders_sync.stock.input import check_adjustment, check_id, check_pieces
from orders_sync.stock.needs import Decision, ItemFacts, ItemKey, over_reported_now, reported_pieces, unreported_now
from orders_sync.stock.reconcile import ReturnNotBooked, StockResult, move, reconcile
from orders_sync.stock.refusals import refusal
from orders_sync.stock.returns import returned, why_not
from orders_sync.stock.stock_skus import check_in_stock_list
from orders_sync.stock.store import (
    load,
    load_departures,
    load_levels,
    note_over_report,
    note_unreported,
    stored_sku_case,
)

NO_OVERSELL: frozenset[str] = frozenset()
CHANGED_BEFORE = Cause("the item had changed before a person acted on it")


class StockActError(UserFacingError):
    """An act by hand is not possible; the message says why, and what is."""


class Adjustment(NamedTuple):
    """What an adjustment did."""

    sku: str
    on_hand: int
    """Pieces on hand afterwards."""
    is_new: bool
    """Whether the SKU was not in the stock list before."""
    applied: StockResult

    def text(self) -> str:
        """What a person has to know of it, in one line."""
        if self.is_new:
            return f"SKU {self.sku} was not in the stock list. It is now, with {self.on_hand} pieces on hand."
        return f"SKU {self.sku}: {self.on_hand} pieces on hand."


def adjust(stock: StockConnection, sku: str, pieces: int, by: By, oversell: frozenset[str] = NO_OVERSELL) -> Adjustment:
    """Adds pieces to a SKU's pieces on hand, or takes some away (negative).

    A SKU that is not in the stock list gets into it. Raises StockInputError for a SKU or a number that can't be
    used, and where pieces would be added to an alias; StockActError if more pieces would be taken than there are.
    """
    check_adjustment(pieces)
    with stock.changing():
        sku = stored_sku_case(stock).form(check_id(sku, "sku"))
        before = load_levels(stock, [sku])
        on_hand = (before[sku].on_hand or 0) + pieces
        if pieces > 0:
            check_in_stock_list(stock, [sku])
            check_pieces(on_hand, f"the sum of pieces on hand of SKU {sku}")
        if on_hand < 0:
            raise StockActError(f"SKU {sku} has {before[sku].on_hand or 0} pieces on hand; {-pieces} can't be taken.")
        movement = Movement(sku, "adjusted", pieces, pieces, on_hand, "", "", by.reason, by.user)
        note_act(stock.connection, by, Act.ADJUST_STOCK, On(sku=sku), f"{pieces:+d} pieces, {on_hand} on hand")
        if before[sku].counted_at is None:
            stock.execute("UPDATE stock_levels SET counted_at = now() WHERE sku = %s", [sku])
        applied = move(stock, before, [movement], Cause(f"stock adjusted by {by.user}: {by.reason}"), oversell)
        return Adjustment(sku, on_hand, before[sku].on_hand is None, applied)


def decide(
    stock: StockConnection, key: ItemKey, decision: Decision, by: By, oversell: frozenset[str] = NO_OVERSELL
) -> StockResult:
    """Locks or releases an item by hand, or undoes its shipment. It holds until the item's status changes.

    A decision that says what the item's status says anyway changes no lock, and is on record all the same. Raises
    StockActError where there is no such item, or where `refusal` says why the decision could not do what it says.
    """
    check_id(key[0], "account")
    check_id(key[1], "the item's id")
    if decision is Decision.NOT_SHIPPED:
        return undo_shipment(stock, key, None, by, oversell)
    act, verb = _ACTS[decision]
    with stock.changing():
        item = item_of(stock, key)
        if why := refusal(item, decision):
            raise StockActError(why)
        record_decision(stock, key, decision, by)
        note_act(stock.connection, by, act, on_item(key))
        return reconcile(stock, {key: Cause(f"{verb} by {by.user}: {by.reason}", by=by)}, oversell)


def record_decision(stock: StockConnection, key: ItemKey, decision: Decision, by: By) -> None:
    """Puts on record what a person decided about an item, with the status that it has now."""
    stock.execute(_DECIDE, [decision, by.reason, by.user, *key])


def undo_shipment(
    stock: StockConnection, key: ItemKey, pieces: int | None, by: By, oversell: frozenset[str] = NO_OVERSELL
) -> StockResult:
    """Puts pieces of an item back that were reported as shipped by mistake. None: all that have left.

    But not those that were not taken from the pieces on hand, came back already, or were on the shelf when it was
    counted after their supposed shipment. What is stored as shipped counts, even if the stock job has yet to look at
    it. Pieces that are reported as shipped beyond that have left. Raises StockActError where there is no such item, or
    where fewer pieces have left.
    """
    check_id(key[0], "account")
    check_id(key[1], "the item's id")
    with stock.changing():
        item, departures = item_of(stock, key), load_departures(stock, key)
        left, reported = pieces_of(departures), reported_pieces(item) - over_reported_now(item)
        undone = max(left, reported) if pieces is None else pieces
        if not 0 < undone <= max(left, reported):
            raise StockActError(
                f"No piece of the item {key[1]} has left the stock: there is no shipment to undo."
                if not left
                else f"Of the item {key[1]}, {left} pieces have left: {undone} can't be undone."
            )
        # Of the pieces that have left, the marketplace does not report some any more: it has corrected those.
        over_reported = over_reported_now(item) + max(0, undone - max(0, left - reported))
        note_over_report(stock, item, over_reported)
        if item.unreported:
            locks = load(stock, [key]).locks.get(key, ())
            unreported = unreported_now(item, has_lock=has_lock(locks), left=left)
            note_unreported(stock, item, max(0, unreported.pieces - undone), max(unreported.expected, reported))
        record_decision(stock, key, Decision.NOT_SHIPPED, by)
        note_act(stock.connection, by, Act.UNDO_SHIPMENT, on_item(key), f"{undone} pieces")
        still_left = reported_pieces(item) - over_reported
        put_back = undoing(departures, min(undone, max(0, left - still_left)))
        cause = Cause(f"shipment of {undone} pieces undone by {by.user}: {by.reason}", by=by)
        return reconcile(stock, {key: cause}, oversell, {key: put_back})


_ACTS = {
    Decision.LOCK: (Act.LOCK_ITEM, "locked"),
    Decision.RELEASE: (Act.RELEASE_ITEM, "released"),
    Decision.SHIPPED: (Act.SET_TO_SHIPPED, "set to shipped"),
}


def on_item(key: ItemKey) -> On:
    """The object of an act on an item."""
    account, item_id = key
    return On(account, item_id=item_id)


def item_of(stock: StockConnection, key: ItemKey) -> ItemFacts:
    """What is stored about an item. Raises StockActError where there is none."""
    items = load(stock, [key]).items
    if not items:
        raise StockActError(f"There is no order item {key[1]} in the account {key[0]}.")
    return items[0]


def catch_up(stock: StockConnection, keys: Iterable[ItemKey], oversell: frozenset[str] = NO_OVERSELL) -> StockResult:
    """Brings the locks of items to what is stored about them, also if events still wait, since an act depends on it."""
    return reconcile(stock, dict.fromkeys(keys, CHANGED_BEFORE), oversell)


def return_to_stock(
    stock: StockConnection,
    returns: Mapping[ItemKey, int],
    by: By,
    oversell: frozenset[str] = NO_OVERSELL,
    *,
    care_id: str | None = None,
) -> StockResult:
    """Books pieces of items that came back. `returns`: item → its pieces.

    Those of a SKU that is not in the stock list are noted: a list that was counted before counts them. `care_id`: the
    care record by which they came back; the stock job does not book its pieces again. Raises StockActError where fewer
    pieces of an item are away than come back, or where the care record is not about the item or says that fewer come
    back.
    """
    with stock.changing():
        care_record = None if care_id is None else f"care record {care_id}"
        for key, pieces in returns.items():
            on = on_item(key)._replace(other=care_record)
            note_act(stock.connection, by, Act.RETURN_TO_STOCK, on, f"{pieces} pieces")
        if care_id is not None:
            by = by._replace(reason=f"{care_record}: {by.reason}")
            for key, pieces in returns.items():
                note_care_record(stock, care_id, key, pieces)
        applied = catch_up(stock, returns, oversell)
        back = {key: coming_back(stock, key, pieces) for key, pieces in returns.items()}
        before = load_levels(stock, by_sku(chain.from_iterable(back.values())))
        levels, movements = dict(before), list[Movement]()
        for key, departures in back.items():
            for movement in returned(departures, key, levels, None, by):
                levels[movement.sku] = levels[movement.sku]._replace(on_hand=movement.on_hand)
                movements.append(movement)
        not_booked = tuple(
            ReturnNotBooked(
                movement.account,
                care_id or "",
                movement.item_id,
                returns[movement.account, movement.item_id],
                0,
                why_not(movement, before[movement.sku]),
            )
            for movement in movements
            if not movement.on_hand_change
        )
        cause = Cause(f"returned to stock by {by.user}: {by.reason}")
        return applied + move(stock, before, movements, cause, oversell) + StockResult(not_booked=not_booked)


def what_came_back(returns: Mapping[ItemKey, int], result: StockResult) -> list[str]:
    """What `return_to_stock` did with each item, for a person: a part of a sentence for each."""
    why = {(each.account, each.item_id): each.why for each in result.not_booked}
    return [
        f"{pieces} pieces of item {key[1]} came back and are on record, not on hand: {why[key]}"
        if key in why
        else f"{pieces} pieces of item {key[1]} are on hand again"
        for key, pieces in returns.items()
    ]


def coming_back(stock: StockConnection, key: ItemKey, pieces: int) -> list[Departure]:
    """What comes back when so many pieces of an item do. Raises StockActError where fewer are away."""
    departures = load_departures(stock, key)
    if not departures:
        raise StockActError(f"No piece of the item {key[1]} has left the stock: none can come back.")
    back = returning(departures, pieces)
    if pieces_of(back) < pieces:
        left = pieces_of(departures)
        raise StockActError(
            f"Of the item {key[1]}, {left} pieces have left, and {left - pieces_of(returning(departures, left))} came "
            f"back already: {pieces} more can't come back."
        )
    return back


def pieces_to_return(
    stock: StockConnection, account: str, item_id: str | None, pieces: int | None, care_id: str | None
) -> dict[ItemKey, int]:
    """What a person means, for `return_to_stock`: the pieces of an item, else all of a care record that are not booked.

    Raises StockActError where neither an item with its pieces nor a care record is named, or where the care record does
    not say what comes back; StockInputError for values that can't be used.
    """
    for value, name in (account, "account"), (item_id, "the item's id"), (care_id, "the care record's id"):
        if value is not None:
            check_id(value, name)
    if pieces is not None:
        check_pieces(pieces, "the number of pieces", lowest=1)
    if item_id is not None and pieces is not None:
        return {(account, item_id): pieces}
    if item_id is not None or pieces is not None or care_id is None:
        raise StockActError("Name the item and its pieces, the care record, or all three.")
    return _pieces_of_care_record(stock, account, care_id)


def _pieces_of_care_record(stock: StockConnection, account: str, care_id: str) -> dict[ItemKey, int]:
    rows = stock.execute(_OF_CARE_RECORD, [account, care_id]).fetchall()
    if not rows:
        raise StockActError(f"There is no care record {care_id} in the account {account}.")
    if unknown := [item_id for item_id, said, _ in rows if said is None]:
        raise StockActError(
            f"Care record {care_id} does not say how many pieces of the items {', '.join(unknown)} come back: name the "
            "item and its pieces as well."
        )
    left = {(account, item_id): said - booked for item_id, said, booked in rows if said > booked}
    if not left:
        raise StockActError(f"All pieces of care record {care_id} were booked already.")
    return left


def note_care_record(stock: StockConnection, care_id: str, key: ItemKey, pieces: int) -> None:
    """Notes that these pieces came back by the care record. Raises StockActError if it says that fewer do."""
    account, item_id = key
    rows = stock.execute(_OF_CARE_RECORD, [account, care_id]).fetchall()
    found = {item: (said, booked) for item, said, booked in rows}
    if item_id not in found:
        raise StockActError(f"The account {account} has no care record {care_id} about an item {item_id}.")
    said, booked = found[item_id]
    if said is not None and booked + pieces > said:
        raise StockActError(
            f"By care record {care_id}, {said} pieces of the item {item_id} come back, and {booked} were booked "
            f"already: {pieces} more can't be booked."
        )
    stock.execute(_NOTE_CARE_RECORD, [account, care_id, item_id, said, pieces])


_DECIDE = """
INSERT INTO stock_decisions
  (account, item_id, decision, item_status, reason, made_by, made_at)
SELECT account, item_id, %s, status, %s, %s, clock_timestamp() FROM order_items WHERE account = %s AND item_id = %s
"""
_OF_CARE_RECORD = """
SELECT about.item_id, about.quantity, coalesce(back.booked + back.booked_before + back.counted, 0)
FROM care_record_items about LEFT JOIN stock_returns back USING (account, care_id, item_id)
WHERE about.account = %s AND about.care_id = %s ORDER BY about.item_id
"""
# What a person books is not pending any more, also if the stock job was about to book it; the rest of it still is.
_NOTE_CARE_RECORD = """
INSERT INTO stock_returns AS back (account, care_id, item_id, pieces, booked, handled_at)
VALUES (%s, %s, %s, %s, %s, now())
ON CONFLICT (account, care_id, item_id) DO UPDATE SET booked = back.booked + excluded.booked,
  handled_at = CASE WHEN back.handled_at IS NULL
      AND back.pieces > back.booked + back.booked_before + back.counted + excluded.booked THEN NULL ELSE now() END
"""
