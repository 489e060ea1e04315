"""SKUs that adapters make for products without one, so that their items can be locked and named in stock imports."""


class MadeSku(str):
    """A SKU made of another id of the product, since the record has no SKU: `offer-4711`.

    It counts only for an item of which no SKU is known: a later copy of a record that leaves the SKU out must not
    release the lock of what is to be shipped.
    """

    prefix: str
    """What all SKUs begin with that are made in this way."""


def sku_or_made(sku: str | None, prefix: str, product_id: object) -> str:
    """The SKU as the record has it, or one that is made; empty if the record has neither SKU nor id (None)."""
    if sku is not None and sku.strip():
        return sku
    if product_id is None:
        return ""
    made = MadeSku(f"{prefix}{str(product_id).strip()}")
    made.prefix = prefix
    return made
