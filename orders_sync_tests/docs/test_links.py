"""Every link and every path in the documentation leads somewhere."""

import re
from pathlib import Path

import pytest

from docs.generate.links import broken_links
from docs.generate.site import page_for_site, sources
from orders_sync.config.environment import PROJECT_ROOT

PAGES = [name for name in sources() if name.endswith(".md")]
#: What stands for a name that the reader chooses.
PLACEHOLDERS = ("NAME", "my_shop", "my_stall", "bazaar", "FILE")
PATH = re.compile(r"`((?:orders_sync|orders_sync_tests|docs|bench)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page: str) -> None:
    assert page_for_site(page, (PROJECT_ROOT / page).read_text())


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_paths_exist(page: str) -> None:
    paths = PATH.findall((PROJECT_ROOT / page).read_text())
    missing = [
        path
        for path in paths
        if not (PROJECT_ROOT / path).exists() and not any(placeholder in path for placeholder in PLACEHOLDERS)
    ]
    assert missing == []


def test_the_pages_that_the_code_names_exist() -> None:
    named = {
        page
        for path in (PROJECT_ROOT / "orders_sync").rglob("*")
        if path.suffix in (".py", ".yaml")
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())
    }
    assert "docs/cutover.md" in named
    assert [page for page in named if not (PROJECT_ROOT / page).exists()] == []


def test_a_link_to_nowhere_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"README\.md links to docs/nowhere\.md"):
        page_for_site("README.md", "[x](docs/nowhere.md)")


def test_links_are_rewritten_for_the_site() -> None:
    text = "[a](docs/stock.md#explain-a-lock) [b](orders_sync/cli) [c](https://x.example)\n```text\n[d](docs/gone.md)\n```\n"
    assert page_for_site("README.md", text) == (
        "[a](stock.md#explain-a-lock) b (`orders_sync/cli`) [c](https://x.example)\n```text\n[d](docs/gone.md)\n```\n"
    )
    assert page_for_site("docs/reference/states.md", "[a](../stock.md)") == "[a](../stock.md)"


def test_broken_links_of_the_built_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="there/#here">1</a><a href="there/#gone">2</a><a href="gone/">3</a><img src="gone.png">'
        '<a href="https://elsewhere.example">4</a>'
    )
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text('<h2 id="here">x</h2><a href="..">up</a>')
    assert broken_links(tmp_path) == [
        "index.html: gone.png",
        "index.html: gone/",
        "index.html: there/#gone (no such anchor)",
    ]
