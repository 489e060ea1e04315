"""A page whose statement takes too long ends, and says so: it would hold a thread of the web process."""

import httpx
import pytest

from orders_sync.config.pages import LANES_PAGE, REJECTED_PAGE, START_PAGE, SUBSCRIPTION_PAGE, SUBSCRIPTIONS_PAGE
from orders_sync.database.engine import Connection
from orders_sync.web.pages import connections


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "path",
    [
        START_PAGE, LANES_PAGE, f"{REJECTED_PAGE}/records?account=shop", f"{START_PAGE}/stock", f"{START_PAGE}/waiting",
        f"{START_PAGE}/orders?text=PHONE", f"{START_PAGE}/orders/one?account=shop&order=1",
        f"{START_PAGE}/orders/one/record?account=shop&order=1", f"{START_PAGE}/documents?account=shop&order=1",
        SUBSCRIPTIONS_PAGE, f"{SUBSCRIPTION_PAGE}?name=erp",
    ],
)  # fmt: skip
def test_a_page_that_takes_too_long_ends(
    web: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(connections, "PAGE_SECONDS", 1)
    assert httpx.get(f"{web}{path}", trust_env=False).status_code in (200, 404)
    with connection.transaction():
        connection.execute("LOCK TABLE orders, lanes, rejected_records IN ACCESS EXCLUSIVE MODE")
        connection.execute("LOCK TABLE subscriptions, order_events IN ACCESS EXCLUSIVE MODE")
        answer = httpx.get(f"{web}{path}", trust_env=False, timeout=30)
    assert (answer.status_code, "The orders database took longer than" in answer.text) == (503, True)
