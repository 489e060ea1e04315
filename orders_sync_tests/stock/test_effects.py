"""The one table of what a status means for a lock."""

from orders_sync.settings import PROJECT_ROOT
from orders_sync.stock.effects import EFFECTS, as_markdown
from orders_sync.sync.statuses import Status


def test_every_status_has_its_meaning() -> None:
    assert set(EFFECTS) == set(Status)


def test_the_docs_show_the_table_of_the_code() -> None:
    assert as_markdown() in (PROJECT_ROOT / "docs" / "stock.md").read_text()
