"""The account file that `dg scaffold defs orders_sync.components.account.Account accounts/NAME` writes."""

from contextlib import suppress

import click
from dagster import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import FILE_NAME
from orders_sync.marketplaces.kit.new_account import account_file, check_new_account, next_step


class AccountChoice(BaseModel):
    """The parameters of `dg scaffold` for an account."""

    marketplace: str = Field(default="back_market", description="The marketplace, as in docs/reference/states.md.")


class AccountScaffolder(Scaffolder[AccountChoice]):
    """Writes every setting with its meaning. Settings that have a default are commented out."""

    @classmethod
    def get_scaffold_params(cls) -> type[AccountChoice]:
        return AccountChoice

    def scaffold(self, request: ScaffoldRequest[AccountChoice]) -> None:
        folder = request.target_path
        try:
            check_new_account(folder, request.params.marketplace)
        except AccountConfigError as problem:
            with suppress(OSError):  # Dagster has just made it; one with files in it stays
                folder.rmdir()
            raise click.UsageError(str(problem)) from None
        (folder / FILE_NAME).write_text(account_file(request.params.marketplace, folder.name))
        click.echo(next_step(folder))
