"""The judge of the acceptances: which ones came again."""

import random

import httpx

from orders_sync.testing.marketplace import TOKEN, Marketplace, an_order
from orders_sync_tests.faults.changing_marketplace import ChangingMarketplace

HEADERS = {
    "Authorization": f"Basic {TOKEN}", "User-Agent": "BM-Test-Test;test@example.com", "Accept-Language": "fr-fr",
}  # fmt: skip


def test_only_what_was_accepted_before_is_a_repetition(marketplace: Marketplace) -> None:
    market = ChangingMarketplace(random.Random(1), marketplace, accepts=True)
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1, skus=("PHONE",))

    def accept(order_id: int) -> bool:
        """Accepts an order; whether the marketplace took it."""
        body = {"order_id": order_id, "new_state": 2, "sku": "PHONE"}
        answer = httpx.post(f"{marketplace.url}/ws/orders/{order_id}", json=body, headers=HEADERS, trust_env=False)
        return answer.status_code < 300

    marketplace.set_states(1, 9, 4)  # its buyer has cancelled it
    assert not accept(1)
    assert accept(2)
    assert market.repeated_acceptances() == []
    assert not accept(2)
    assert [write["order_id"] for write in market.repeated_acceptances()] == [2]
