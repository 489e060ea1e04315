"""Stock under load: ten seconds of what `make stress` does for longer."""

import pytest

from orders_sync.stock.sku_case import SkuCase
from orders_sync_tests.stock.stress import stress


@pytest.mark.parametrize("sku_case", SkuCase)
def test_under_load_no_lock_and_no_level_ends_wrong(database_url: str, sku_case: SkuCase) -> None:
    figures = stress(database_url, seconds=10, orders=1_500, sku_case=sku_case)
    assert figures.is_right, figures
    assert figures.deadlocks == 0, figures
    assert figures.events > 500, figures
    assert figures.acts["import"] > 0, figures
    assert (figures.acts["case"] > 0) is (sku_case is SkuCase.IGNORE), figures
    assert set(figures.transitions) == {"locked", "short", "held", "consumed", "released"}, figures
