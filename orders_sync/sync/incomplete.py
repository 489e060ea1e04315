"""`incomplete`: reads the documents that orders should have by now and that are missing, or whose URLs soon expire.

It writes only documents, no status and no event: a status stored here would be a change without an event. `modified`
stores the status, with its event.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from psycopg import DataError

from orders_sync.database.rows import rows_as
from orders_sync.lanes.watermark import advance_watermark
from orders_sync.marketplaces.kit.adapter import Adapter, MissingDocuments, OrderDocuments
from orders_sync.marketplaces.kit.errors import BadAnswerError, MarketplaceError, RecordNotFoundError, place_of
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import Document
from orders_sync.model.shown_ids import shown_id
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status
from orders_sync.sync.documents import is_usable, store_documents
from orders_sync.sync.isolate_rejected import reason_of
from orders_sync.sync.record_flaws import RecordFlaws
from orders_sync.sync.running_pass import RunningPass

RENEW_BEFORE = timedelta(hours=6)
"""How long before it expires a URL is read anew: the next pass may come hours later."""
RENEW_BACK = timedelta(days=93)
"""The URLs of orders that are older than this are not read anew, shipped or not."""
GIVE_UP_AFTER = 10
"""If nothing could be read for so many orders, and for none before, the marketplace is at fault: the pass fails."""

_MISSING = """
WITH expiring AS (
  SELECT order_id, array_agg(kind) AS kinds FROM order_documents
  WHERE account = %(account)s AND cancelled_at IS NULL AND expires_at BETWEEN %(renew_since)s AND %(renew_until)s
  GROUP BY order_id
), cancelled AS (
  -- Labels of these may have been made before the cancellation: then their pieces may have left. One look is enough.
  SELECT order_id, created_at, revision
  FROM orders
  WHERE account = %(account)s AND %(holds)s AND created_at >= %(since)s
    AND revision > coalesce(late_label_revision, 1)
    AND marketplace_shipping IS NOT FALSE AND label_url IS NULL AND status <> ALL(%(label_due)s)
    AND EXISTS (
      SELECT FROM order_events event
      JOIN order_items item USING (account, order_id, item_id)
      JOIN stock_locks lock USING (account, item_id)
      WHERE event.account = orders.account AND event.order_id = orders.order_id
        AND event.revision > coalesce(late_label_revision, 0)
        AND event.old_status = ANY(%(label_due)s) AND item.status = ANY(%(cancelled)s))
    AND NOT EXISTS (
      SELECT FROM order_documents known
      WHERE known.account = orders.account AND known.order_id = orders.order_id AND known.kind = 'label')
), candidates AS (
  SELECT order_id FROM orders WHERE account = %(account)s AND created_at >= %(since)s
  UNION SELECT order_id FROM expiring
), due AS (
  SELECT order_id, created_at, marketplace_delivery_note IS NOT FALSE AND status = ANY(%(note_due)s) AS note,
    marketplace_shipping IS NOT FALSE AND status = ANY(%(label_due)s) AS label, delivery_note_url, label_url, kinds,
    -- Of a blanked order, URLs are not stored. That there is a document is, once: its pieces may leave with it.
    buyer_data_blanked_at IS NOT NULL AND EXISTS (
      SELECT FROM order_documents known WHERE known.account = orders.account AND known.order_id = orders.order_id
        AND known.kind = 'delivery_note') AS has_blanked_note,
    buyer_data_blanked_at IS NOT NULL AND EXISTS (
      SELECT FROM order_documents known WHERE known.account = orders.account AND known.order_id = orders.order_id
        AND known.kind = 'label') AS has_blanked_label
  FROM candidates JOIN orders USING (order_id) LEFT JOIN expiring USING (order_id)
  WHERE account = %(account)s AND (status = ANY(%(note_due)s) OR status = ANY(%(label_due)s))
), checked AS (
  SELECT order_id, created_at,
    note AND NOT has_blanked_note AND (delivery_note_url IS NULL OR 'delivery_note' = ANY(kinds)) AS note,
    label AND NOT has_blanked_label AND (label_url IS NULL OR 'label' = ANY(kinds) OR (
      -- Each label says for which items it is, and none is for this item: it lies in another parcel.
      EXISTS (
        SELECT FROM order_items item
        WHERE item.account = %(account)s AND item.order_id = due.order_id
          AND item.kind = 'goods' AND item.status = ANY(%(label_due)s)
          AND (
            SELECT count(*) > 0 AND bool_and(known.item_ids <> '[]' AND NOT known.item_ids ? item.item_id)
            FROM order_documents known
            WHERE known.account = %(account)s AND known.order_id = due.order_id AND known.kind = 'label'
              AND known.cancelled_at IS NULL
          )
      )
    )) AS label
  FROM due
)
SELECT order_id, delivery_note, label, late_label_revision FROM (
  SELECT order_id, created_at, coalesce(note, FALSE) AS delivery_note, coalesce(label, FALSE) AS label,
    NULL::integer AS late_label_revision
  FROM checked WHERE note OR label
  UNION ALL SELECT order_id, created_at, FALSE, TRUE, revision FROM cancelled
) missing ORDER BY created_at, order_id
"""
#: By the revision that the query saw: a cancellation that is committed meanwhile has a later one.
_NOTE_LOOKS = """
UPDATE orders SET late_label_revision = look.revision
FROM unnest(%s::text[], %s::integer[]) AS look (order_id, revision)
WHERE account = %s AND orders.order_id = look.order_id
"""
_OF_ORDERS = """
SELECT order_id, marketplace_delivery_note IS NOT FALSE AS delivery_note, marketplace_shipping IS NOT FALSE AS label
FROM orders WHERE account = %s AND order_id = ANY(%s) ORDER BY created_at, order_id
"""


def sync(pass_: RunningPass) -> None:
    """Runs one pass over the orders of the last `days_back` days, and those whose documents expire.

    An order whose documents can't be read is a problem in the summary, and stops no other: the next pass tries it
    again. Raises MarketplaceError if nothing can be read at all.
    """
    days = pass_.request.days_back or pass_.request.account.settings.days_back
    now = pass_.adapter.now()
    since = now - timedelta(days=days)
    pass_.add(PassSummary(range_start=since, range_end=now))
    missing, looks = _missing_documents(pass_, since, now)
    read = read_documents(pass_, missing)
    # The adapter has the marketplace's clock once it has an answer; without a request, it has only ours.
    began = pass_.adapter.now() - (datetime.now(UTC) - pass_.began)
    with pass_.connection.transaction():
        looked = sorted(looks.keys() & set(read))
        pass_.connection.execute(_NOTE_LOOKS, [looked, [looks[each] for each in looked], pass_.lane.account])
        reached = advance_watermark(pass_.connection, pass_.lane, began)
    pass_.add(PassSummary(range_end=began, watermark=reached))


def read_documents(
    pass_: RunningPass, missing: Sequence[MissingDocuments], on_storing: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Reads and stores documents of orders. Raises MarketplaceError if nothing can be read at all.

    Returns the ids of the orders of which all could be read that the marketplace has. `on_storing`: is called with an
    order's id at the end of the transaction that stores its documents.
    """
    flaws = RecordFlaws(pass_.connection, pass_.lane.account, "order")
    read: list[str] = []
    failures = successes = 0
    for order_id, answer in _answers(pass_.adapter, missing):
        pass_.add(
            PassSummary(fetched=1, problems=[f"order {shown_id(order_id)}: {problem}" for problem in answer.problems])
        )
        has_failed = any(not isinstance(problem, RecordNotFoundError) for problem in answer.problems)
        failures += has_failed and not answer.found
        if failures >= GIVE_UP_AFTER and not successes:
            raise answer.problems[0]
        stored = PassSummary()
        if answer.found or answer.flaws or not answer.problems:
            successes += bool(answer.found) or not has_failed
            stored = _store(pass_, flaws, order_id, answer, on_storing)
            pass_.add(stored)
            pass_.note_progress()
        if not has_failed and not stored.problems:
            read.append(order_id)
    return read


