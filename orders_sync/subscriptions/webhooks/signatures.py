"""Signatures of webhooks by the Standard Webhooks specification 1.0.0 (HMAC-SHA256, `v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from orders_sync.model.errors import UserFacingError

PREFIX = "whsec_"
"""What a secret begins with, so that people and scanners recognize it."""
MIN_BYTES, MAX_BYTES = 24, 64
"""The length of a secret, by the specification."""


class SecretError(UserFacingError):
    """A secret can't be used. The text goes on after `the secret …`, and has nothing of it."""


def make_secret() -> str:
    """A new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises SecretError."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"is no Base64 after {PREFIX}") from None
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise SecretError(f"has {len(key)} bytes; allowed are {MIN_BYTES} to {MAX_BYTES}")
    return key


def signature_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call: its id, its time (seconds since 1970), and a signature by each key."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{digest}" for digest in digests),
    }
