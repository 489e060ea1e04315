"""The columns of what is exported, with the types that both formats keep."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from psycopg import Column as DescribedColumn
from psycopg.postgres import types


class ColumnType(StrEnum):
    """What the values of a column are, beside None."""

    TEXT = "text"
    WHOLE_NUMBER = "whole_number"
    LARGE_WHOLE_NUMBER = "large_whole_number"
    """Whole numbers of up to 64 bits; the others have 32."""
    DECIMAL = "decimal"
    TIME = "time"
    """Moments with a time zone."""
    YES_OR_NO = "yes_or_no"


class Column(NamedTuple):
    """A column of an export."""

    name: str
    type: ColumnType


_TYPES = {
    types["text"].oid: ColumnType.TEXT,
    types["int4"].oid: ColumnType.WHOLE_NUMBER,
    types["int8"].oid: ColumnType.LARGE_WHOLE_NUMBER,
    types["numeric"].oid: ColumnType.DECIMAL,
    types["timestamptz"].oid: ColumnType.TIME,
    types["bool"].oid: ColumnType.YES_OR_NO,
}


def columns_of(description: Sequence[DescribedColumn]) -> list[Column]:
    """The columns of a query, in its order. Raises TypeError for one of a type that no export has yet."""
    unknown = [column.name for column in description if column.type_code not in _TYPES]
    if unknown:
        raise TypeError(f"no type for an export: {', '.join(unknown)}")
    return [Column(column.name, _TYPES[column.type_code]) for column in description]
