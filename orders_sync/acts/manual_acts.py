"""The table manual_acts: what people did by hand. Each act writes its row in the transaction of its effect.

Reading buyers' data is an act, too: its row is written before the data is shown.

A pass commits as it goes: the row of a pass that a person starts comes before the first batch.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as


class Act(StrEnum):
    """What a person can do by hand, and what they can read of buyers."""

    ADJUST_STOCK = "adjust_stock"
    IMPORT_STOCK = "import_stock"
    IMPORT_SKUS = "import_skus"
    SET_BUFFER = "set_buffer"
    CHANGE_STOCK_SETTINGS = "change_stock_settings"
    LOCK_ITEM = "lock_item"
    RELEASE_ITEM = "release_item"
    SET_TO_SHIPPED = "set_to_shipped"
    UNDO_SHIPMENT = "undo_shipment"
    HELD_STILL_HERE = "held_still_here"
    HELD_HAS_LEFT = "held_has_left"
    RETURN_TO_STOCK = "return_to_stock"
    RECEIVE_PIECES = "receive_pieces"
    PUT_AWAY = "put_away"
    REPAIR_LOCKS = "repair_locks"
    APPLY_EVENTS = "apply_events"
    RETRY_EVENTS = "retry_events"
    SKIP_EVENT = "skip_event"
    HOLD_BACK = "hold_back"
    UNDO_HOLD_BACK = "undo_hold_back"
    RETRY_REJECTED = "retry_rejected"
    DISMISS_REJECTED = "dismiss_rejected"
    NOTE_DRIFT_AS_SEEN = "note_drift_as_seen"
    REWIND_LANE = "rewind_lane"
    PAUSE_ACCOUNT = "pause_account"
    RESUME_ACCOUNT = "resume_account"
    SYNC = "sync"
    SYNC_ORDER = "sync_order"
    REFRESH_DOCUMENTS = "refresh_documents"
    REDECODE = "redecode"
    BLANK_BUYERS_DATA = "blank_buyers_data"
    EXPORT_BUYER = "export_buyer"
    ERASE_BUYER = "erase_buyer"
    SHOW_REJECTED = "show_rejected"
    SHOW_ERROR_ANSWER = "show_error_answer"
    READ_DOCUMENTS = "read_documents"
    READ_RECORD = "read_record"
    LIST_DEVICES = "list_devices"
    EXPORT_DOCUMENTS = "export_documents"
    PRUNE_HISTORY = "prune_history"
    PAUSE_SUBSCRIPTION = "pause_subscription"
    RESUME_SUBSCRIPTION = "resume_subscription"
    SKIP_DELIVERY = "skip_delivery"
    REPLAY_EVENTS = "replay_events"
    REMOVE_SUBSCRIPTION = "remove_subscription"
    MOVE_CUTOVER = "move_cutover"
    COMPARE_V1_AND_V2 = "compare_v1_and_v2"


class On(NamedTuple):
    """On what a person acts; None where that is not part of it."""

    account: str | None = None
    order_id: str | None = None
    """Of an item that is stored, its order is found."""
    item_id: str | None = None
    sku: str | None = None
    """Of an item that is stored, the SKU that the buyer ordered is found."""
    other: str | None = None
    """Anything else, e.g. `lane shop/new`, `event 17` or `care record R1`."""


def note_act(connection: Connection, by: By, act: Act, on: On | None = None, detail: str = "") -> None:
    """Stores an act. Call it in the transaction of its effect.

    `detail`: what was done, in a few words, e.g. `3 pieces added`; no buyer's data.
    """
    note_acts(connection, by, act, [on or On()], detail)


def note_acts(connection: Connection, by: By, act: Act, objects: Iterable[On], detail: str = "") -> None:
    """Stores an act on several objects, as `note_act` does on one."""
    same = {
        "actor": by.user, "via": by.via or None, "run_id": by.run_id or None, "act": act, "detail": detail or None,
        "reason": by.reason or None,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(_NOTE, [same | on._asdict() for on in objects])


class NotedOnce:
    """An act of several transactions: noted once for each object, with the first of them that changes something.

    Call it last in each transaction that changes something, so that it is noted with that transaction or not at all.
    """

    def __init__(self, connection: Connection, by: By | None, act: Act) -> None:
        """`by`: the person who acts; None: no person does, and nothing is noted."""
        self._connection, self._by, self._act = connection, by, act
        self._noted = set[On]()

    def __call__(self, on: On | None = None) -> None:
        """Notes the act on this object, unless it is noted already."""
        on = on or On()
        if self._by is not None and on not in self._noted:
            note_act(self._connection, self._by, self._act, on)
            self._noted.add(on)


_NOTE = """
INSERT INTO manual_acts (at, actor, via, run_id, act, detail, reason, account, order_id, item_id, sku, object)
SELECT clock_timestamp(), %(actor)s, %(via)s, %(run_id)s, %(act)s, %(detail)s, %(reason)s, given.account,
  coalesce(%(order_id)s, item.order_id), given.item_id, coalesce(%(sku)s, item.sku), %(other)s
FROM (VALUES (%(account)s::text, %(item_id)s::text)) AS given (account, item_id)
LEFT JOIN order_items item USING (account, item_id)
"""


class ManualAct(NamedTuple):
    """A stored act."""

    at: datetime
    actor: str
    via: str | None
    """Where from; None: before the table existed."""
    act: str
    """One of `Act`."""
    detail: str | None
    account: str | None
    order_id: str | None
    item_id: str | None
    sku: str | None
    object: str | None
    reason: str | None
    run_id: str | None


COLUMNS: LiteralString = "at, actor, via, act, detail, account, order_id, item_id, sku, object, reason, run_id"
"""The columns of manual_acts as `ManualAct` has them."""


class Selection(NamedTuple):
    """Which acts are meant; None: any."""

    account: str | None = None
    order_id: str | None = None
    """Acts on this order, or on one of its items."""
    sku: str | None = None
    """In any case of letters."""
    actor: str | None = None
    """A part of who acted, in any case of letters, e.g. `ann`."""
    since: datetime | None = None


def stored_acts(connection: Connection, selection: Selection, limit: int | None = None) -> list[ManualAct]:
    """The selected acts, the oldest first; of more than `limit`, the latest."""
    found = rows_as(connection, ManualAct, _STORED, {**selection._asdict(), "limit": limit})
    return list(reversed(found))


_STORED: LiteralString = """
SELECT {columns} FROM manual_acts
WHERE (%(account)s::text IS NULL OR account = %(account)s)
  AND (%(order_id)s::text IS NULL OR order_id = %(order_id)s)
  AND (%(sku)s::text IS NULL OR upper(sku) = upper(%(sku)s))
  AND (%(actor)s::text IS NULL OR position(lower(%(actor)s) IN lower(actor)) > 0)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
ORDER BY act_id DESC LIMIT %(limit)s
""".replace("{columns}", COLUMNS)
