"""What people type about stock: each value that can't be used is answered in one sentence that says what is allowed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orders_sync.model.texts import InputError, check_reason
from orders_sync.stock.input import (
    MAX_PIECES,
    StockInputError,
    check_adjustment,
    check_id,
    check_need,
    check_past_time,
    check_pieces,
)


def test_an_id_and_a_reason_lose_the_spaces_around_them() -> None:
    assert check_id("  PHONE\t", "sku") == "PHONE"
    assert check_id("x" * 200, "sku") == "x" * 200
    assert check_reason(" broken\n") == "broken"
    assert check_reason("破損 \u200b👍") == "破損 \u200b👍"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_id(" ", "sku"), "sku is empty"),
        (lambda: check_id("x" * 201, "sku"), "sku is 201 characters long; at most 200 are allowed"),
        (lambda: check_id("a\x00b", "sku"), r"sku 'a\\x00b' has a character that can't be stored"),
        (
            lambda: check_id("\udcfc", "account"),
            "account .* has a character that can't be stored: NUL, or no valid UTF-8",
        ),
        (lambda: check_reason("  "), "the reason is empty: say why"),
        (lambda: check_reason("\u200b\u2060 \ufeff"), "the reason is empty: say why"),
        (lambda: check_reason("\u2800\u3164\u0301"), "the reason is empty: say why"),
        (lambda: check_reason("x" * 1_001), "the reason is 1001 characters long"),
        (
            lambda: check_pieces("1.000", "on_hand"),
            f"on_hand is '1.000'; allowed is a whole number from 0 to {MAX_PIECES}",
        ),
        (lambda: check_pieces("9" * 5_000, "on_hand"), "on_hand is '9{40}…'; allowed"),
        (lambda: check_pieces("²", "on_hand"), "on_hand is '²'; allowed"),
        (lambda: check_pieces(0, "pieces", lowest=1), "pieces is 0; allowed is a whole number from 1"),
        (lambda: check_adjustment(0), "0 pieces change nothing"),
        (lambda: check_adjustment(2**31), f"the number of pieces is {2**31}; allowed"),
        (lambda: check_adjustment(-(2**31)), "allowed is a whole number from -10000000 to 10000000"),
        (lambda: check_past_time("yesterday", "counted_at"), "counted_at is 'yesterday'; allowed is a time from 2000"),
        (lambda: check_past_time("0001-01-01T00:00:00+14:00", "counted_at"), "which is before 2000; allowed"),
        (lambda: check_past_time("9999-12-31T23:59:59-14:00", "counted_at"), "which is in the future; allowed"),
    ],
)
def test_what_can_not_be_used_is_said_with_what_is_allowed(check: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check()


def test_a_count_time_may_have_a_zone_and_is_in_utc_without_one() -> None:
    assert check_past_time("2026-03-01T08:30", "counted_at") == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    in_vienna = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1)))
    assert check_past_time(" 2026-03-01T08:30+01:00 ", "counted_at") == in_vienna
    assert check_past_time("2000-01-01", "counted_at") == datetime(2000, 1, 1, tzinfo=UTC)
    with pytest.raises(StockInputError, match="in the future"):
        check_past_time((datetime.now(UTC) + timedelta(minutes=1)).isoformat(), "counted_at")


def test_a_lock_has_as_many_pieces_as_a_stock_list_can_have() -> None:
    check_need("PHONE", MAX_PIECES)
    with pytest.raises(ValueError, match=f"the item needs {MAX_PIECES + 1} pieces of SKU PHONE; a lock has at most"):
        check_need("PHONE", MAX_PIECES + 1)
