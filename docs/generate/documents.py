"""The table in docs/operation.md: what the URLs of each marketplace's documents need to open."""

from docs.generate.markdown import code, table
from orders_sync.documents.all_documents import STATES
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names


def document_access_table() -> str:
    """What the URLs of documents need to open, by marketplace and kind, with the source in the contract."""
    rows = [
        (
            marketplace.title,
            str(kind).replace("_", " "),
            "needs the credential: never shown as a link" if access.needs_credential else "shown as a link",
            access.source,
        )
        for marketplace in map(find_marketplace, marketplace_names())
        for kind, access in marketplace.document_access.items()
    ]
    return table(("marketplace", "document", "its URL", "source"), rows)


def document_states_table() -> str:
    """What the states of the exported documents mean."""
    return table(("state", "meaning"), ((code(state), meaning) for state, meaning in STATES.items()))
