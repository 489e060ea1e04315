"""The migration's plot: agreement and lag by day."""

import base64
import io

import pandas as pd


def agreement_plot(days: pd.DataFrame, wanted: float) -> str:
    """Agreement, and how much later V2 stores an order, by day and account, as a PNG data URL.

    `days`: columns account, day, agreement (per cent), v2_later_seconds. `wanted`: the agreement that is needed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 4.5), sharex=True, layout="constrained")
    for account, rows in days.sort_values("day").groupby("account"):
        above.plot(rows["day"], rows["agreement"].astype(float), label=str(account), marker=".")
        below.plot(rows["day"], rows["v2_later_seconds"].astype(float) / 60, label=str(account), marker=".")
    above.axhline(wanted, linestyle=":", color="grey")
    above.set_ylabel("agreement, %")
    below.set_ylabel("V2 later, minutes")
    above.legend(loc="lower left", fontsize="small")
    above.grid(alpha=0.3)
    below.grid(alpha=0.3)
    figure.autofmt_xdate()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80)
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
