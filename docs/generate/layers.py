"""docs/layers.svg: the layers of the package, from the contract that import-linter proves (pyproject.toml)."""

import tomllib
from html import escape
from pathlib import Path
from typing import Any, cast

PACKAGE = "orders_sync"
PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"

WIDTH, BAND, GAP, MARGIN = 760, 40, 12, 16
CORE, TOP, TEXT, LINE = "#e8eef7", "#f6f1e7", "#16324f", "#5b7da3"


def layers() -> list[list[str]]:
    """The folders of each layer, the top first. Raises LookupError when pyproject.toml has no contract of layers."""
    contracts = [contract for contract in _contracts() if contract["type"] == "layers"]
    if not contracts:
        raise LookupError("pyproject.toml has no import-linter contract of the type layers.")
    largest = max(contracts, key=lambda contract: len(contract["layers"]))
    return [[_folder(name) for name in layer.replace(":", "|").split("|")] for layer in largest["layers"]]


def without_dagster() -> set[str]:
    """The folders for which a contract forbids to import Dagster."""
    return {
        _folder(module)
        for contract in _contracts()
        if contract["type"] == "forbidden" and "dagster" in contract["forbidden_modules"]
        for module in contract["source_modules"]
    }


def _contracts() -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"])


def _folder(name: str) -> str:
    return name.strip().strip("()").removeprefix(f"{PACKAGE}.")


def layers_picture() -> str:
    """An SVG: a band for each layer, a box for each folder. What stands side by side does not import each other."""
    rows, core = layers(), without_dagster()
    bottom = len(rows) * (BAND + GAP) - GAP + MARGIN
    height = bottom + 28 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
        "<!-- Made from pyproject.toml by `make reference`. Do not edit. -->",
        "<title>The layers of orders_sync: a folder imports only folders below it</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
    ]
    left, right = MARGIN + 90, WIDTH - MARGIN
    for number, folders in enumerate(rows):
        top = MARGIN + number * (BAND + GAP)
        each = (right - left - GAP * (len(folders) - 1)) / len(folders)
        for position, folder in enumerate(folders):
            x = left + position * (each + GAP)
            parts += [
                f'<rect x="{x:.1f}" y="{top}" width="{each:.1f}" height="{BAND}" rx="6" '
                f'fill="{CORE if folder in core else TOP}" stroke="{LINE}"/>',
                f'<text x="{x + each / 2:.1f}" y="{top + BAND / 2 + 5:.0f}" text-anchor="middle" fill="{TEXT}">'
                f"{escape(folder)}</text>",
            ]
    parts += [
        f'<line x1="{MARGIN + 40}" y1="{MARGIN}" x2="{MARGIN + 40}" y2="{bottom}" stroke="{LINE}" '
        'stroke-width="2" marker-end="url(#tip)"/>',
        f'<text transform="translate({MARGIN + 28} {bottom / 2:.0f}) rotate(-90)" text-anchor="middle" fill="{TEXT}">'
        "imports only what is below</text>",
        *_legend(left, bottom + 20),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(x: float, y: float) -> list[str]:
    return [
        part
        for at, fill, text in ((x, TOP, "may import Dagster"), (x + 220, CORE, "the core: never imports Dagster"))
        for part in (
            f'<rect x="{at}" y="{y}" width="16" height="16" rx="3" fill="{fill}" stroke="{LINE}"/>',
            f'<text x="{at + 24}" y="{y + 13}" fill="{TEXT}">{text}</text>',
        )
    ]
