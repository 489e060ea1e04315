"""Plots: pictures that the UI can show, whatever the figures."""

import base64
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from matplotlib.axes import Axes

from orders_sync.reports.daily import COLUMNS
from orders_sync.reports.plots import agreement_plot, by_day_plot, summary_plot

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(3)]


def is_png(url: str) -> bool:
    kind, _, content = url.partition(",")
    return kind == "data:image/png;base64" and base64.b64decode(content).startswith(b"\x89PNG\r\n")


def summary(accounts: list[str], orders: int) -> pd.DataFrame:
    rows = [(account, day, "EUR", orders, 1, Decimal(5), 0, 0) for account in accounts for day in DAYS]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_summary_is_a_picture_that_follows_its_figures() -> None:
    one, two = summary_plot(summary(["a", "b"], 3)), summary_plot(summary(["a", "b"], 30))
    assert is_png(one)
    assert is_png(two)
    assert one != two
    assert one == summary_plot(summary(["a", "b"], 3))


@pytest.mark.parametrize("later", [Decimal(90), None], ids=["with delays", "without any"])
def test_the_agreement_is_a_picture(later: Decimal | None) -> None:
    days = pd.DataFrame(
        [("shop", day, Decimal("99.97"), later) for day in DAYS],
        columns=["account", "day", "agreement", "v2_later_seconds"],
    )
    assert is_png(agreement_plot(days, required=99.95))


def test_both_panels_are_drawn_on_and_labelled() -> None:
    labels: list[str] = []

    def draw(above: Axes, below: Axes) -> None:
        for axes in (above, below):
            axes.plot([1, 2, 3], label="a")
        labels.append(type(above).__name__)

    assert is_png(by_day_plot(draw, above="orders", below="cancelled items"))
    assert labels == ["Axes"]
