"""Whether those who should be alerted can be reached."""

from collections.abc import Iterator

from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding


def examine_alerts() -> Iterator[Finding]:
    """Whether the file of the alerts can be used, and the last call of each channel worked."""
    from orders_sync.config.alerts import AlertConfigError, address_of, alerts_file, read_alerts

    try:
        settings = read_alerts()
    except AlertConfigError as problem:
        yield Finding(False, str(problem), "Correct the file: nobody is alerted until then.", kind="unusable alerts")
        return
    if not settings.channels:
        remedy = f"Name a channel in {alerts_file()}: docs, Alerts."
        yield Finding(True, f"nobody is alerted: no channel is named. {remedy}", is_notable=True)
        return
    with orders_database(APPLICATION) as connection:
        problems = dict(
            connection.execute("SELECT channel, problem FROM alert_channels WHERE problem IS NOT NULL").fetchall()
        )
    for name, channel in settings.channels.items():
        problem = problems.get(name)
        if address_of(channel.url) is None:
            problem = f"the environment variable {channel.url} is not set here"
        remedy = f"`orders-sync alerts test {name}` tries it."
        what = f"channel {name} can't be reached: {problem}" if problem else f"channel {name} can be reached"
        yield Finding(problem is None, what, remedy, kind=f"channel {name}")
