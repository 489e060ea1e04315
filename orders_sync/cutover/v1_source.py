"""What V1's database has for the mapping of v1.yaml: its tables, views and queries, with their columns.

Nothing here reads rows. What V1 lacks, or can't run, becomes one CutoverError that names each setting.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from typing import cast as cast_type
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Column, DateTime, Engine, String, TextClause, cast, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ColumnElement, FromClause, table

from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.config.v1_tables import V1Rows
from orders_sync.config.yaml_files import did_you_mean

_GREATEST = 2**63 - 1


class Kind(StrEnum):
    """How the values of a column are compared with ours."""

    INTEGER = "whole number"
    TEXT = "text"
    TIME = "time without a zone"
    INSTANT = "time with a zone"
    OTHER = "other"


#: By the code of a column's type that the driver reports: PostgreSQL's oids, and the types of MySQL's protocol.
_POSTGRESQL = {
    **dict.fromkeys((20, 21, 23), Kind.INTEGER),
    **dict.fromkeys((19, 25, 1042, 1043), Kind.TEXT),
    **dict.fromkeys((1082, 1114), Kind.TIME),
    1184: Kind.INSTANT,
}
_MYSQL = {
    **dict.fromkeys((1, 2, 3, 8, 9), Kind.INTEGER),
    **dict.fromkeys((15, 249, 250, 251, 252, 253, 254), Kind.TEXT),
    **dict.fromkeys((7, 10, 12), Kind.TIME),
}
_TYPES: Mapping[Kind, Any] = {
    Kind.INTEGER: BigInteger(),
    Kind.TEXT: String(),
    Kind.TIME: DateTime(),
    Kind.INSTANT: DateTime(timezone=True),
}


@dataclass(frozen=True)
class Source:
    """The rows of one table, view or query of V1."""

    rows: FromClause
    """Those that meet the condition `where`."""
    all_rows: FromClause
    """With those that do not."""
    kinds: Mapping[str, Kind]

    def column(self, name: str | None) -> Any:
        """A column by its name in V1; None for one that V1 does not have."""
        return None if name is None else self.rows.c[name]

    def readable(self, name: str | None) -> Any:
        """A column as it can be read whatever it has: times as texts, since drivers raise errors for odd ones."""
        if name is None:
            return None
        is_time = self.kinds[name] in (Kind.TIME, Kind.INSTANT)
        return cast(self.rows.c[name], String) if is_time else self.rows.c[name]

    def among(self, name: str, values: Iterable[str]) -> ColumnElement[bool]:
        """Whether a column has one of these texts, or the whole number that a text stands for."""
        return _among(self.rows.c[name], self.kinds[name], values)

    def since(self, name: str, moment: datetime, zone: ZoneInfo) -> ColumnElement[bool]:
        """Whether a column has this time or a later one. `zone`: that of times without one."""
        return self.rows.c[name] >= self._bound(name, moment, zone)

    def before(self, name: str, moment: datetime, zone: ZoneInfo) -> ColumnElement[bool]:
        """Whether a column has an earlier time than this."""
        return self.rows.c[name] < self._bound(name, moment, zone)

    def _bound(self, name: str, moment: datetime, zone: ZoneInfo) -> Any:
        naive = moment.astimezone(zone).replace(tzinfo=None)
        match self.kinds[name]:
            case Kind.INSTANT:
                return moment
            case Kind.TEXT:
                return naive.isoformat(" ", "seconds")
            case Kind.INTEGER:  # seconds since 1970
                return int(moment.timestamp())
            case _:
                return naive


def refers(source: Source, name: str, to: Source, key: str, of: FromClause | None = None) -> ColumnElement[bool]:
    """The condition of a join: the column `name` of a source has the key of another. `of`: the other's rows."""
    ours, theirs = source.rows.c[name], (to.rows if of is None else of).c[key]
    if source.kinds[name] is to.kinds[key]:
        return ours == theirs
    return cast(ours, String) == cast(theirs, String)


def _among(column: Any, kind: Kind, values: Iterable[str]) -> ColumnElement[bool]:
    if kind is Kind.INTEGER:
        numbers = [int(value) for value in values if re.fullmatch(r"-?(0|[1-9]\d{0,18})", value)]
        return column.in_([number for number in numbers if abs(number) <= _GREATEST])
    return (column if kind is Kind.TEXT else cast(column, String)).in_(list(values))


class Sources(NamedTuple):
    """What V1 has for the mapping."""

    orders: Source
    items: Source
    locks: Source | None
    levels: Source | None


