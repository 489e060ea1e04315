"""The licences of the locked packages: `python -m docs.generate.licences` reads them from what is installed.

licences.toml keeps them, since no machine has all packages of the locks: some are for another system or Python. The
page docs/reference/licences.md shows the file; a test holds it against the locks and the allowed licences.
"""

import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from docs.generate.markdown import page, table

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("licences.toml")

ALLOWED = frozenset([
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0",
    "MIT-CMU", "PSF-2.0", "PostgreSQL", "Unlicense", "Zlib", "Matplotlib",
    "MPL-2.0",  # weak copyleft: it binds changes of the package's own files, of which we make none
    "LGPL-3.0-only", "LGPL-3.0-or-later",  # weak copyleft: psycopg, used unchanged as a library
    "LGPL-2.1-or-later",
])  # fmt: skip
"""SPDX identifiers of the licences whose packages may be used; a licence of another kind needs a decision."""
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0-or-later",  # psycopg2: LGPL with exceptions
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
_TEXTS = {
    "apache 2.0": "Apache-2.0", "apache-2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache2": "Apache-2.0", "bsd": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "isc": "ISC", "mit": "MIT", "mit license": "MIT", "mpl-2.0": "MPL-2.0",
    "psf": "PSF-2.0", "python software foundation license": "PSF-2.0", "the mit license (mit)": "MIT",
}  # fmt: skip
"""Free texts of the metadata by what they mean."""

INTRODUCTION = """\
Every package of `requirements.lock` (what runs) and `requirements-dev.lock` (what tests and builds), with its licence
as the package itself names it (SPDX). `make licences` writes the list; a test fails for a licence that is not allowed.
The versions are in the locks, and in the SBOM of `make sbom`.
"""


def locked(name: str) -> list[str]:
    """The names of the packages in a lock."""
    return re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / name).read_text(), re.MULTILINE)


def licences() -> dict[str, str]:
    """The licence of each package, by its name in the locks."""
    return tomllib.loads(FILE.read_text())


def alternatives(expression: str) -> list[frozenset[str]]:
    """The licences of an SPDX expression: the package is under all of one of these sets."""
    return [
        frozenset(re.findall(r"[A-Za-z0-9.+-]+", re.sub(r"\bAND\b|\bWITH \S+", " ", choice)))
        for choice in re.split(r"\bOR\b", expression)
    ]


def installed_licence(name: str) -> str | None:
    """What the metadata of an installed package says; None: it is not installed, or says nothing that is known."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return _of_metadata(found)


def _of_metadata(found: Distribution) -> str | None:
    metadata = found.metadata.json  # with small letters and underscores
    if expression := metadata.get("license_expression"):
        return str(expression)
    named = [each.rsplit(" :: ", 1)[-1] for each in metadata.get("classifier", ()) if each.startswith("License ::")]
    known = sorted({_CLASSIFIERS[each] for each in named if each in _CLASSIFIERS})
    if known:
        return " AND ".join(known)
    return _TEXTS.get(str(metadata.get("license", "")).strip().lower())


def licences_page() -> str:
    """The whole page."""
    known, runtime = licences(), set(locked("requirements.lock"))
    rows = [(name, known[name], "yes" if name in runtime else "no") for name in sorted(known)]
    return page("Licences", INTRODUCTION, table(("package", "licence", "is part of what runs"), rows))


def main() -> None:
    names = sorted({*locked("requirements.lock"), *locked("requirements-dev.lock")})
    known = licences() if FILE.exists() else {}
    found = {name: installed_licence(name) or known.get(name) for name in names}
    if unknown := [name for name, licence in found.items() if licence is None]:
        sys.exit(f"No licence is known of {', '.join(unknown)}: write it into {FILE.relative_to(ROOT)} by hand.")
    head = "# The licence of each locked package (SPDX). `make licences` renews it; what is not installed is kept.\n"
    FILE.write_text(head + "".join(f'"{name}" = "{licence}"\n' for name, licence in found.items()))


if __name__ == "__main__":
    main()
