"""Sends messages through Apprise, which knows mail, chats, pagers and webhooks by one URL each."""

import logging
from io import StringIO
from typing import cast

import httpx

from orders_sync.alerts.messages import Message
from orders_sync.model.control_characters import safe_text

HEARTBEAT_SECONDS = 10.0
"""How long the heartbeat's answer is waited for."""
_MAX_PROBLEM = 300


def send(address: str, message: Message) -> str | None:
    """Sends a message to one channel. Returns why that failed, in one line; None: it was sent.

    `address`: Apprise's URL of the channel.
    """
    import apprise  # takes a quarter of a second

    logging.getLogger("apprise").propagate = False  # it quotes the parts of an address, tokens included

    asset = apprise.AppriseAsset(app_id="orders_sync", app_desc="orders_sync", app_url="", image_url_mask=None)
    channel = apprise.Apprise(asset=asset)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        if not channel.add(address):
            return "Apprise does not recognize its URL"
        try:
            sent = channel.notify(
                title=message.title,
                body=message.body,
                notify_type=apprise.NotifyType(message.kind),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as problem:  # one plugin of a hundred must not stop the other channels
            return safe_text(f"{type(problem).__name__}: {problem}", in_one_line=True)[:_MAX_PROBLEM]
        lines = [line.strip() for line in cast(StringIO, log).getvalue().splitlines() if line.strip()]
    if sent:
        return None
    said = lines[-1] if lines else "it was not sent"
    return safe_text(said, in_one_line=True)[:_MAX_PROBLEM]


def call_heartbeat(url: str) -> str | None:
    """Calls the heartbeat's URL. Returns why that failed, in one line; None: it was called."""
    try:
        answer = httpx.get(url, timeout=HEARTBEAT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return safe_text(f"{type(problem).__name__}: {problem}", in_one_line=True)[:_MAX_PROBLEM]
    return None if answer.is_success else f"it answers HTTP {answer.status_code}"
