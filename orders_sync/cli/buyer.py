"""`orders-sync buyer`: what is stored about a buyer, and its erasure on request."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console, print_as_it_is
from orders_sync.cli.tables import table
from orders_sync.cli.user import by_user
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError
from orders_sync.privacy.buyers import Buyer, BuyerRecords

if TYPE_CHECKING:  # imported only by the command
    from orders_sync.marketplaces.kit.kept_fields import KeptFields

APPLICATION = "orders_sync buyer"


@click.group()
def buyer() -> None:
    """Export or erase what is stored about a buyer.

    Name the buyer by exactly one of --order, --mail and --name. --order means this order alone, with its care records;
    --mail and --name mean all that is stored about the buyer, at all accounts.
    """


def _buyer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that name a buyer, as the parameters `order`, `mail` and `name`."""
    for option in (
        click.option("--name", help="The buyer's first and last name, or company, as a whole."),
        click.option("--mail", help="The buyer's mail address, also within texts."),
        click.option("--order", type=(ACCOUNT, str), metavar="ACCOUNT ORDER", help="One of the buyer's orders."),
    ):
        command = option(command)
    return command


@buyer.command("export")
@_buyer_options
@click.option(
    "--to", "file", type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, which only you may open; standard output by default.",
)  # fmt: skip
def export(order: tuple[str, str] | None, mail: str | None, name: str | None, file: Path | None) -> None:
    """Print everything that is stored about a buyer, as JSON.

    Orders with their items, documents (without contents), changes, events and acceptances; care records; rejected
    records. It is an act: `orders-sync acts` shows who exported what.
    """
    from orders_sync.acts.manual_acts import Act, On, note_act
    from orders_sync.config.private_files import private_file
    from orders_sync.privacy.export import exported

    meant = _meant(order, mail, name)
    with orders_database(APPLICATION) as connection:
        records = _found(connection, meant)
        with connection.transaction():
            by, detail = by_user(), f"found by {meant.found_by}, with {records.in_words()}"
            for on in _objects(records):
                note_act(connection, by, Act.EXPORT_BUYER, On(*on), detail)
            content = json.dumps(exported(connection, records), indent=2, ensure_ascii=False)
    content = content.encode(errors="replace").decode()  # a marketplace may have sent half of a surrogate pair
    if file is None:
        print_as_it_is(content)
        return
    with open(file, "w", encoding="utf-8", opener=private_file) as written:
        written.write(content + "\n")
    console.print(f"{file}: {records.in_words()}. Only you may open it.", markup=False)


@buyer.command("erase")
@_buyer_options
@click.option("--yes", is_flag=True, help="Erase without asking.")
def erase(order: tuple[str, str] | None, mail: str | None, name: str | None, yes: bool) -> None:
    """Erase a buyer's data for good.

    Shows what would be erased, and asks. Orders, items, amounts and stock stay; name, addresses, mail, phone, IMEIs,
    tracking, documents and what the buyer wrote go, at once and whatever the account's retention. Later copies from the
    marketplace are stored without them. An order that is not shipped yet can't be shipped from these tables afterwards.

    Not reached: backups, the marketplace, logs that are rotated, and copies that your own programs made.
    """
    from orders_sync.privacy.erase import erase as erase_records

    meant = _meant(order, mail, name)
    with orders_database(APPLICATION) as connection:
        records = _found(connection, meant)
        _show(connection, records)
        if not yes:
            click.confirm("Erase the buyer's data of these records? It can't be undone", abort=True)
        outcome = erase_records(connection, records, _kept_fields(), by_user(), meant.found_by)
    documents, answers = outcome.documents, outcome.error_answers
    console.print(
        f"Erased: {records.in_words()}, {documents} stored documents, {answers} kept error answers.", markup=False
    )
    console.print("Backups and the marketplace still have the data; docs/privacy.md says what else.", markup=False)


def _meant(order: tuple[str, str] | None, mail: str | None, name: str | None) -> Buyer:
    """Raises UsageError unless exactly one is given."""
    from orders_sync.privacy.buyers import usable

    given = [each for each in (order, mail, name) if each]
    if len(given) != 1:
        raise click.UsageError("Name the buyer by exactly one of --order ACCOUNT ORDER, --mail and --name.")
    if not all(map(usable, order or given)):  # pyright: ignore[reportArgumentType]
        raise click.UsageError("The order, mail address or name is empty or has a character that is never stored.")
    return Buyer(order or None, mail, name)


def _found(connection: Connection, meant: Buyer) -> BuyerRecords:
    """Raises UserFacingError if nothing is stored about the buyer."""
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.privacy.buyers import find_records

    records = find_records(connection, meant)
    if not records and meant.order is not None:
        check_account_name(meant.order[0])  # a removed account may have orders; a misspelled one has none
    if not records:
        what = f"order {meant.order[1]} of account {meant.order[0]}" if meant.order else f"this {meant.found_by}"
        raise UserFacingError(
            f"Nothing is stored about {what}. What was blanked or erased before can be found by its order only."
        )
    return records


def _objects(records: BuyerRecords) -> list[tuple[str, str | None, None, None, str | None]]:
    """The records as the objects of acts."""
    return [
        *((account, order_id, None, None, None) for account, order_id in records.orders),
        *((account, None, None, None, f"care record {care_id}") for account, care_id in records.care),
        *((account, key if kind == "order" else None, None, None, f"rejected {kind} {key}")
          for account, kind, key in records.rejected),
    ]  # fmt: skip


def _show(connection: Connection, records: BuyerRecords) -> None:
    shown = table(f"To be erased: {records.in_words()}", "account", "record", "id", "status")
    for account, order_id in records.orders:
        row = connection.execute(
            "SELECT status FROM orders WHERE account = %s AND order_id = %s", [account, order_id]
        ).fetchone()
        shown.add_row(account, "order", order_id, row[0] if row else "-")
    for account, care_id in records.care:
        shown.add_row(account, "care record", care_id, "")
    for account, kind, key in records.rejected:
        shown.add_row(account, f"rejected {kind}", key, "")
    console.print(shown)


def _kept_fields() -> Callable[[str], "KeptFields"]:
    """What stays of the records of an account; nothing where its file is gone."""
    from orders_sync.marketplaces.kit.accounts import load_accounts

    accounts, _ = load_accounts()
    return partial(_kept_of, {name: account.settings.marketplace for name, account in accounts.items()})


def _kept_of(marketplaces: dict[str, str], account: str) -> "KeptFields":
    from orders_sync.marketplaces.kit.kept_fields import KeptFields
    from orders_sync.marketplaces.kit.registry import find_marketplace

    return find_marketplace(marketplaces[account]).kept_fields if account in marketplaces else KeptFields()
