"""`python -m docs.generate.site`: lays the sources of the site out in build/docs.

The repository's pages link to each other and to files of the code, so that they can be read in the repository. On the
site, README is the start page, and a link to a file of the code becomes its path.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "build" / "docs"

#: Pages that do not lie in docs/, by where they are on the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
    "bench/README.md": "benchmarks.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
BLOCK = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def sources() -> dict[str, str]:
    """Each page and picture of the repository by its path there, and its path on the site."""
    inside = {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in sorted((ROOT / "docs").rglob("*"))
        if path.suffix in (".md", ".png", ".svg", ".css")
    }
    return inside | OUTSIDE


def page_for_site(source: str, text: str) -> str:
    """A page with the links that hold on the site. Raises LookupError for a link to a file that does not exist."""
    parts = BLOCK.split(text)  # text, block, text, …
    parts[::2] = [LINK.sub(lambda found: _link(found, source), part) for part in parts[::2]]
    return "".join(parts)


def _link(found: re.Match[str], source: str) -> str:
    picture, text, target = found.groups()
    if re.match(r"[a-z]+:|#", target):
        return found.group(0)
    path, hash_sign, anchor = target.partition("#")
    in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / in_repository).exists():
        raise LookupError(f"{source} links to {target}, which does not exist.")
    site = sources()
    if in_repository not in site:
        return text if text.startswith("`") else f"{text} (`{in_repository}`)"
    here = posixpath.dirname(site[source])
    return f"{picture}[{text}]({posixpath.relpath(site[in_repository], here or '.')}{hash_sign}{anchor})"


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    broken: list[str] = []
    for source, target in sources().items():
        path = TARGET / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            try:
                path.write_text(page_for_site(source, (ROOT / source).read_text()))
            except LookupError as error:
                broken.append(str(error))
        else:
            shutil.copy(ROOT / source, path)
    if broken:
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
