"""One trial: what an adapter makes of one odd input."""

import json
from random import Random
from typing import Literal

import msgspec

from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.testing.record_outcomes import Outcome, OutcomeError, Stored, care_outcome, order_outcome
from orders_sync_tests.fuzz.inputs import CONTRACTS, PAGES, built, mutated, with_odd_values

Result = Literal["stored", "flawed", "rejected", "page", "refused page"]


def try_order(marketplace: str, adapter: Adapter, random: Random) -> Outcome:
    """An order from the example or from its struct. Raises OutcomeError if it is neither stored nor rejected."""
    assert adapter.order_struct is not None
    return order_outcome(adapter, _record(CONTRACTS[marketplace].order.record, adapter.order_struct, random))


def try_care_record(marketplace: str, adapter: Adapter, random: Random) -> Outcome:
    """A care record likewise."""
    assert adapter.care_struct is not None
    return care_outcome(
        adapter, _record(random.choice(CONTRACTS[marketplace].care).record, adapter.care_struct, random)
    )


def try_page(marketplace: str, random: Random) -> Result:
    """A page of a list, and the heads of its records.

    Raises OutcomeError if the page is neither decoded nor refused with msgspec.DecodeError, or if anything is raised
    when a record's head is read.
    """
    decode, read, page = random.choice(PAGES[marketplace])
    raw = with_odd_values(page, random) if random.random() < 0.5 else mutated(json.dumps(page).encode(), random)
    try:
        decoded = decode(raw)
    except msgspec.DecodeError:
        return "refused page"
    except Exception as error:
        raise OutcomeError(f"{type(error).__name__} was raised: {error}; page: {raw!r}") from error
    try:
        for record in next(value for value in msgspec.structs.astuple(decoded) if isinstance(value, list)):
            read(bytes(record))
    except Exception as error:
        raise OutcomeError(f"{type(error).__name__} was raised: {error}; page: {raw!r}") from error
    return "page"


def result_of(outcome: Outcome) -> Result:
    """The outcome as one word."""
    if isinstance(outcome, Stored):
        return "flawed" if outcome.flaws else "stored"
    return "rejected"


def _record(record: object, struct: type[msgspec.Struct], random: Random) -> bytes:
    match random.choice(["bytes", "bytes", "values", "struct", "both"]):
        case "bytes":
            return mutated(json.dumps(record).encode(), random)
        case "values":
            return with_odd_values(record, random)
        case "struct":
            return built(struct, random)
        case _:
            return mutated(with_odd_values(record, random), random)
