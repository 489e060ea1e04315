"""Which spellings of a SKU are one SKU: the rule, in Python and in SQL.

SKUs are compared and stored in one form. It has no spaces around it; if case is ignored, its letters a to z are in
upper case. Only these: the upper case of other letters depends on the language and on the program.
"""

from collections.abc import Iterable
from enum import StrEnum

from psycopg.sql import SQL, Literal

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TO_UPPER = str.maketrans(_LOWER, _UPPER)
SPACES = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `str.strip` strips."""


class SkuCase(StrEnum):
    """Whether upper and lower case make a difference between SKUs."""

    EXACT = "exact"
    """SKUs that differ in case are different ones."""
    IGNORE = "ignore"
    """SKUs that differ only in the case of the letters a to z are one."""

    def form(self, sku: str) -> str:
        """The form in which a SKU is compared and stored; `sku_form` is the same in SQL."""
        sku = sku.strip()
        return sku.translate(_TO_UPPER) if self is SkuCase.IGNORE else sku

    def spellings(self, skus: Iterable[str]) -> dict[str, list[str]]:
        """The form of each SKU, with its spellings in the order of `skus`."""
        found: dict[str, list[str]] = {}
        for sku in skus:
            found.setdefault(self.form(sku), []).append(sku)
        return found


SKU_FORM = SQL(
    "translate(trim(sku, {spaces}), "
    "coalesce((SELECT {lower} FROM public.stock_settings WHERE sku_case = 'ignore'), ''), {upper})"
).format(spaces=Literal(SPACES), lower=Literal(_LOWER), upper=Literal(_UPPER))
"""The SQL expression for the form of the column `sku`, by the stored setting, which PostgreSQL reads once a statement.
Statements of stock name it `{sku_form}`."""
