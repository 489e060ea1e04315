"""Pieces that came back by a care record: in quarantine first, then put away once, and never counted twice."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, pieces_to_return, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.input import MAX_PIECES, StockInputError
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import sku_levels
from orders_sync.stock.received import Destination, Receipt, care_record_named, put_away, receipts, receive
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import (
    ACCOUNT,
    StoredItem,
    StoredOrder,
    at,
    store_care_record,
    store_order,
)
from orders_sync_tests.stock.test_returns import close, ship

ANN = By("ann@desk", "arrived")
ITEM = (ACCOUNT, "100")
SAME_SKU, GRADE_B, SCRAP = Destination(), Destination("PHONE-B"), Destination(is_scrap=True)


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Three of ten phones have left for an item, and the return C1 is about two of them."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "PHONE-B": 0, "CASE": 8}, counted_at=at(0))
    ship(stock, StoredItem("100", quantity=3))
    store_care_record(connection, "C1", 2)
    return stock


def on_hand(stock: StockConnection, sku: str = "PHONE") -> int | None:
    return {level.sku: level.on_hand for level in sku_levels(stock)}[sku]


def received(stock: StockConnection, care_id: str = "C1") -> Receipt:
    """The receipt of all pieces of a care record about one SKU."""
    (receipt,) = receive(stock, care_id, pieces_to_return(stock, ACCOUNT, None, None, care_id), ANN).receipts
    return receipt


def test_a_shipment_whose_event_still_waits_counts(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("2", [StoredItem("200", status="shipped")], "shipped", created_at=at(10)))
    store_care_record(stock.connection, "C2", 1, "200")
    found = receive(stock, "C2", {(ACCOUNT, "200"): 1}, ANN)
    assert [each.quarantine for each in found.receipts] == [1]
    assert found.applied.transitions == {"consumed": 1}
    apply_pending(stock)
    assert on_hand(stock) == 6
    check_invariants(stock.connection)


def test_received_pieces_are_in_quarantine_and_not_on_hand(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("2", [StoredItem("200", quantity=8)]))
    apply_pending(stock)
    receipt = received(stock)
    assert (receipt.sku, receipt.pieces, receipt.quarantine, receipt.order_id) == ("PHONE", 2, 2, "1")
    (level,) = [level for level in sku_levels(stock) if level.sku == "PHONE"]
    assert (level.on_hand, level.available(), level.short, level.quarantine) == (7, 0, 1, 2)
    check_invariants(stock.connection)


def test_the_care_records_state_and_the_shelfs_are_shown(stock: StockConnection) -> None:
    receipt = received(stock)
    put_away(stock, receipt.number, 1, GRADE_B, ANN)
    stock.execute("UPDATE care_records SET state = 'closed', marketplace_state = 'RECEIVED'")
    (listed,) = receipts(stock)
    assert listed[4:6] == ("closed", "RECEIVED")
    assert (listed.quarantine, listed.shelved, listed.scrapped, listed.shelved_as) == (1, 1, 0, "PHONE-B")
    assert (listed.reason, listed.made_by) == ("arrived", "ann@desk")
    for subject in ("100", "PHONE", "PHONE-B"):
        assert explain(stock, subject).received == [listed]
    explained = explain(stock, "100")
    assert [(each.care_state, each.booked) for each in explained.returns] == [("closed", 2)]
    assert [(each.kind, each.pieces, each.sku) for each in explained.movements[-2:]] == [
        ("received", 2, "PHONE"),
        ("shelved", 1, "PHONE-B"),
    ]
    assert [(each.act, each.detail, each.order_id) for each in explained.acts] == [
        ("receive_pieces", "2 pieces", "1"),
        ("put_away", "1 pieces shelved", "1"),
    ]


def test_pieces_are_put_away_one_by_one_and_only_once(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("2", [StoredItem("200", quantity=8)]))
    apply_pending(stock)
    receipt = received(stock)
    done = put_away(stock, receipt.number, 1, SAME_SKU, ANN)
    assert (done.text, done.applied.transitions) == ("1 pieces are on hand as SKU PHONE.", {"locked": 1})
    with pytest.raises(StockActError, match="1 pieces are in quarantine: 2 can't be put away"):
        put_away(stock, receipt.number, 2, SCRAP, ANN)
    assert (
        put_away(stock, receipt.number, None, Destination(is_scrap=True), ANN).text
        == "1 pieces of SKU PHONE were scrapped."
    )
    with pytest.raises(StockActError, match=r"All 2 pieces of receipt .* were put away already"):
        put_away(stock, receipt.number, None, SAME_SKU, ANN)
    assert on_hand(stock) == 8
    assert receipts(stock) == []
    (kept,) = receipts(stock, only_in_quarantine=False)
    assert (kept.quarantine, kept.shelved, kept.scrapped) == (0, 1, 1)
    check_invariants(stock.connection)


def test_a_piece_of_another_grade_is_on_hand_under_that_sku(stock: StockConnection) -> None:
    put_away(stock, received(stock).number, None, GRADE_B, ANN)
    assert (on_hand(stock), on_hand(stock, "PHONE-B")) == (7, 2)
    check_invariants(stock.connection)


def test_another_sku_that_is_not_in_the_stock_list_or_is_an_alias_is_refused(stock: StockConnection) -> None:
    import_stock_skus(stock, [StockSku("", "ALIAS", "PHONE", 1)])
    number = received(stock).number
    with pytest.raises(StockActError, match="SKU PHNOE is not in the stock list"):
        put_away(stock, number, None, Destination("PHNOE"), ANN)
    with pytest.raises(StockInputError, match="ALIAS"):
        put_away(stock, number, None, Destination("ALIAS"), ANN)
    assert receipts(stock)[0].quarantine == 2


def test_only_the_pieces_that_are_put_away_have_to_fit_into_the_number_on_hand(stock: StockConnection) -> None:
    number = received(stock).number
    import_levels(stock, {"PHONE": MAX_PIECES - 1})
    assert put_away(stock, number, 1, SAME_SKU, ANN).text == "1 pieces are on hand as SKU PHONE."
    with pytest.raises(StockInputError, match="the sum of pieces on hand of SKU PHONE"):
        put_away(stock, number, 1, SAME_SKU, ANN)


def test_pieces_of_a_sku_without_a_stock_list_are_on_record(connection: Connection) -> None:
    stock = StockConnection(connection)
    ship(stock, StoredItem("100", quantity=1))
    store_care_record(connection, "C1", 1)
    done = put_away(stock, received(stock).number, None, SAME_SKU, ANN)
    assert done.text == "1 pieces are on record as SKU PHONE, not on hand: it is not in the stock list."
    import_levels(stock, {"PHONE": 5}, counted_at=at(15))
    assert on_hand(stock) == 6, "the count is older than what came back to the shelf"
    check_invariants(connection)


def test_a_count_before_the_pieces_were_put_away_does_not_have_them(stock: StockConnection) -> None:
    put_away(stock, received(stock).number, 1, SAME_SKU, ANN)
    import_levels(stock, {"PHONE": 7}, counted_at=at(15))
    assert on_hand(stock) == 8, "neither the piece in quarantine, nor that which was put away once more"
    check_invariants(stock.connection)


def test_the_parts_of_a_bundle_are_put_away_each_by_itself(stock: StockConnection) -> None:
    import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
    ship(stock, StoredItem("200", "SET"), "2")
    store_care_record(stock.connection, "C2", 1, "200")
    import_stock_skus(stock, [StockSku("", "SET", "BOX", 1)])
    phone, case = sorted(
        receive(stock, "C2", pieces_to_return(stock, ACCOUNT, None, None, "C2"), ANN).receipts,
        key=lambda each: -len(each.sku),
    )
    assert [(each.sku, each.pieces) for each in (phone, case)] == [("PHONE", 1), ("CASE", 2)], "as they left"
    put_away(stock, phone.number, None, Destination(is_scrap=True), ANN)
    put_away(stock, case.number, 1, SAME_SKU, ANN)
    assert (on_hand(stock), on_hand(stock, "CASE")) == (6, 7)
    check_invariants(stock.connection)


class TestOnceWithTheOtherWays:
    def test_a_received_return_that_closes_is_not_booked_again(self, stock: StockConnection) -> None:
        received(stock)
        close(stock, "C1", 2)
        assert apply_pending(stock).returned == 0
        close(stock, "C2", 1)
        assert apply_pending(stock).returned == 1
        assert on_hand(stock) == 8
        check_invariants(stock.connection)

    def test_a_return_that_is_due_is_received_instead_of_booked(self, stock: StockConnection) -> None:
        close(stock, "C1", 2)
        received(stock)
        assert (apply_pending(stock).returned, on_hand(stock)) == (0, 7)

    def test_what_was_booked_is_not_received(self, stock: StockConnection) -> None:
        close(stock, "C1", 2)
        apply_pending(stock)
        with pytest.raises(StockActError, match="All pieces of care record C1 were booked already"):
            received(stock)
        assert receipts(stock) == []

    def test_no_more_come_back_than_have_left(self, stock: StockConnection) -> None:
        return_to_stock(stock, {ITEM: 2}, ANN)
        with pytest.raises(StockActError, match="3 pieces have left, and 2 came back already: 2 more can't"):
            received(stock)
        store_care_record(stock.connection, "C2", None)
        receive(stock, "C2", {ITEM: 1}, ANN)
        with pytest.raises(StockActError, match="3 came back already"):
            return_to_stock(stock, {ITEM: 1}, ANN)
        check_invariants(stock.connection)


def test_a_care_record_is_named_by_its_id_or_with_its_account(stock: StockConnection) -> None:
    assert care_record_named(stock, " C1 ") == (ACCOUNT, "C1") == care_record_named(stock, f"{ACCOUNT}/C1")
    with pytest.raises(StockActError, match=r"There is no care record C9\."):
        care_record_named(stock, "C9")
    stock.connection.execute(
        "INSERT INTO care_records (account, care_id, kind, state, raw, fingerprint) "
        "VALUES ('other', 'C1', 'return', 'open', '{}', '')"
    )
    with pytest.raises(StockActError, match="Several accounts have a care record C1: name other/C1 or shop/C1"):
        care_record_named(stock, "C1")


def test_a_receipt_follows_its_sku_when_case_makes_no_difference_any_more(connection: Connection) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"phone": 10}, counted_at=at(0))
    ship(stock, StoredItem("100", "phone"))
    store_care_record(connection, "C1", 1)
    receipt = received(stock)
    set_sku_case(stock, SkuCase.IGNORE, By("ann@desk", ""))
    put_away(stock, receipt.number, None, SAME_SKU, ANN)
    assert on_hand(stock, "PHONE") == 10
    check_invariants(connection)


@pytest.mark.parametrize("number", [0, -1, 7, 2**63, 10**20])
def test_a_receipt_that_does_not_exist_is_named(stock: StockConnection, number: int) -> None:
    with pytest.raises(StockActError, match=f"There is no receipt {number}"):
        put_away(stock, number, None, Destination(is_scrap=True), ANN)