def _answers(adapter: Adapter, missing: Sequence[MissingDocuments]) -> Iterator[tuple[str, OrderDocuments]]:
    """The adapter's answers, by the ids as they are stored.

    Where it raises anything but a MarketplaceError, the other orders are read one by one.
    """
    requested = {order.order_id for order in missing}
    answered: set[str] = set()
    try:
        for answered_id, answer in adapter.documents(missing):
            order_id = answered_id.strip()
            if order_id not in requested:
                problem = BadAnswerError("documents came of this order, which were not requested: they are not stored")
                yield order_id, OrderDocuments((), problems=[problem])
                continue
            documents = _in_full(answer)
            answered.add(order_id)
            yield order_id, documents
    except MarketplaceError:
        raise
    except Exception as error:
        if len(missing) == 1:
            problem = BadAnswerError(
                f"its documents can't be read: the adapter's documents() raised {type(error).__name__}{place_of(error)}"
            )
            yield missing[0].order_id, OrderDocuments((), problems=[problem])
            return
        for order in missing:
            if order.order_id not in answered:
                yield from _answers(adapter, [order])


def _in_full(answer: Sequence[Document] | OrderDocuments | MarketplaceError) -> OrderDocuments:
    """An adapter's answer in its longest form. Raises TypeError if it is something else."""
    if isinstance(answer, MarketplaceError):
        return OrderDocuments((), problems=[answer])
    documents = answer if isinstance(answer, OrderDocuments) else OrderDocuments(tuple(answer))
    if wrong := [document for document in documents.found if not isinstance(document, Document)]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a document is {type(wrong[0]).__name__}")
    return documents


