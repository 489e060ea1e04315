"""`care`: the latest care records, linked to their items, whichever of the two was stored first."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from msgspec.structs import replace

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.sandbox.formats import iso
from orders_sync.testing.invariants import nothing_changed, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import reject_row

CARE = (
    "SELECT care_id, item_id, kind, state, linked_at IS NOT NULL "
    "FROM care_records JOIN care_record_items USING (account, care_id) ORDER BY 1, 2"
)


def test_a_care_record_lands_on_its_item(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=9, line_state=3)
    sync(account)
    marketplace.put_folder(900, 100, "REPLACE")
    assert sync(account, "care").linked == 1
    assert connection.execute(CARE).fetchall() == [("900", "100", "replacement", "open", True)]
    assert connection.execute("SELECT care_id FROM order_items").fetchone() == ("900",)


def test_a_record_of_an_item_that_is_not_stored_yet_is_kept_and_linked_when_it_arrives(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.put_folder(900, 100)
    sync(account, "care")
    assert connection.execute(CARE).fetchall() == [("900", "100", "replacement", "open", False)]
    an_order(marketplace, 1)
    sync(account)
    assert connection.execute(CARE).fetchall() == [("900", "100", "replacement", "open", True)]
    assert connection.execute("SELECT care_id FROM order_items").fetchone() == ("900",)


def test_a_later_change_of_an_older_folder_is_seen(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The cursor by highest id missed it."""
    marketplace.put_folder(900, 100)
    marketplace.put_folder(901, 200)
    sync(account, "care")
    marketplace.pass_time(days=3)
    marketplace.put_folder(900, 100, "REFUND", state=9, date_closed=iso(marketplace.now()))
    sync(account, "care")
    assert connection.execute(CARE).fetchall()[0] == ("900", "100", "refund", "closed", False)


def test_several_folders_of_one_item_are_all_kept_and_the_latest_is_on_the_item(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """One folder a line was kept."""
    an_order(marketplace, 1)
    sync(account)
    marketplace.put_folder(900, 100)
    marketplace.pass_time(days=1)
    marketplace.put_folder(901, 100, "REFUND")
    sync(account, "care")
    assert len(connection.execute(CARE).fetchall()) == 2
    assert connection.execute("SELECT care_id FROM order_items").fetchone() == ("901",)


def test_pages_are_read_to_their_end_and_a_second_pass_makes_few_calls(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in range(1, 46):
        marketplace.put_folder(number, number)
    marketplace.pass_time(minutes=1)
    summary = sync(account, "care")
    assert summary.created == 45
    before = snapshot(connection)
    again = sync(account, "care")
    nothing_changed(again)
    assert again.api_calls == 5 + 2  # five pages, the first and last once more; no detail
    assert snapshot(connection) == before


def test_kinds_are_distinguished(connection: Connection) -> None:
    with Marketplace(orders=500, days=60) as living:
        sync(sandbox_account(living), "care")
    kinds = {row[0] for row in connection.execute("SELECT kind FROM care_records")}
    assert kinds == {"replacement", "refund", "return", "other"}


def test_a_rejected_record_is_kept_and_tried_again_in_later_passes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """It is behind the watermark by then, and would not be listed any more."""
    marketplace.put_folder(900, 100)
    folder = marketplace.world.scripted_folders[900]
    whole = folder["detail"]
    folder["detail"] = {**whole, "orderline": None}
    summary = sync(account, "care")
    assert (summary.rejected, summary.created) == (1, 0)
    assert connection.execute("SELECT kind, record_id FROM rejected_records").fetchall() == [("care", "900")]
    marketplace.pass_time(days=5)
    folder["detail"] = whole
    assert sync(account, "care").created == 1
    assert connection.execute("SELECT count(*) FROM rejected_records WHERE resolved_at IS NULL").fetchone() == (0,)
    nothing_changed(sync(account, "care"))


def test_what_an_answer_leaves_out_erases_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.put_folder(900, 100, "REFUND", state=9)
    sync(account, "care")
    before = connection.execute("SELECT kind, state, marketplace_state, opened_at FROM care_records").fetchall()
    assert before[0][:2] == ("refund", "closed")
    marketplace.pass_time(minutes=5)
    marketplace.put_folder(900, 100, None, state=None)
    assert sync(account, "care").changed == 1
    after = connection.execute("SELECT kind, state, marketplace_state FROM care_records").fetchall()
    assert after == [before[0][:3]]


def test_a_copy_without_its_orderline_is_about_the_item_that_is_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The copy says that the case is closed: rejected, it would stay open for ever."""
    an_order(marketplace, 1)
    sync(account)
    marketplace.put_folder(900, 100, "REFUND")
    sync(account, "care")
    marketplace.pass_time(minutes=5)
    marketplace.put_folder(900, 100, "REFUND", state=9)
    folder = marketplace.world.scripted_folders[900]
    folder["detail"] = {**folder["detail"], "orderline": None}
    summary = sync(account, "care")
    assert (summary.changed, summary.rejected, summary.flawed) == (1, 0, 1)
    assert connection.execute(CARE).fetchall() == [("900", "100", "refund", "closed", True)]
    flaws = connection.execute("SELECT field, stored FROM record_flaws WHERE kind = 'care'").fetchall()
    assert flaws == [("items", "as it was stored before")]


def test_a_record_that_only_postgresql_rejects_is_kept_and_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    reject_row(connection, "care_records", "care_id", "901")
    for folder in (900, 901, 902):
        marketplace.put_folder(folder, folder)
    summary = sync(account, "care")
    assert (summary.fetched, summary.created, summary.rejected) == (3, 2, 1)
    assert summary.problems == ["care record 901 rejected: record PostgreSQL can't store it (SQLSTATE 22003)"]
    connection.execute("DROP FUNCTION reject CASCADE")
    assert sync(account, "care").created == 1
    assert connection.execute("SELECT count(*) FROM care_records").fetchone() == (3,)


@pytest.mark.parametrize("unreadable", ["a\x00b", "a\ud800b"], ids=["NUL", "half a surrogate pair"])
def test_an_id_that_postgresql_can_not_read_stops_no_other_care_record(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    unreadable: str,
) -> None:
    """Of any adapter: PostgreSQL does not even look such an id up."""
    an_order(marketplace, 1)
    sync(account)
    marketplace.put_folder(7, 100)
    marketplace.put_folder(8, 100)
    listed = BackMarket.care_records

    def odd(self: BackMarket, since: datetime) -> Iterator[list[RawRecord]]:
        for page in listed(self, since):
            yield [replace(one, record_id=unreadable) if one.record_id == "7" else one for one in page]

    monkeypatch.setattr(BackMarket, "care_records", odd)
    summary = sync(account, "care")
    assert (summary.created, summary.rejected) == (1, 1)
    assert connection.execute("SELECT care_id FROM care_records").fetchall() == [("8",)]