def find_sources(engine: Engine, settings: CutoverSettings) -> Sources:
    """The tables, views and queries of the mapping. Raises CutoverError, which says what was found instead."""
    inspector = inspect(engine)
    present = sorted({*inspector.get_table_names(), *inspector.get_view_names(), *_materialized(engine)})
    if settings.is_stand_in and not present:
        raise CutoverError(
            "V1's stand-in has never run. Run it once: `python -m orders_sync.sandbox.v1 refresh:orders`."
        )
    found: dict[str, Source] = {}
    problems: list[str] = []
    for key in ("orders", "items", "locks", "levels"):
        names: V1Rows | None = getattr(settings.tables, key)
        if names is None:
            continue
        name = names.source("table")
        if name is not None and name not in present:
            instead = ", ".join(present) or "none"
            problems.append(
                f"tables.{key}.table: V1 has no table {name!r}{did_you_mean(name, present)}; it has {instead}"
            )
            continue
        try:
            found[key] = _source(engine, key, names)
        except CutoverError as problem:
            problems.append(str(problem))
            continue
        what = f"V1's table {name}" if name is not None else f"tables.{key}.query"
        for setting, column in columns_of(key, names):
            if column not in found[key].kinds:
                has = ", ".join(found[key].kinds)
                meant = did_you_mean(column, found[key].kinds)
                problems.append(f"tables.{key}.{setting}: {what} has no column {column!r}; it has {has}{meant}")
    if problems:
        raise CutoverError("\n".join(f"{settings.file}: {problem}" for problem in problems))
    return Sources(found["orders"], found["items"], found.get("locks"), found.get("levels"))


def columns_of(key: str, names: V1Rows) -> list[tuple[str, str]]:
    """Each setting that names a column, those of single marketplaces included, and the column."""
    found = list(names.columns().items())
    for marketplace, differing in getattr(names, "by_marketplace", {}).items():
        for setting, column in differing:
            if isinstance(column, str):
                found.append((f"by_marketplace.{marketplace}.{setting}", column))
    return found


def _materialized(engine: Engine) -> Sequence[str]:
    inspector = inspect(engine)
    return inspector.get_materialized_view_names() if engine.dialect.name == "postgresql" else ()


def _source(engine: Engine, key: str, names: V1Rows) -> Source:
    """The rows of one part of the mapping. Raises CutoverError where V1's database can't run its SQL.

    The SQL is the operator's own, for the operator's own database, in a session that only reads.
    """
    name, query, where = (names.source(part) for part in ("table", "query", "where"))
    quoted = engine.dialect.identifier_preparer.quote
    whole = f"SELECT * FROM {quoted(name)}" if name is not None else _inner(query or "")  # noqa: S608
    kinds = _kinds(engine, f"tables.{key}.{'query' if name is None else 'table'}", whole)
    columns = [Column(each, _TYPES.get(kind)) for each, kind in kinds.items()]
    plain: FromClause = (
        table(name, *(each._copy() for each in columns))  # pyright: ignore[reportPrivateUsage]
        if name is not None
        else _text(whole).columns(*columns).subquery(f"v1_{key}")
    )
    if where is None:
        return Source(plain.alias(f"v1_{key}") if name is not None else plain, plain, kinds)
    chosen = f"SELECT * FROM (\n{whole}\n) v1_{key} WHERE (\n{_inner(where)}\n)"  # noqa: S608
    if name is not None:  # the condition may name the table's columns by the table's name
        chosen = f"{whole} WHERE (\n{_inner(where)}\n)"
    _kinds(engine, f"tables.{key}.where", chosen)
    met = _text(chosen).columns(*(Column(each, _TYPES.get(kind)) for each, kind in kinds.items()))
    return Source(met.subquery(f"v1_{key}"), plain, kinds)


def _kinds(engine: Engine, setting: str, query: str) -> dict[str, Kind]:
    """The columns of a query and their kinds, by running it without a row. Raises CutoverError."""
    try:
        with engine.connect() as connection:
            result = connection.execute(_text(f"SELECT * FROM (\n{query}\n) v1_tried LIMIT 0"))  # noqa: S608
            cursor = result.cursor
            described = cursor.description if cursor is not None else None
    except SQLAlchemyError as error:
        raise CutoverError(f"{setting}: V1's database can't run it: {reason_of(error)}") from None
    codes = _POSTGRESQL if engine.dialect.name == "postgresql" else _MYSQL
    return {str(each[0]): codes.get(cast_type(int, each[1]), Kind.OTHER) for each in described or ()}


def reason_of(error: SQLAlchemyError) -> str:
    """What V1's database says, in one line."""
    original = getattr(error, "orig", None)
    arguments = getattr(original, "args", ())
    reason = arguments[1] if len(arguments) > 1 else original or error  # PyMySQL: number and text
    return str(reason).splitlines()[0]


def _inner(sql: str) -> str:
    """An operator's SQL, to be put in parentheses: without the semicolon at its end."""
    return sql.strip(" \t\r\n;")


def _text(sql: str) -> TextClause:
    """SQL as it is: a colon in it begins no parameter."""
    return text(sql.replace(":", "\\:"))
