"""What stays of a marketplace's record once its buyer's data is blanked: the fields that its adapter names, only.

A list of what goes would miss each field that a marketplace adds, and each text in which a buyer tells something. So
each adapter lists what stays. Fields are named by their paths and not by their names alone, since `state` is a status
in one place and a part of an address in another. Values that stay are kept byte for byte: no amount is rounded.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS, cut

NOTHING = b"{}"
"""What stays of a record of which nothing can be kept."""
_Tree = dict[str, "_Tree"]
"""The names that stay in an object, each with those that stay within its value; '' among these: a single value stays.

A field may be either: Back Market's Care list has the id of a line where the folder has the line.
"""
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.encode


@dataclass(frozen=True)
class KeptFields:
    """The paths of the values that stay of an order and of a care record, e.g. `order_id` or `lines.sku`.

    A path passes through lists: `lines.sku` is the `sku` of each line. At its end stays a text, a number or a truth
    value, or a list of these; never an object, whatever the marketplace puts into it. Without paths, nothing stays.
    """

    order: Collection[str] = ()
    care: Collection[str] = ()
    _trees: Mapping[str, _Tree] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_trees", {"order": _tree(self.order), "care": _tree(self.care)})

    def part_of(self, kind: str, raw: bytes) -> bytes:
        """The JSON that stays of a record; NOTHING if it is no JSON object. `kind`: `order` or `care`."""
        tree = self._trees[kind]
        text = raw.decode(errors="replace")  # msgspec does not look into the texts that it leaves as they are
        for readable in (lambda: text, lambda: cut(text)):
            try:
                return _encode(_kept(_decode_object(readable().encode()), tree))
            except (*DECODE_ERRORS, ValueError):
                continue
        return NOTHING


def _tree(paths: Iterable[str]) -> _Tree:
    tree: _Tree = {}
    for path in paths:
        branch = tree
        for name in (*path.split("."), ""):
            branch = branch.setdefault(name, {})
    return tree


def _kept(values: Mapping[str, msgspec.Raw], tree: _Tree) -> dict[str, object]:
    found = {name: _part(bytes(values[name]), branch) for name, branch in tree.items() if name in values}
    return {name: value for name, value in found.items() if value is not None}


def _part(raw: bytes, tree: _Tree) -> object | None:
    """What stays of a value; None: nothing."""
    begins = raw[:1]
    if begins == b"[":
        parts = [_part(bytes(each), tree) for each in _decode_list(raw)]
        return [each for each in parts if each is not None]
    if begins == b"{":
        return _kept(_decode_object(raw), tree) if tree.keys() - {""} else None
    return msgspec.Raw(raw) if "" in tree else None


NOTHING_KEPT = KeptFields()
"""Of an adapter that names no fields."""
