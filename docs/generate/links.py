"""`python -m docs.generate.links`: follows each link of the built site in build/site.

Zensical's strict mode checks links between pages and their anchors. This also checks pictures, stylesheets, links that
HTML or the navigation makes, and that no page is missing from the navigation.
"""

import posixpath
import sys
import tomllib
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from docs.generate.site import ROOT, TARGET

SITE = ROOT / "build" / "site"


class _Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Each link of the site that leads nowhere, as `page: link`. Links to other hosts are not followed."""
    pages = {path.relative_to(site).as_posix(): _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    broken: list[str] = []
    for name, page in pages.items():
        if name == "404.html":
            continue  # served at any depth: its links depend on the address of the site
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path))) if parts.path else name
            )
            if (site / target).is_dir():
                target = posixpath.normpath(posixpath.join(target, "index.html"))
            anchor = unquote(parts.fragment)
            if not (site / target).is_file():
                broken.append(f"{name}: {link}")
            elif anchor and target in pages and anchor not in pages[target].anchors and not anchor.startswith("__"):
                broken.append(f"{name}: {link} (no such anchor)")
    return broken


def missing_from_navigation(sources: Path) -> list[str]:
    """The pages that zensical.toml does not list, and the listed ones that do not exist."""
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    listed = set(_targets(project["nav"]))
    there = {path.relative_to(sources).as_posix() for path in sources.rglob("*.md")}
    return sorted(listed ^ there)


def _targets(entries: Iterable[dict[str, Any]]) -> Iterable[str]:
    for entry in entries:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from _targets(target)


def main() -> None:
    problems = [f"broken link: {link}" for link in broken_links(SITE)]
    problems += [
        f"not both a page and in the navigation of zensical.toml: {name}" for name in missing_from_navigation(TARGET)
    ]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{sum(1 for _ in SITE.rglob('*.html'))} pages, every link leads somewhere.")


if __name__ == "__main__":
    main()
