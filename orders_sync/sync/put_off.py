"""Records that could not be fetched: each is put off, unless the marketplace as a whole is down.

Some records need a call of their own: the detail of a care record, a rejected order that is tried again, an order that
no list contains any more. Where the line lies between a record that can't be had and a marketplace that is down:

* An answer that concerns one record (404, 400, 422, …, one that is too large, or one that makes the adapter raise an
  exception) puts the record off.
* An answer that may concern one record or all (403, 5xx, no answer in time, no JSON, another record) puts the record
  off too, but MAX_FAILURES_IN_A_ROW of them, with no success between them, mean that the marketplace is down.
* A failure that concerns all calls (no connection, 401, 429, no calls left for the day) means so at once.

A record that is put off is kept among the rejected records with the reason, so that no gap is behind the watermark. A
later pass fetches it. A pass that put a record off is *partial*. A pass whose marketplace is down fails.
"""

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.errors import (
    AdapterError,
    AnswerTooLargeError,
    BadAnswerError,
    CredentialRefusedError,
    MarketplaceError,
    RequestRefusedError,
    of_adapter,
)
from orders_sync.marketplaces.kit.json_repair import is_valid
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import Reason
from orders_sync.model.shown_ids import shown_id
from orders_sync.sync.rejected_records import (
    NOT_FETCHED,
    RejectedRecord,
    Selection,
    is_put_off,
    keep,
    not_fetched,
    note_tried,
    resolve,
    selected,
    title_of,
)

MAX_FAILURES_IN_A_ROW = 3
"""So many single records in a row that can't be fetched mean that the marketplace is down."""
_TOO_LARGE = "the answer is too large (limits.answer_megabytes)"


class OtherRecordError(BadAnswerError):
    """The marketplace answered the request for a record with another record."""


def fetch_order(adapter: Adapter, order_id: str) -> RawRecord | None:
    """An order in its current version; None if the marketplace has none with this id.

    Raises OtherRecordError if the answer is another order, or names no order, and other MarketplaceErrors.
    """
    with of_adapter("order"):
        record = adapter.order(order_id)
        found = None if record is None else record.record_id
    if found is not None and found != order_id:
        other = "another order" if found else "a record without a usable id"
        raise OtherRecordError(f"the marketplace answered the request for order {shown_id(order_id)} with {other}")
    return record


class SingleFetches:
    """The calls of a pass that each fetch one record, as far as they show whether the marketplace is down."""

    def __init__(self) -> None:
        self._failures_in_a_row = 0

    def note_success(self) -> None:
        """Notes that a record was fetched."""
        self._failures_in_a_row = 0

    def is_down(self, problem: MarketplaceError) -> bool:
        """Notes that a record could not be fetched; whether the marketplace as a whole is down."""
        if problem.concerns_all_calls:
            return True
        if isinstance(problem, AnswerTooLargeError | AdapterError) or (
            isinstance(problem, RequestRefusedError) and not isinstance(problem, CredentialRefusedError)
        ):
            self._failures_in_a_row = 0  # the marketplace understood the request
        else:
            self._failures_in_a_row += 1
        return self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW


def put_off(kind: str, record: RawRecord, problem: MarketplaceError) -> RejectedRecord:
    """A record that could not be fetched, to be kept until it is. `kind`: `order` or `care`."""
    return RejectedRecord.of(kind, record, [reason_of(problem)])


def put_off_cut_off(kind: str, record: RawRecord) -> RejectedRecord:
    """A record of a list that is too large, of which only the beginning is there, to be kept until it is smaller."""
    return RejectedRecord.of(kind, record, [not_fetched(_TOO_LARGE)])


def is_cut_off(raw: bytes, reasons: list[Reason]) -> bool:
    """Whether only the beginning of a record is kept: then it can't be checked again."""
    return not_fetched(_TOO_LARGE) in reasons and not is_valid(raw)


def put_off_stored(
    connection: Connection,
    account: str,
    adapter: Adapter,
    record: RawRecord,
    problem: MarketplaceError,
    kept: KeptFields,
) -> None:
    """Notes that the newest version of a stored order could not be fetched.

    `record`: as it is stored. A newer version that is rejected already is kept instead.
    """
    key = Selection(account, "order", record.record_id)
    known = selected(connection, key)
    for one in known:
        note_tried(connection, account, one.kind, one.key, with_reason(one.reasons, problem))
    if not known and not selected(connection, key._replace(is_dismissed=True)):
        keep(connection, account, [put_off("order", record, problem)], adapter.latest_time, kept)


def put_off_orders(connection: Connection, account: str) -> set[str]:
    """The keys of the orders that are put off."""
    return {kept.key for kept in selected(connection, Selection(account, "order", reason=NOT_FETCHED))}


def forget_put_off(connection: Connection, account: str, order_id: str) -> None:
    """Notes that an order need not be fetched any more; a version of it that is rejected stays so."""
    for kept in selected(connection, Selection(account, "order", order_id)):
        if all(is_put_off([reason]) for reason in kept.reasons):
            resolve(connection, account, kept.kind, {kept.key: None})


def reason_of(problem: MarketplaceError) -> Reason:
    """Why a record is put off; the same for all records with the same problem."""
    if problem.status is not None:
        cause = str(problem.status)
    elif isinstance(problem, OtherRecordError):
        cause = "another record came"
    elif isinstance(problem, AnswerTooLargeError):
        cause = _TOO_LARGE
    elif isinstance(problem, AdapterError):
        cause = str(problem)
    elif isinstance(problem, BadAnswerError):
        cause = "the answer is no JSON"
    else:
        cause = "no answer"
    return not_fetched(cause)


def with_reason(reasons: list[Reason], problem: MarketplaceError) -> list[Reason]:
    """The reasons of a record that could not be fetched again: why, and what was wrong with it when it was fetched."""
    return [*(reason for reason in reasons if not is_put_off([reason])), reason_of(problem)]


def summary_of(kind: str, record_id: str, problem: MarketplaceError) -> PassSummary:
    """The part of a pass's summary about a record that could not be fetched."""
    return PassSummary(put_off=1, problems=[f"{title_of(kind)} {shown_id(record_id)} put off: {problem}"])
