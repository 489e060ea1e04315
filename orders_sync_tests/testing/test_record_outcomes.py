"""What the outcome checks allow, and what they don't."""

import json

import msgspec
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.registry import opened_adapter
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.record_outcomes import OutcomeError, Stored, check_json, order_outcome


@pytest.mark.parametrize("stored", [rb'{"a": "x\\u0000"}', rb'{"a": "\\\\u0000"}', rb'{"\\u0000": 1e999}'])
def test_a_backslash_before_u0000_is_a_text(stored: bytes) -> None:
    check_json(stored, stored)


@pytest.mark.parametrize(
    "stored", [rb'{"a": "x\u0000"}', rb'{"a": "\\\u0000"}', rb'{"\u0000": 1}', b'{"a": NaN}', b"{"]
)
def test_nul_and_what_is_no_json_are_found(stored: bytes) -> None:
    with pytest.raises(OutcomeError):
        check_json(stored, stored)


def test_a_text_of_the_adapters_own_may_have_characters_that_are_replaced(
    marketplace: Marketplace, account: SellerAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of batches finds them only where it builds what COPY sends."""
    decode = BackMarket.decode_order
    monkeypatch.setattr(
        BackMarket, "decode_order", lambda self, raw: msgspec.structs.replace(decode(self, raw), carrier="a\ud800b")
    )
    raw = json.dumps(an_order(marketplace, 1)).encode()
    with opened_adapter(account) as adapter:
        outcome = order_outcome(adapter, raw)
    assert isinstance(outcome, Stored)
    assert [(flaw.field, flaw.stored) for flaw in outcome.flaws] == [("carrier", "U+FFFD in its place")]
