"""Whether those who should be alerted can be reached."""

from collections.abc import Iterator

from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level

HEARTBEAT = "heartbeat "
"""The row of `alert_channels` that stands for the heartbeat: no channel has a name with a blank at its end."""


def kind_of(channel: str) -> str:
    """The kind of the trouble that a channel can't be reached."""
    return f"channel {channel}"


def examine_alerts() -> Iterator[Finding]:
    """Whether the file of the alerts can be used, and the last calls of each channel and of the heartbeat worked."""
    from orders_sync.config.alerts import AlertConfigError, alerts_file, read_alerts
    from orders_sync.config.secret_values import address_of

    try:
        settings = read_alerts()
    except AlertConfigError as problem:
        yield Finding(False, str(problem), "Correct the file: nobody is alerted until then.", kind="unusable alerts")
        return
    if not settings.channels:
        remedy = f"Name a channel in {alerts_file()}: docs, Alerts."
        yield Finding(True, f"nobody is alerted: no channel is named. {remedy}", is_notable=True)
    if not settings.channels and settings.heartbeat is None:
        return
    with orders_database(APPLICATION) as connection:
        problems = dict(
            connection.execute("SELECT channel, problem FROM alert_channels WHERE problem IS NOT NULL").fetchall()
        )

    def problem_of(row: str, variable: str) -> str | None:
        unset = f"the environment variable {variable} is not set here"
        return unset if address_of(variable) is None else problems.get(row)

    for name, channel in settings.channels.items():
        problem = problem_of(name, channel.url)
        remedy = f"`orders-sync alerts test {name}` tries it."
        what = f"channel {name} can't be reached: {problem}" if problem else f"channel {name} can be reached"
        yield Finding(problem is None, what, remedy, kind=kind_of(name))
    if settings.heartbeat is not None:
        problem = problem_of(HEARTBEAT, settings.heartbeat)
        what = f"the heartbeat can't be called: {problem}" if problem else "the heartbeat can be called"
        remedy = (
            f"Compare {settings.heartbeat} with the URL that its service shows. It is called every five minutes, while "
            "there is no error."
        )
        # No error: while there is one, the heartbeat is not called, so that it could never be well again.
        yield Finding(problem is None, what, remedy, kind="heartbeat", level=Level.WARNING)
