"""What becomes of one raw record of an adapter: stored, stored with flaws, or rejected. Anything else is a fault."""

import json
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec

from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.records import CareRecord, Flaw, Order, Reason, RecordRejectedError
from orders_sync.sync.batch import Batch, DecodedOrder
from orders_sync.sync.validate import flawed_orders, mend_care_record, mend_order


class Stored(msgspec.Struct, frozen=True):
    """A record that is stored."""

    value: Order | CareRecord
    decoded: Order | CareRecord
    """Before the record check."""
    raw: bytes
    """Its JSON as it is stored."""
    flaws: Sequence[Flaw] = ()


class Rejected(msgspec.Struct, frozen=True):
    """A record that is rejected."""

    reasons: Sequence[Reason]


Outcome = Stored | Rejected


class OutcomeError(AssertionError):
    """A record that is neither stored as it must be nor rejected."""


def order_outcome(adapter: Adapter, raw: bytes) -> Outcome:
    """What a pass makes of an order's raw record.

    Raises OutcomeError if something is raised other than RecordRejectedError, if the two forms of the record check
    disagree, if the mended order has a flaw that it did not have before, or if PostgreSQL could not store it.
    """
    return _outcome(_stored_order, adapter, raw)


def care_outcome(adapter: Adapter, raw: bytes) -> Outcome:
    """What a pass makes of a care record. Raises OutcomeError likewise."""
    return _outcome(_stored_care_record, adapter, raw)


def _outcome(stored: Callable[[Adapter, bytes], Stored], adapter: Adapter, raw: bytes) -> Outcome:
    try:
        return stored(adapter, raw)
    except RecordRejectedError as problem:
        return Rejected(problem.reasons)
    except OutcomeError:
        raise
    except Exception as error:
        raise OutcomeError(f"{type(error).__name__} was raised: {error}; record: {raw!r}") from error


def _stored_order(adapter: Adapter, raw: bytes) -> Stored:
    decoded = decode_leniently(adapter.decode_order, adapter.order_struct, raw)
    is_valid = _is_valid(decoded.value, decoded.raw)
    try:
        order, flaws = mend_order(decoded.value, decoded.flaws)
    except RecordRejectedError:
        _demand(not is_valid, "the check of batches takes an order for valid that mend_order rejects", raw)
        raise
    _demand(
        not is_valid or (order == decoded.value and not flaws),
        "the check of batches takes an order for valid that mend_order changes",
        raw,
    )
    again, flaws_again = mend_order(order)
    _demand(again == order, "a mended order is changed when it is mended again", raw)
    _demand_no_new_flaw(flaws, flaws_again, raw)
    _check_content(order, decoded.raw, raw)
    return Stored(order, decoded.value, decoded.raw, (*decoded.flaws, *flaws))


def _is_valid(order: Order, stored: bytes) -> bool:
    """Whether the check of batches takes an order for valid as it is."""
    batch = Batch("fuzz", [DecodedOrder(order, RawRecord(order.order_id, stored, bytes(16)), stored)])
    if flawed_orders(batch.fields, len(stored)):
        return False
    try:
        batch.build()
    except ValueError:  # a character that PostgreSQL can't store
        return False
    return True


def _stored_care_record(adapter: Adapter, raw: bytes) -> Stored:
    decoded = decode_leniently(adapter.decode_care_record, adapter.care_struct, raw)
    care, flaws = mend_care_record(decoded.value, decoded.flaws)
    again, flaws_again = mend_care_record(care)
    _demand(again == care, "a mended care record is changed when it is mended again", raw)
    _demand_no_new_flaw(flaws, flaws_again, raw)
    _check_text(msgspec.json.encode(care), raw)
    check_json(decoded.raw, raw)
    return Stored(care, decoded.value, decoded.raw, (*decoded.flaws, *flaws))


def check_json(stored: bytes, received: bytes) -> None:
    """Raises OutcomeError unless PostgreSQL's json and jsonb take what is stored.

    An exponent beyond the range of PostgreSQL's numeric is allowed: json takes it, and jsonb does not.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        document = json.loads(stored.decode(), parse_constant=refuse)
        text = json.dumps(document, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise OutcomeError(f"what is stored is not valid JSON: {error}; record: {received!r}") from error
    escapes = text.replace("\\\\", "")  # a backslash before u0000 is a text like any other
    _demand("\\u0000" not in escapes, "what is stored contains the character NUL", received)


def _check_content(order: Order, stored: bytes, received: bytes) -> None:
    """What COPY would send has one line for each row, and only texts that PostgreSQL can store."""
    record = RawRecord(order.order_id, received, bytes(16), order.created_at, order.modified_at)
    batch = Batch("fuzz", [DecodedOrder(order, record, stored)])
    content, items = batch.orders, batch.items
    _check_text(content, received)
    _check_text(items, received)
    _demand(content.count(b"\n") == 1, "an order is not one line of COPY's content", received)
    _demand(items.count(b"\n") == len(order.items or ()), "an item is not one line of COPY's content", received)
    _check_text(batch.created_events, received)
    check_json(stored, received)


def _check_text(content: bytes, received: bytes) -> None:
    _demand(b"\x00" not in content, "COPY's content contains the character NUL", received)
    content.decode()


def _demand_no_new_flaw(flaws: Sequence[Flaw], again: Sequence[Flaw], raw: bytes) -> None:
    """What is odd about a mended record was so before, e.g. a negative total; only positions in lists may change."""
    known, new = ({(re.sub(r"\d+", "", flaw.field), flaw.found) for flaw in each} for each in (flaws, again))
    _demand(new <= known, "a mended record has a flaw that it did not have before", raw)


def _demand(holds: bool, otherwise: str, raw: bytes) -> None:
    if not holds:
        raise OutcomeError(f"{otherwise}; record: {raw!r}")
