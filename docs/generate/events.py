"""docs/reference/events.md: the events of the outbox, and the columns of their table."""

from collections.abc import Iterator
from typing import Any

from docs.generate.contract import SCHEMA_FILE, TYPES, event_schema
from docs.generate.markdown import code, page, sentence, table
from docs.generate.tables import columns_table
from orders_sync.database.tables.orders import order_events
from orders_sync.model.event_kinds import KINDS as EVENT_KINDS
from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.sync.copy_columns import CREATED, STATUS_CHANGED

KINDS = {
    CREATED: (
        "An order was stored for the first time, by whichever sync saw it first.",
        "`new_status` is the order's status, `items` maps each item's id to its status, `item_id` is empty.",
    ),
    STATUS_CHANGED: (
        "A stored order's or item's status changed. One event for each status that changed.",
        "`old_status` and `new_status`. `item_id` is empty where the order's own status changed. `previous` has the "
        "values before of the other columns that changed with it.",
    ),
}
_OF_NO_STATUS = "`old_status` and `new_status` are the order's status. `applied_at` is set: stock has nothing to apply."
_DETAILS = {"DocumentAvailable": "document", "CareOpened": "care", "CareClosed": "care"}
KINDS |= {
    kind: (
        f"{text} Only where a subscription asks for such events.",
        _OF_NO_STATUS
        + ("" if kind == "OrderChanged" else f" `details` has the {_DETAILS.get(kind, 'lock')}, as it was then."),
    )
    for kind, text in EVENT_KINDS.items()
    if kind not in KINDS
}

RULES = """\
## What a reader can rely on

* An event is written in the transaction that changed the order. There is no change of a status without its event, and
  no event without its change.
* The unique index `order_events_once` (account, order, item, kind, revision) prevents a second event for one change of
  an order. Events of documents, care cases and locks (`details`) may be several of a kind with each revision.
* Events of one order have growing revisions and are applied in that order. Between orders there is no order: rows
  commit out of order, so do not read the table with a cursor over `event_id`. [Subscribe](../events.md) instead.
* `incomplete` and `care` write neither of the first two kinds.
* `order_changes` has a row with the same account, order and revision: each value that changed, before and after.
* An event carries no buyer's data.

## What the stock job does with them
"""


def events_page() -> str:
    """The whole page."""
    actions = (
        (str(action), ", ".join(code(status) for status in Status if LOCK_ACTIONS[status].action is action))
        for action in LockAction
    )
    return page(
        "Events",
        "An event is a row of `order_events`, the outbox. A sensor sees pending rows and wakes the stock job. "
        "[Others subscribe to events](../events.md).",
        table(("event", "when", "contents"), ((code(kind), *texts) for kind, texts in KINDS.items())),
        RULES,
        table(("lock", "new status of the item"), actions),
        "See [Stock](../stock.md) for the reasons.",
        "## The contract with consumers",
        f"What each consumer gets; also as [JSON Schema]({SCHEMA_FILE.removeprefix('reference/')}) and in an "
        "[AsyncAPI document](asyncapi.json) of the webhooks.",
        *_fields(),
        "## The table `order_events`",
        columns_table(order_events),
    )


def _fields() -> Iterator[str]:
    """The fields of each type of the contract."""
    definitions = event_schema()["$defs"]
    for each in TYPES:
        definition = definitions[each.__name__]
        yield f"### {each.__name__}\n\n{definition['description']}"
        yield table(
            ("field", "type", "meaning"),
            (
                (code(name), _type_of(field), sentence(field.get("description", "")))
                for name, field in definition["properties"].items()
            ),
        )


def _type_of(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type_of(choice) for choice in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "[status](states.md#our-statuses)" if name == "Status" else f"[{name}](#{name.lower()})"
    if field["type"] == "array":
        return f"list of {_type_of(field['items'])}"
    if field["type"] == "object":
        return f"mapping to {_type_of(field['additionalProperties'])}"
    named = {"date-time": "time", "decimal": "amount"}
    return named.get(str(field.get("format")), str(field["type"]))
