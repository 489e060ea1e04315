"""The marketplaces' states, onto ours and onto stock, as docs/states.md shows them."""

from orders_sync import marketplaces
from orders_sync.stock.effects import effect_of

HEAD = """\
# The marketplaces' states

Made from the code (`python -m orders_sync.marketplaces.states > docs/states.md`); a test holds the two together. A
state that no table names is kept as it came, counts as `unknown`, and is reported by the check `states_are_known`.
What each of our statuses means for a lock is told in [stock.md](stock.md); the item's status counts.
"""


def as_markdown() -> str:
    """The whole of docs/states.md."""
    parts = [HEAD]
    for name in marketplaces.names():
        marketplace = marketplaces.find(name)
        parts.append(f"\n## {marketplace.title}\n")
        for what, table in marketplace.states.items():
            parts.append(f"\n| {what} | status | the lock |\n|---|---|---|\n")
            parts += [f"| `{state}` | `{status}` | {effect_of(status)} |\n" for state, status in table.items()]
        parts.append(f"\n{marketplace.notes}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(as_markdown(), end="")
