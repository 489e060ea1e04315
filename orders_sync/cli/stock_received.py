"""`orders-sync stock receive`, `put-away` and `received`: pieces that came back, from quarantine to the shelf."""

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.stock_acts import REASON, print_transitions
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import PIECES, ROW_ID

APPLICATION = "orders_sync stock"


@click.command("receive")
@click.argument("care_id")
@click.argument("item_id", required=False)
@click.argument("pieces", type=click.IntRange(*PIECES), required=False)
@REASON
def receive(care_id: str, item_id: str | None, pieces: int | None, reason: str) -> None:
    """Receive pieces of a care record.

    CARE_ID may also be account/id. Without ITEM_ID and PIECES, all pieces of the care record that did not come back
    yet are received: they are in quarantine, and not on hand until `orders-sync stock put-away` puts them there.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock import received as pieces_received
    from orders_sync.stock.by_hand import pieces_to_return

    with stock_database(APPLICATION) as connected:
        account, own_id = pieces_received.care_record_named(connected, care_id)
        returned = pieces_to_return(connected, account, item_id, pieces, own_id)
        found = pieces_received.receive(connected, own_id, returned, by_user(reason), overselling_accounts())
    for each in found.receipts:
        console.print(
            f"Receipt {each.number}: {each.pieces} pieces of SKU {each.sku} of item {each.item_id} are in quarantine.",
            markup=False,
        )
    print_transitions(found.applied.transitions)


@click.command("put-away")
@click.argument("receipt", type=click.IntRange(*ROW_ID))
@click.argument("pieces", type=click.IntRange(*PIECES), required=False)
@click.option("--same-sku", is_flag=True, help="On the shelf, under the SKU with which they left.")
@click.option("--sku", help="On the shelf, under another SKU of the stock list, e.g. of another grade.")
@click.option("--scrap", is_flag=True, help="Not to be sold again.")
@REASON
def put_away(receipt: int, pieces: int | None, same_sku: bool, sku: str | None, scrap: bool, reason: str) -> None:
    """Shelve or scrap received pieces.

    RECEIPT is the number of a receipt, which `orders-sync stock received` lists. PIECES of it are put away, by default
    all that are in quarantine, and only once. Name one of --same-sku, --sku and --scrap.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock import received as pieces_received
    from orders_sync.stock.by_hand import StockActError

    try:
        destination = pieces_received.destination(sku, same_sku=same_sku, is_scrap=scrap)
    except StockActError as error:
        raise click.UsageError(f"{error} Name one of --same-sku, --sku and --scrap.") from None
    with stock_database(APPLICATION) as connected:
        done = pieces_received.put_away(
            connected, receipt, pieces, destination, by_user(reason), overselling_accounts()
        )
    console.print(done.text, markup=False)
    print_transitions(done.applied.transitions)


@click.command("received")
@click.option("--all", "show_all", is_flag=True, help="Also receipts whose pieces are all put away.")
@format_options
def received(show_all: bool, as_json: bool, as_csv: bool) -> None:
    """List received pieces that are in quarantine.

    Each with the state of its care record, and where its pieces are now.
    """
    from orders_sync.stock.received import Receipt, receipts

    with read_stock_database(APPLICATION) as connected:
        rows = [list(each) for each in receipts(connected, only_in_quarantine=not show_all)]
    print_rows("Received pieces", list(Receipt._fields), rows, as_json=as_json, as_csv=as_csv)
