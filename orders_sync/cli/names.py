"""The names of things on the command line: accounts, lanes and records. A shell completes them."""

from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from orders_sync.cli.ends import note_account
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.statuses import Status

MAX_COMPLETIONS = 100


class AccountName(click.ParamType[str]):
    """The name of an account. A removed account may have rows; what fails with a misspelled one says so."""

    name = "account"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value:  # a default may be empty
            note_account(ctx, str(value))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The accounts that have a file."""
        return [CompletionItem(name) for name in _accounts() if name.startswith(incomplete)]


class LaneName(click.ParamType[Lane]):
    """A lane by its name, e.g. shop/new."""

    name = "lane"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Lane:
        account, _, sync_type = str(value).rpartition("/")
        if not account or sync_type not in list(SyncType):
            self.fail(f"{value!r} is no lane; allowed is ACCOUNT/SYNC, where SYNC is {', '.join(SyncType)}", param, ctx)
        note_account(ctx, account)
        return Lane(account, SyncType(sync_type))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The lanes of the accounts that have a file."""
        lanes = (f"{account}/{sync_type}" for account in _accounts() for sync_type in SyncType)
        return [CompletionItem(lane) for lane in lanes if lane.startswith(incomplete)]


class StatusName(click.ParamType[Status]):
    """A status of orders and items, in the project's vocabulary."""

    name = "status"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Status:
        if value not in list(Status):
            from orders_sync.config.yaml_files import did_you_mean

            meant = did_you_mean(value, Status)
            self.fail(f"{value!r} is no status{meant}; allowed are {', '.join(Status)}.", param, ctx)
        return Status(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """All of them."""
        return [CompletionItem(str(status)) for status in Status if status.startswith(incomplete)]


class RejectedId(click.ParamType[str]):
    """The id of a rejected record of the argument ACCOUNT."""

    name = "record_id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that are neither resolved nor dismissed, of the account that was named before."""
        found: list[tuple[str, str]] = []
        with suppress(Exception):  # a shell that completes has no place for errors
            from orders_sync.database.opened import orders_database

            with orders_database("orders_sync completion") as connection:
                found = connection.execute(
                    _REJECTED, [ctx.params.get("account"), incomplete, MAX_COMPLETIONS]
                ).fetchall()
        return [CompletionItem(record_id, help=f"rejected {kind}") for record_id, kind in found]


_REJECTED = """
SELECT record_id, kind FROM rejected_records
WHERE account = %s AND starts_with(record_id, %s) AND resolved_at IS NULL AND dismissed_at IS NULL
ORDER BY record_id LIMIT %s
"""


class SubscriptionName(click.ParamType[str]):
    """The name of a subscription."""

    name = "subscription"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that the orders database knows."""
        found: list[tuple[str]] = []
        with suppress(Exception):  # as above
            from orders_sync.database.opened import orders_database

            with orders_database("orders_sync completion") as connection:
                found = connection.execute(_SUBSCRIPTIONS, [incomplete]).fetchall()
        return [CompletionItem(name) for (name,) in found]


_SUBSCRIPTIONS = "SELECT subscription FROM subscriptions WHERE starts_with(subscription, %s) ORDER BY 1"

ACCOUNT, LANE, REJECTED_ID, SUBSCRIPTION = AccountName(), LaneName(), RejectedId(), SubscriptionName()
STATUS = StatusName()


def _accounts() -> list[str]:
    with suppress(Exception):
        from orders_sync.marketplaces.kit.accounts import names_of_files

        return names_of_files()
    return []
