"""What a screen reader needs, on each of the operator's pages: checked by axe-core, on a desk and on a phone."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.deliveries import claim, give_up, refuse
from orders_sync.subscriptions.registration import register
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests import npm_packages
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.subscriptions.conftest import settings

pytestmark = [pytest.mark.ui, pytest.mark.needs("chromium"), pytest.mark.needs("npm")]

FOLDER = PROJECT_ROOT / ".axe"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATHS = [
    "", "/orders", "/orders?account=shop", "/orders/one?account=shop&order=1", "/orders/one/record?account=shop&order=1",
    "/lanes", "/rejected", "/rejected/records?account=shop", "/rejected/record?account=shop&kind=order&record=2",
    "/stock", "/stock/sku?sku=PHONE", "/waiting", "/documents", "/documents?order=1", "/subscriptions",
    "/subscriptions/one?name=erp", "/nowhere",
]  # fmt: skip
SIZES = {"desk": {"width": 1200, "height": 800}, "phone": {"width": 360, "height": 700}}


@pytest.fixture(scope="module")
def axe() -> str:
    """The program text of axe-core."""
    npm_packages.install(FOLDER, {"axe-core": "4.14.1"})
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def busy_shop(short_order: Marketplace, connection: Connection) -> None:
    """The order 1 waits for stock, is late and has documents; the order 2 is rejected, the order 3 has a flaw.

    Of a subscription without a file, the event of the order 1 fails, and that of the order 3 was given up.
    """
    register(connection, {"erp": settings(start="beginning")})
    an_order(short_order, 2, orderlines=[])
    an_order(short_order, 3, currency="?", delivery_note=f"{short_order.url}/static/note")
    run("sync", "--type", "all")
    run("stock", "apply")
    failing, hopeless = sorted(each.event_id for each in claim(connection, "erp", 2))
    refuse(connection, "erp", failing, "HTTP 500")
    give_up(connection, "erp", hopeless, "HTTP 410")
    connection.execute("UPDATE orders SET dispatch_due_at = now() - interval '1 hour'")


@pytest.mark.usefixtures("busy_shop")
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_has_what_axe_core_calls_a_violation(
    page: Page, web: str, axe: str, colours: Literal["light", "dark"]
) -> None:
    found: list[str] = []
    page.emulate_media(color_scheme=colours)
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)  # pyright: ignore[reportArgumentType]
        for path in PATHS:
            page.goto(f"{web}/operations{path}")
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            page.evaluate(axe)
            outcome: dict[str, Any] = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
            assert outcome["passes"], f"{path}: axe-core has checked nothing"
            found += [
                f"{path} ({size}): {each['id']}: {each['help']}: {[node['html'][:150] for node in each['nodes'][:2]]}"
                for each in outcome["violations"]
            ]
    assert found == []
