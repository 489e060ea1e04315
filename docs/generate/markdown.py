"""Small pieces of Markdown that the generators share."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Made from the code by `make reference`. Do not edit. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. A pipe in a cell is escaped, a line break becomes a space."""
    lines = [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]
    return "\n".join(lines)


def code(value: object) -> str:
    """A value as inline code."""
    return f"`{value}`"


def sentence(text: str) -> str:
    """A text that begins with a capital and ends with a full stop; empty stays empty."""
    text = " ".join(text.split())
    if not text:
        return ""
    first = text[0] if text.startswith(("http", "cli-")) else text[0].upper()
    return first + text[1:] + ("" if text[-1] in ".!?" else ".")


def page(title: str, *parts: str) -> str:
    """A whole generated page."""
    return "\n\n".join([f"# {title}", GENERATED, *(part.strip("\n") for part in parts if part)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
