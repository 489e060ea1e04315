"""The one table of what a status means for a lock."""

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS


def test_every_status_has_its_meaning() -> None:
    assert set(LOCK_ACTIONS) == set(Status)


def test_the_docs_show_the_table_of_the_code() -> None:
    text = (PROJECT_ROOT / "docs" / "stock.md").read_text()
    for status, meaning in LOCK_ACTIONS.items():
        assert f"| `{status}` | {meaning.action} | {meaning.why} |\n" in text
