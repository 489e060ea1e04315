"""docs/reference/roles.md: what each role of the orders database may do, from orders_sync/database/rights.py."""

from docs.generate.markdown import code, page, table
from docs.generate.tables import GROUPS, tables_of
from orders_sync.database.rights import ROWS, rights_of
from orders_sync.database.roles import DEFAULT_PREFIX, SCHEMA_OF_REPORTS, Roles

_ROLES = Roles.named(DEFAULT_PREFIX)
INTRODUCTION = f"""\
`orders-sync db roles` makes these roles on a server of your own: see
[Operation](../operation.md#roles-of-the-orders-database). `{_ROLES.owner}` owns all tables, and changes their schema.
`{_ROLES.writer}` works with the rows; *all* is {", ".join(ROWS)}. `{_ROLES.reader}` reads the columns that are named
here, in no table more, and everything in the schema `{SCHEMA_OF_REPORTS}`.
"""


def roles_page() -> str:
    """The whole page."""
    rows = [
        (f"[{each.name}](tables.md#{each.name})", _writer(rights.writer), _reader(rights.reader, len(each.columns)))
        for group in GROUPS
        for each in tables_of(group)
        for rights in (rights_of(each),)
    ]
    return page("Roles", INTRODUCTION, table(("table", f"`{_ROLES.writer}`", f"`{_ROLES.reader}` reads"), rows))


def _writer(rights: tuple[str, ...]) -> str:
    return "all" if rights == ROWS else ", ".join(rights)


def _reader(columns: tuple[str, ...], of: int) -> str:
    if not columns:
        return "nothing"
    return f"all {of} columns" if len(columns) == of else ", ".join(map(code, columns))
