"""Whatever a marketplace answers: a record is stored, stored with flaws, or rejected; a page is read or refused."""

import json
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.model.records import ItemKind, Order, OrderItem
from orders_sync.model.statuses import Status
from orders_sync.sync.validate import mend_order
from orders_sync.testing.field_mapping import day
from orders_sync.testing.record_outcomes import Stored, order_outcome
from orders_sync_tests.fuzz.inputs import CONTRACTS
from orders_sync_tests.fuzz.trial import try_care_record, try_order, try_page

FEW = settings(
    max_examples=200,
    deadline=None,
    # One adapter serves all examples: it keeps nothing of a record that it decodes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RANDOMS = st.randoms(use_true_random=False)


@pytest.fixture(params=CONTRACTS)
def marketplace(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def adapter(marketplace: str) -> Iterator[Adapter]:
    opened = CONTRACTS[marketplace].open()
    yield opened
    opened.close()


@FEW
@given(random=RANDOMS)
def test_an_order_is_stored_or_rejected(marketplace: str, adapter: Adapter, random: Random) -> None:
    try_order(marketplace, adapter, random)


@FEW
@given(random=RANDOMS)
def test_a_care_record_is_stored_or_rejected(marketplace: str, adapter: Adapter, random: Random) -> None:
    try_care_record(marketplace, adapter, random)


@FEW
@given(random=RANDOMS)
def test_a_page_is_read_or_refused(marketplace: str, random: Random) -> None:
    try_page(marketplace, random)


@pytest.mark.parametrize("state", ["CANCELED", "REFUNDED"])
def test_a_line_that_is_not_to_be_shipped_is_stored_without_a_sku(state: str) -> None:
    """Found by `make fuzz`: the trial took such an order for one that was mended in vain."""
    contract = CONTRACTS["mirakl"]
    adapter = contract.open()
    [line] = contract.order.record["order_lines"]
    record = {**contract.order.record, "order_lines": [{**line, "order_line_state": state, "offer_sku": None}]}
    outcome = order_outcome(adapter, json.dumps(record).encode())
    adapter.close()
    assert isinstance(outcome, Stored)
    assert [item.sku for item in outcome.value.items or () if isinstance(item, OrderItem)] == [""]


def test_a_gift_card_with_an_endless_sku_is_stored_without_it() -> None:
    """Found by `make fuzz`: such a SKU was stored, and is too long for an index."""
    item = OrderItem("1", "x" * 9_000, 1, Status.ACCEPTED, kind=ItemKind.GIFT_CARD)
    order, flaws = mend_order(Order("1", Status.ACCEPTED, [item], created_at=day(1)))
    assert [item.sku for item in order.items or ()] == [""]
    assert [flaw.field for flaw in flaws] == ["items[0].sku"]


def test_of_several_odd_numbers_the_flaw_that_stays_is_reported() -> None:
    """Found by `make fuzz`: a number that is too long hid that another one, which is stored, is no IMEI."""
    item = OrderItem("1", "PHONE", 1, Status.ACCEPTED, imeis=("x" * 20_000, "no IMEI"))
    order, flaws = mend_order(Order("1", Status.ACCEPTED, [item], created_at=day(1)))
    assert [(flaw.field, flaw.found) for flaw in flaws] == [("items[0].imeis", "is no 15 digits")]
    assert [item.imeis for item in order.items or ()] == [("no IMEI",)]
    assert mend_order(order)[1] == flaws
