"""Figures, side by side in one run; never asserted in a timed test. `make bench` makes bench/README.md's table."""

from pathlib import Path

README = Path(__file__).parent / "README.md"
CUTOVER_HEADING = "## V1 and V2 over a week"
"""The heading of the part that `make bench-cutover` writes."""
LOAD_HEADING = "## Many accounts at once"
"""The heading of the part that `make bench-load` writes."""
PAGES_HEADING = "## The operator's pages"
"""The heading of the part that `make bench-pages` writes."""
REST_HEADING = "## At rest"
"""The heading of the part that `make bench-rest` writes."""
RUN_HEADING = "## A run"
"""The heading of the part that `make bench-run` writes."""
SUBSCRIPTIONS_HEADING = "## Order events for others"
"""The heading of the part that `make bench-subscriptions` writes."""

TAKE_OVER_HEADING = "## Taking V1's locks over"
"""The heading of the part that `make bench-take-over` writes."""


def parts_of_others() -> str:
    """The text of bench/README.md that `make bench` does not write: from the first of these headings on."""
    readme = README.read_text()
    headings = (
        CUTOVER_HEADING, LOAD_HEADING, PAGES_HEADING, REST_HEADING, RUN_HEADING, SUBSCRIPTIONS_HEADING,
        TAKE_OVER_HEADING,
    )  # fmt: skip
    places = [place for heading in headings if (place := readme.find(heading)) >= 0]
    return readme[min(places) :] if places else ""


def show_part(heading: str, lines: list[str], *, dry_run: bool) -> None:
    """Prints a part of bench/README.md, and writes it, but in a dry run."""
    print("\n".join(lines))
    if not dry_run:
        write_part(heading, lines)


def write_part(heading: str, lines: list[str]) -> None:
    """Puts a part into bench/README.md, in place of the one with the same heading, else at its end."""
    before, found, rest = README.read_text().partition(heading + "\n")
    _, next_heading, after = rest.partition("\n## ")
    later = [next_heading.strip() + " " + after.strip()] if found and next_heading else []
    README.write_text("\n\n".join([before.rstrip(), "\n".join([heading, "", *lines]), *later]) + "\n")