def of_orders(pass_: RunningPass, order_ids: Sequence[str]) -> list[MissingDocuments]:
    """All documents that these orders can have, as far as the orders are stored."""
    return rows_as(pass_.connection, MissingDocuments, _OF_ORDERS, [pass_.lane.account, list(order_ids)])


def _store(
    pass_: RunningPass, flaws: RecordFlaws, order_id: str, answer: OrderDocuments, on_storing: Callable[[str], None]
) -> PassSummary:
    """Stores the documents of an order that were found."""
    if not answer.found and not answer.flaws:
        return PassSummary(unchanged=1)
    account, is_whole = pass_.lane.account, not answer.problems
    try:
        with pass_.connection.transaction():
            wrong = store_documents(pass_.connection, account, {order_id: answer.found}, are_whole=is_whole)
            wrong += ((order_id, flaw) for flaw in answer.flaws)
            flaws.add(wrong)
            on_storing(order_id)
    except DataError as error:
        return PassSummary(problems=[f"order {shown_id(order_id)}: its documents: {reason_of(error).what}"])
    return PassSummary(changed=1, flawed=bool(wrong), documents_found=sum(map(is_usable, answer.found)))


def _missing_documents(
    pass_: RunningPass, since: datetime, now: datetime
) -> tuple[list[MissingDocuments], dict[str, int]]:
    """The orders that should have a document by now which is not stored, or which soon expires, oldest first.

    And those that were cancelled, until one pass could look for a label that was made before: their revisions, by order
    id, are returned as well. `since`: only orders that were created at or after it can miss a document.
    """
    rows = pass_.connection.execute(
        _MISSING,
        {
            "account": pass_.lane.account,
            "since": since,
            "renew_since": now - RENEW_BACK,
            "renew_until": now + RENEW_BEFORE,
            "note_due": [str(status) for status in DELIVERY_NOTE_DUE],
            "label_due": [str(status) for status in LABEL_DUE],
            "cancelled": [Status.CANCELLED, Status.REFUNDED_BEFORE_SHIPPING],
            "holds": pass_.request.account.settings.hold_after_label,
        },
    ).fetchall()
    looks = {order_id: revision for order_id, _, _, revision in rows if revision is not None}
    return [MissingDocuments(*order) for *order, _ in rows], looks
