"""The marketplaces' states, onto ours and onto stock, as docs/states.md shows them."""

from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync.stock.actions import lock_action_of

HEAD = """\
# The marketplaces' states

Generated from the code by `python docs/generate/states.py > docs/states.md`; a test compares the two. A
state that no table names is kept as it came, counts as `unknown`, and is reported by the check `states_are_known`.
[stock.md](stock.md) says what each of our statuses means for a lock; the item's status counts.
"""


def as_markdown() -> str:
    """The whole of docs/states.md."""
    parts = [HEAD]
    for name in marketplace_names():
        marketplace = find_marketplace(name)
        parts.append(f"\n## {marketplace.title}\n")
        for what, table in marketplace.status_tables.items():
            parts.append(f"\n| {what} | status | the lock |\n|---|---|---|\n")
            parts += [f"| `{state}` | `{status}` | {lock_action_of(status)} |\n" for state, status in table.items()]
        parts.append(f"\n{marketplace.notes}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(as_markdown(), end="")
