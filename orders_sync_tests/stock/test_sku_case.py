"""The form of a SKU is the same in Python and in PostgreSQL, whatever the text."""

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.sku_case import SPACES, SkuCase

TEXTS = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]) | st.sampled_from(SPACES + "aZzßıİéɐ{|`%'\\")
)
"""What PostgreSQL can store: all but NUL, and no half of a surrogate pair."""


def in_postgresql(stock: StockConnection, sku_case: SkuCase, skus: list[str]) -> list[str]:
    with stock.transaction() as transaction:
        stock.execute("INSERT INTO stock_settings (settings_id, sku_case, changed_by) VALUES (1, %s, '')", [sku_case])
        rows = stock.execute(
            "SELECT {sku_form} FROM unnest(%s::text[]) WITH ORDINALITY AS _ (sku, n) ORDER BY n", [skus]
        )
        found = [form for (form,) in rows]
        transaction.force_rollback = True
    return found


@pytest.mark.parametrize("sku_case", SkuCase)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(skus=st.lists(TEXTS, min_size=1))
def test_python_and_postgresql_have_the_same_form(stock: StockConnection, sku_case: SkuCase, skus: list[str]) -> None:
    assert in_postgresql(stock, sku_case, skus) == [sku_case.form(sku) for sku in skus]


@pytest.mark.parametrize("sku_case", SkuCase)
def test_they_have_it_for_each_character(stock: StockConnection, sku_case: SkuCase) -> None:
    characters = [chr(number) for number in range(1, sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    assert in_postgresql(stock, sku_case, characters) == [sku_case.form(character) for character in characters]


@given(sku=TEXTS)
def test_a_form_is_its_own_form(sku: str) -> None:
    for sku_case in SkuCase:
        assert sku_case.form(sku_case.form(sku)) == sku_case.form(sku)


def test_only_the_letters_a_to_z_come_into_upper_case() -> None:
    assert SkuCase.IGNORE.form(" iPhone-größe-ı ") == "IPHONE-GRößE-ı"
    assert SkuCase.EXACT.form(" iPhone ") == "iPhone"


def test_no_setting_means_exact(connection: Connection, stock: StockConnection) -> None:
    row = stock.execute("SELECT {sku_form} FROM (SELECT ' a ' AS sku) _").fetchone()
    assert row == ("a",)
