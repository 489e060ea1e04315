"""What an item needs of the stock follows from what is stored about it, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.needs import NOTHING, Decision, ItemFacts, Need, StockPart, StockSkus, need_of, parts_of
from orders_sync.stock.sku_case import SkuCase

LOCKING = [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.LOCK]
CONSUMING = [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.CONSUME]
RELEASING = [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.RELEASE]

AN_ITEM = ItemFacts(
    "shop", "100", "1", "PHONE", is_goods=True, quantity=3, cancelled=None, shipped=None, status="accepted",
    order_status="accepted", ordered_at=None, left_at=None, decision=None,
)  # fmt: skip

facts = st.builds(
    AN_ITEM._replace,
    is_goods=st.booleans(),
    quantity=st.integers(0, 5),
    cancelled=st.none() | st.integers(0, 5),
    shipped=st.none() | st.integers(0, 5),
    status=st.sampled_from(Status),
    order_status=st.sampled_from(Status),
    decision=st.none() | st.sampled_from(Decision),
)


@pytest.mark.parametrize("status", LOCKING)
def test_an_open_item_holds_its_pieces(status: Status) -> None:
    assert need_of(AN_ITEM._replace(status=status), has_lock=False) == Need(hold=3, gone=0)


@pytest.mark.parametrize("status", CONSUMING)
def test_all_pieces_of_a_shipped_item_have_left(status: Status) -> None:
    assert need_of(AN_ITEM._replace(status=status), has_lock=False) == Need(hold=0, gone=3)


@pytest.mark.parametrize("status", RELEASING)
def test_a_cancelled_item_needs_nothing(status: Status) -> None:
    assert need_of(AN_ITEM._replace(status=status), has_lock=False) == NOTHING


@pytest.mark.parametrize(
    ("status", "cancelled", "shipped", "need"),
    [
        ("accepted", 1, None, Need(2, 0)),
        ("accepted", None, 1, Need(2, 1)),
        ("accepted", 1, 1, Need(1, 1)),
        ("accepted", 1, 2, Need(0, 2)),
        ("accepted", 3, 0, Need(0, 0)),
        ("shipped", 1, None, Need(0, 2)),
        ("shipped", None, 3, Need(0, 3)),
        ("shipped", 2, 1, Need(0, 1)),
        ("cancelled", 3, 0, Need(0, 0)),
        ("cancelled", 2, 1, Need(0, 1)),
        ("refunded_before_shipping", None, 1, Need(0, 1)),
        ("refunded_after_shipping", None, 1, Need(0, 1)),
    ],
)
def test_the_marketplaces_numbers_of_pieces_decide_where_it_gives_them(
    status: str, cancelled: int | None, shipped: int | None, need: Need
) -> None:
    """Of three pieces."""
    assert need_of(AN_ITEM._replace(status=status, cancelled=cancelled, shipped=shipped), has_lock=False) == need


def test_numbers_that_contradict_each_other_never_make_a_need_negative() -> None:
    assert need_of(AN_ITEM._replace(cancelled=9, shipped=None), has_lock=False) == Need(0, 0)
    assert need_of(AN_ITEM._replace(cancelled=3, shipped=3), has_lock=False) == Need(0, 3)


@pytest.mark.parametrize("status", [Status.AWAITING_PAYMENT, Status.UNKNOWN])
def test_before_the_payment_and_in_an_unknown_state_a_lock_stays_with_the_quantity(status: Status) -> None:
    item = AN_ITEM._replace(status=status, order_status=Status.UNKNOWN)
    assert need_of(item, has_lock=True) == Need(hold=3, gone=0)
    assert need_of(item._replace(cancelled=1, shipped=1), has_lock=True) == Need(hold=1, gone=1)
    assert need_of(item, has_lock=False) == NOTHING


@given(facts, st.sampled_from(Status))
def test_the_orders_status_counts_only_where_the_items_is_unknown(item: ItemFacts, order_status: Status) -> None:
    if item.status != Status.UNKNOWN:
        assert need_of(item._replace(order_status=order_status), has_lock=False) == need_of(item, has_lock=False)
    elif item.order_status != Status.UNKNOWN:
        assert need_of(item, has_lock=False) == need_of(item._replace(status=item.order_status), has_lock=False)


@given(facts)
def test_what_is_not_in_stock_needs_nothing(item: ItemFacts) -> None:
    assert need_of(item._replace(is_goods=False), has_lock=False) == NOTHING


@given(facts, st.booleans())
def test_a_need_is_never_negative_and_never_more_than_the_item_has(item: ItemFacts, has_lock: bool) -> None:
    need = need_of(item, has_lock=has_lock)
    assert min(need) >= 0
    assert need.hold + need.gone <= max(item.quantity, item.shipped or 0)


@pytest.mark.parametrize(
    ("decision", "status", "need"),
    [
        (Decision.LOCK, "cancelled", Need(3, 0)),
        (Decision.LOCK, "accepted", Need(3, 0)),
        (Decision.RELEASE, "accepted", Need(0, 0)),
        (Decision.RELEASE, "awaiting_payment", Need(0, 0)),
        (Decision.SHIPPED, "accepted", Need(0, 3)),
        (Decision.SHIPPED, "cancelled", Need(0, 3)),
        (Decision.NOT_SHIPPED, "accepted", Need(3, 0)),
        (Decision.NOT_SHIPPED, "shipped", Need(0, 0)),
        (Decision.NOT_SHIPPED, "cancelled", Need(0, 0)),
    ],
)
def test_a_decision_of_a_person_counts_more_than_the_status(decision: Decision, status: str, need: Need) -> None:
    over = 3 if decision is Decision.NOT_SHIPPED else 0
    item = AN_ITEM._replace(decision=decision, status=status, over_reported=over, reported_before=over)
    assert need_of(item, has_lock=False) == need


@pytest.mark.parametrize(
    ("reported", "gone", "why"),
    [
        (2, 1, "one of the two did not leave"),
        (3, 2, "one more has left since then"),
        (1, 1, "the marketplace has corrected its report"),
        (0, 0, "more than that, too"),
    ],
)
def test_of_an_undone_shipment_the_other_pieces_have_left(reported: int, gone: int, why: str) -> None:
    item = AN_ITEM._replace(status="accepted", shipped=reported, over_reported=1, reported_before=2)
    assert need_of(item, has_lock=True) == Need(3 - gone, gone), why


def test_a_sku_is_itself_an_alias_or_a_bundle_and_an_accounts_own_entry_counts_first() -> None:
    stock_skus = StockSkus(
        {
            ("", "PHONE-A"): [StockPart("PHONE", 1)],
            ("shop", "PHONE-A"): [StockPart("PHONE-REFURBISHED", 1)],
            ("shop", "SET"): [StockPart("PHONE", 1), StockPart("CASE", 2)],
        }
    )
    assert parts_of("shop", "CASE", stock_skus) == (StockPart("CASE", 1),)
    assert parts_of("shop", "PHONE-A", stock_skus) == [StockPart("PHONE-REFURBISHED", 1)]
    assert parts_of("other", "PHONE-A", stock_skus) == [StockPart("PHONE", 1)]
    assert parts_of("shop", "SET", stock_skus) == [StockPart("PHONE", 1), StockPart("CASE", 2)]
    assert parts_of("other", "SET", stock_skus) == (StockPart("SET", 1),)


def test_a_sku_is_trimmed() -> None:
    assert parts_of("shop", " \tCASE\n", StockSkus()) == (StockPart("CASE", 1),)
    assert parts_of("shop", " SET ", StockSkus({("", "SET"): [StockPart("CASE", 2)]})) == [StockPart("CASE", 2)]


def test_case_counts_unless_it_is_ignored() -> None:
    bundles = {("", "SET"): [StockPart("CASE", 2)]}
    assert parts_of("shop", "Set", StockSkus(bundles)) == (StockPart("Set", 1),)
    assert parts_of("shop", "Set", StockSkus(bundles, SkuCase.IGNORE)) == [StockPart("CASE", 2)]
    assert parts_of("shop", "case", StockSkus(bundles, SkuCase.IGNORE)) == (StockPart("CASE", 1),)
