"""`python -m docs.generate`: writes the generated pages, or with `--check` says which are outdated."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from docs.generate.command_line import command_line_page
from docs.generate.contract import SCHEMA_FILE, asyncapi_file, schema_file
from docs.generate.documents import document_access_table, document_states_table
from docs.generate.events import events_page
from docs.generate.grafana import dashboard_file, rules_file
from docs.generate.layers import layers_picture
from docs.generate.licences import licences_page
from docs.generate.roles import roles_page
from docs.generate.settings import settings_page
from docs.generate.states import lock_actions_table, lock_states_table, states_page
from docs.generate.tables import tables_page
from docs.generate.views import tables_picture, views_part
from orders_sync.marketplaces.kit.registry import broken_modules

DOCS = Path(__file__).resolve().parents[1]

PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/tables.md": tables_page,
    "reference/roles.md": roles_page,
    "reference/events.md": events_page,
    SCHEMA_FILE: schema_file,
    "reference/asyncapi.json": asyncapi_file,
    "reference/grafana-dashboard.json": dashboard_file,
    "reference/prometheus-rules.yaml": rules_file,
    "reference/states.md": states_page,
    "reference/command-line.md": command_line_page,
    "reference/licences.md": licences_page,
    "layers.svg": layers_picture,
}
#: Parts of hand-written pages, between `<!-- generated: NAME -->` and `<!-- /generated -->`.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "operation.md": {"document access": document_access_table},
    "data.md": {"document states": document_states_table, "tables": tables_picture, "views": views_part},
    "stock.md": {"lock actions": lock_actions_table, "lock states": lock_states_table},
}


def contents() -> dict[Path, str]:
    """What each generated file must hold. Raises ImportError for a broken adapter, which would be missing."""
    if broken := broken_modules():
        raise ImportError("; ".join(f"orders_sync/marketplaces/{name}.py {why}" for name, why in broken.items()))
    made = {DOCS / name: make() for name, make in PAGES.items()}
    for name, parts in PARTS.items():
        text = (DOCS / name).read_text()
        for part, make in parts.items():
            text = _with_part(text, part, make(), name)
        made[DOCS / name] = text
    return made


def outdated() -> list[Path]:
    """The generated files that do not hold what the code says."""
    return [path for path, text in contents().items() if not path.exists() or path.read_text() != text]


def _with_part(text: str, part: str, made: str, name: str) -> str:
    """The page with a generated part renewed. Raises LookupError when the page has no such part."""
    begin, end = f"<!-- generated: {part} -->", "<!-- /generated -->"
    renewed, count = re.subn(
        f"({re.escape(begin)}).*?({re.escape(end)})",
        lambda found: f"{found[1]}\n\n{made}\n\n{found[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise LookupError(f"docs/{name} must have one part between {begin} and {end}; it has {count}.")
    return renewed


def main() -> None:
    stale = outdated()
    if "--check" in sys.argv:
        if stale:
            names = ", ".join(f"docs/{path.relative_to(DOCS)}" for path in stale)
            sys.exit(f"Outdated: {names}. Run `make reference` and commit the result.")
        return
    for path, text in contents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
