"""Records of a marketplace as pages show them."""

import json

from orders_sync.model.keys import with_valid_characters


def indented(raw: str) -> str:
    """A record, indented where nothing else changes by it: numbers and doubled keys stay as they came."""
    try:
        again = json.dumps(json.loads(raw), ensure_ascii=False)
        shown = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return with_valid_characters(raw)
    is_same = "".join(again.split()) == "".join(raw.split())
    return with_valid_characters(shown if is_same else raw)
