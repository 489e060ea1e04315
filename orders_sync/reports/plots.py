"""Plots as data URLs, which the Dagster UI shows in metadata."""

import base64
import io

import pandas as pd


def summary_plot(summary: pd.DataFrame) -> str:
    """Orders and cancelled items by day, one line an account, as a PNG data URL."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 4.5), sharex=True, layout="constrained")
    for account, rows in summary.groupby("account"):
        by_day = rows.groupby("day").sum(numeric_only=True)
        above.plot(by_day.index, by_day["orders"], label=str(account), marker=".")
        below.plot(by_day.index, by_day["cancelled_items"], label=str(account), marker=".")
    above.set_ylabel("orders")
    below.set_ylabel("cancelled items")
    above.legend(loc="upper left", fontsize="small")
    above.grid(alpha=0.3)
    below.grid(alpha=0.3)
    figure.autofmt_xdate()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80)
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
