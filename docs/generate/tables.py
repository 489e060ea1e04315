"""docs/reference/tables.md: the data dictionary, from the comments in orders_sync/database/tables/."""

from types import ModuleType

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from docs.generate.markdown import code, page, sentence, table
from orders_sync.database import tables

HEAD = ("column", "type", "meaning")

GROUPS = (
    tables.orders, tables.documents, tables.passes, tables.error_answers, tables.privacy, tables.contracts, tables.acts,
    tables.alerts, tables.subscriptions, tables.stock, tables.reports, tables.cutover, tables.schema,
)  # fmt: skip
"""The modules of tables, in the order of the page."""

INTRODUCTION = """\
All tables of the orders database. Keys begin with `account`: ids of two marketplaces may be equal. Columns marked *not
null* always have a value; in the others, null means unknown or not there yet. Times are `timestamptz`. *Buyer's data*
is blanked after the account's `retention_days`. The same comments are in the database (`\\d+ orders` in psql).
"""


def tables_page() -> str:
    """The whole page: an overview of each group, then every table in the order of the code."""
    overviews = (f"{group.__doc__}\n\n{_overview(group)}" for group in GROUPS)
    sections = (_section(each) for group in GROUPS for each in tables_of(group))
    return page("Tables", INTRODUCTION, *overviews, *sections)


def tables_of(group: ModuleType) -> list[Table]:
    """The tables that a module defines."""
    return [value for value in vars(group).values() if isinstance(value, Table)]


def _overview(group: ModuleType) -> str:
    return table(
        ("table", "contents"),
        ((f"[{each.name}](#{each.name})", sentence(each.comment or "")) for each in tables_of(group)),
    )


def _section(each: Table) -> str:
    key = ", ".join(code(column.name) for column in each.primary_key.columns)
    parts = [f"## {each.name}", sentence(each.comment or ""), f"Key: {key}.", columns_table(each)]
    return "\n\n".join(parts)


def columns_table(each: Table) -> str:
    """The columns of a table, with type and meaning (unit included)."""
    return table(HEAD, (_row(column) for column in each.columns))


def _row(column: Column[object]) -> tuple[str, str, str]:
    kind = column.type.compile(dialect=postgresql.dialect()).lower().replace("timestamp with time zone", "timestamptz")
    return code(column.name), kind + ("" if column.nullable else ", not null"), meaning_of(column)


def meaning_of(column: Column[object]) -> str:
    """What the column's comment says. Raises ValueError for a column without one."""
    if not column.comment:
        raise ValueError(f"{column.table.name}.{column.name} has no comment: say its meaning in database/tables/")
    return sentence(column.comment.replace("[", "\\["))  # a list of values, and no link
