"""A SKU that is Markdown or HTML, in a real headless Chromium: nothing that the Dagster UI shows of it loads anything.

Dagster's own app serves the UI here, without the guard, which would keep images of other hosts from loading.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from orders_sync.database.engine import Connection
from orders_sync.defs.stock.jobs import apply_order_events, explain_lock
from orders_sync.testing.http_server import served
from orders_sync.web.dagster_app import dagster_app
from orders_sync_tests.hostile_texts import HTML, IMAGE, LINK, OUTSIDE
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order
from orders_sync_tests.web.conftest import keep

pytestmark = [pytest.mark.ui, pytest.mark.needs("chromium")]
SKUS = (IMAGE, HTML, LINK)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    quiet = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), quiet) as opened:
        yield opened


@pytest.fixture
def bare(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[str]:
    """The address of Dagster's own app on this instance, without a code location."""
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with dagster_app(instance, workspace) as app, served(app) as url:
        yield url


@pytest.fixture
def asked(page: Page) -> list[str]:
    """The URLs of another host that the page has requested."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url) if urlsplit(request.url).hostname == OUTSIDE else None)
    return found


def test_markdown_in_metadata_would_load_an_image_from_outside(
    instance: dg.DagsterInstance, bare: str, page: Page, asked: list[str]
) -> None:
    """The door that is closed by showing no data as Markdown."""

    @dg.asset
    def shown() -> dg.MaterializeResult:  # pyright: ignore[reportMissingTypeArgument]
        return dg.MaterializeResult(metadata={"as Markdown": dg.MetadataValue.md(IMAGE), "as text": HTML})

    run = dg.materialize([shown], instance=instance)
    open_run(page, bare, run.run_id)
    with page.expect_request(IMAGE[len("![x](") : -1]):
        page.get_by_text("[Show Markdown]").first.click()
    assert asked


def test_a_sku_in_the_metadata_of_runs_loads_nothing(
    definitions: dg.Definitions, instance: dg.DagsterInstance, connection: Connection, bare: str, page: Page,
    asked: list[str],
) -> None:  # fmt: skip
    for number, sku in enumerate(SKUS, start=1):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00", sku=sku)]))
    applied = definitions.resolve_job_def(apply_order_events.name).execute_in_process(instance=instance)
    config = {"ops": {"explain_lock_transitions": {"config": {"item_or_sku": IMAGE}}}}
    explained = definitions.resolve_job_def(explain_lock.name).execute_in_process(instance=instance, run_config=config)
    for run, skus in ((applied, SKUS), (explained, (IMAGE,))):
        open_run(page, bare, run.run_id)
        see(page, skus)
        assert asked == []
    keep(page, "hostile_sku_in_run")


def open_run(page: Page, url: str, run_id: str) -> None:
    page.goto(f"{url}/runs/{run_id}")
    expect(page.get_by_text(re.compile("RUN_SUCCESS|Finished execution of run")).first).to_be_visible()


def see(page: Page, skus: tuple[str, ...]) -> None:
    """The texts stand on the page as they are, and none became an image or a link."""
    for sku in skus:
        expect(page.get_by_text(sku).first).to_be_attached()
    expect(page.get_by_text("[Show Markdown]")).to_have_count(0)
    for element in ("img", "a"):
        attribute = "src" if element == "img" else "href"
        expect(page.locator(f'{element}[{attribute}*="{OUTSIDE}"]')).to_have_count(0)
