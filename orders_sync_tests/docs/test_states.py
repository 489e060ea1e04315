"""The docs show the tables of the code."""

import subprocess
import sys

from orders_sync.config.environment import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"


def test_the_docs_show_every_marketplaces_states() -> None:
    made = subprocess.run(
        [sys.executable, str(DOCS / "generate" / "states.py")], capture_output=True, text=True, check=True
    )
    assert (DOCS / "states.md").read_text() == made.stdout
