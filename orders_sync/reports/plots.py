"""Plots as data URLs, which the Dagster UI shows in metadata."""

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:  # matplotlib takes half a second to import, and most runs draw nothing.
    from matplotlib.axes import Axes


def summary_plot(summary: pd.DataFrame) -> str:
    """Orders and cancelled items by day, one line for each account, as a PNG data URL."""

    def draw(above: "Axes", below: "Axes") -> None:
        for account, rows in summary.groupby("account"):
            by_day = rows.groupby("day").sum(numeric_only=True)
            above.plot(by_day.index, by_day["orders"], label=str(account), marker=".")
            below.plot(by_day.index, by_day["cancelled_items"], label=str(account), marker=".")

    return by_day_plot(draw, above="orders", below="cancelled items")


def agreement_plot(days: pd.DataFrame, required: float) -> str:
    """V1's and V2's agreement, and how much later V2 stores an order, by day and account, as a PNG data URL.

    `days`: columns account, day, agreement (per cent), v2_later_seconds.
    `required`: the agreement that V2 needs, drawn as a line.
    """

    def draw(above: "Axes", below: "Axes") -> None:
        for account, rows in days.sort_values("day").groupby("account"):
            above.plot(rows["day"], rows["agreement"].astype(float), label=str(account), marker=".")
            below.plot(rows["day"], rows["v2_later_seconds"].astype(float) / 60, label=str(account), marker=".")
        above.axhline(required, linestyle=":", color="grey")

    return by_day_plot(draw, above="agreement, %", below="V2 later, minutes")


def by_day_plot(draw: Callable[["Axes", "Axes"], None], *, above: str, below: str) -> str:
    """Two panels over the same days, drawn by `draw`, as a PNG data URL. `above`, `below`: the labels of their axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 1, figsize=(8, 4.5), sharex=True, layout="constrained")
    draw(*panels)
    for panel, label in zip(panels, (above, below), strict=True):
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    panels[0].legend(loc="lower left", fontsize="small")
    figure.autofmt_xdate()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80)
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
