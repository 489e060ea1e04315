"""The docs show the tables of the code."""

from orders_sync.marketplaces.states import as_markdown
from orders_sync.settings import PROJECT_ROOT


def test_the_docs_show_every_marketplaces_states() -> None:
    assert (PROJECT_ROOT / "docs" / "states.md").read_text() == as_markdown()
