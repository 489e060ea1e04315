"""Secrets from the environment that are no credential of an account: each is noted as one that no text may show."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from orders_sync.model.known_credentials import note_credential


def secret_of(variable: str) -> str | None:
    """The secret in an environment variable; None when it is not set."""
    value = os.environ.get(variable)
    if value:
        note_credential(value)
    return value or None


def address_of(variable: str) -> str | None:
    """The URL in an environment variable, noted as one that no text may show; None when it is not set."""
    value = os.environ.get(variable)
    if value:
        for secret in _secrets_in(value):
            note_credential(secret)
    return value or None


def receiver_url_of(variable: str) -> str | None:
    """The URL of a receiver in an environment variable; None when it is not set.

    Its host is no secret, as that of a chat's address may be; its parts that are passwords or tokens are noted.
    """
    value = os.environ.get(variable)
    for secret in _parts_of(value or ""):
        note_credential(secret)
    return value or None


def _secrets_in(url: str) -> Iterator[str]:
    """The address, and its parts that are passwords or tokens: a service may quote one of them alone."""
    yield url
    yield from _parts_of(url)


def _parts_of(url: str) -> Iterator[str]:
    """The parts of a URL that are passwords or tokens."""
    with suppress(ValueError):  # whoever uses the URL says what is wrong with it
        if password := urlsplit(url).password:
            yield unquote(password)
    for part in re.split(r"[:/?&=@#,]", unquote(url.partition("://")[2])):
        is_long = len(part) >= 16 or (len(part) >= 8 and any(character.isdigit() for character in part))
        if is_long and "." not in part:  # a host or a mail address has dots
            yield part
