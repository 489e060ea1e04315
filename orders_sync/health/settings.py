"""Whether the files of settings can be used, and are those that Dagster has loaded."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from orders_sync.health.causes import not_loaded
from orders_sync.health.daemon import RESTART
from orders_sync.health.finding import Finding, Level
from orders_sync.health.silence import overdue
from orders_sync.model.lane import SyncType
from orders_sync.model.time_words import span


def examine_accounts() -> Iterator[Finding]:
    """Whether each account can be used, and its credentials are set."""
    from orders_sync.config.account import AccountConfigError
    from orders_sync.marketplaces.kit.accounts import load_accounts

    accounts, problems = load_accounts()
    for name, problem in problems.items():
        remedy = "Correct the file. `orders-sync accounts list` shows whether it is right."
        yield Finding(False, str(problem), remedy, kind=f"unusable account {name}")
    for account in accounts.values():
        try:
            for key in account.settings.CREDENTIALS:
                account.credential(key)
            yield Finding(True, "its settings are valid, its credentials are set", about=account.name)
        except AccountConfigError as problem:
            yield Finding(False, str(problem), "Set it for the daemon and the web server too, and restart them.")
    if not accounts and not problems:
        yield Finding(False, "there is no account", "Add one: README, Add an account.")


def examine_code_location() -> Iterator[Finding]:
    """Whether the code server runs, and has loaded everything and the present settings."""
    from orders_sync.config.code_location import changed_settings, last_code_location
    from orders_sync.dagster_instance.instance import open_instance

    location = last_code_location()
    if location is None:
        yield Finding(True, "no code server runs on this machine")
        return
    loaded = f"{location.loaded_at:%Y-%m-%d %H:%M:%S} UTC"
    if not location.is_served:
        ended = f"the code server that loaded the definitions at {loaded} has ended"
        with open_instance() as instance:
            is_silent = overdue(instance) is not None
        if is_silent:
            yield Finding(False, ended, RESTART, kind="code server", page="/deployment/locations")
        else:
            yield Finding(True, f"{ended}; another one evaluates the ticks")
        return
    for path, reason in location.left_out.items():
        remedy = "Correct it, and reload the code location in the UI."
        yield Finding(
            False, f"{path} is left out: {reason}", remedy, kind=f"left out {path}", page="/deployment/locations"
        )
    for path in changed_settings(location):
        is_new = path not in location.settings
        yield Finding(
            False,
            f"{'added' if is_new else 'changed'} after the code location was loaded at {loaded}",
            "Reload it, so that schedules and assets follow: in the UI, Deployment, Reload.",
            path,
            kind=not_loaded(Path(path).parent.name) if is_new else "",
        )
    if not location.left_out:
        yield Finding(True, f"the code location was loaded at {loaded}")


def examine_schedules() -> Iterator[Finding]:
    """Whether the file of the schedules is valid, and all schedules and sensors are on."""
    from orders_sync.config.code_location import is_loaded
    from orders_sync.config.schedules import schedules_in_force
    from orders_sync.dagster_instance.automation import stopped_instigators
    from orders_sync.dagster_instance.instance import open_instance

    settings, problem = schedules_in_force()
    valid = f"the cron expressions are valid, in {settings.timezone}"
    remedy = "Correct the file, and reload the code location in the UI."
    yield Finding(problem is None, str(problem or valid), remedy, kind="unusable schedules")
    with open_instance() as instance:
        stopped = [name for name in stopped_instigators(instance) if is_loaded(name)]
    for name in stopped:
        remedy = "Switch it on in the UI, Automation."
        yield Finding(
            False, f"{name} is switched off", remedy, kind=f"off {name}", level=Level.WARNING, page="/automation"
        )
    if not stopped:
        yield Finding(True, "no schedule or sensor is switched off")


def examine_deadlines() -> Iterator[Finding]:
    """Whether each account's deadline leaves its passes the time to answer a line."""
    from orders_sync.config.environment import schedules_file
    from orders_sync.config.schedules import load_schedules
    from orders_sync.marketplaces.kit.accounts import load_accounts
    from orders_sync.passes.acceptance_clock import PASS_LENGTH

    schedules, now = load_schedules(), datetime.now(UTC)
    for account in load_accounts()[0].values():
        deadline = account.settings.acceptance_deadline
        own = schedules.for_account(account.settings.schedules)
        gap = own.longest_gap(SyncType.NEW, now) + PASS_LENGTH
        if deadline is not None and deadline <= gap and account.has_on(SyncType.NEW):
            yield Finding(
                False,
                f"its acceptance_deadline of {span(deadline.total_seconds())} is no longer than the "
                f"{span(gap.total_seconds())} that a line may wait for a pass of `new` to answer it: one that is "
                "paid right after a pass runs out",
                f"Add ticks: `frequent_new` or another `new`, in {schedules_file()} or under `schedules` in the "
                "account's file.",
                account.name,
            )
