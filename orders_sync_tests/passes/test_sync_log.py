"""The log of all syncs: one line for each message, whatever a marketplace sent."""

import logging
import uuid

from orders_sync.config.environment import sync_log_file
from orders_sync.passes.sync_log import log_to_file


def test_a_text_of_a_marketplace_is_shown_and_begins_no_line() -> None:
    mark = uuid.uuid4().hex
    with log_to_file():
        logging.getLogger("orders_sync.sync").warning("%s order %s", mark, "1\n2026-01-01 ERROR forged\x1b[2J\u202e")
    lines = [line for line in sync_log_file().read_text(encoding="utf-8").split("\n") if mark in line]
    assert len(lines) == 1
    assert lines[0].endswith(f"WARNING OrderSync {mark} order 1^J2026-01-01 ERROR forged^[[2J\\u202e")
