"""Times and amounts in the texts that published contracts have for them."""

from datetime import UTC, datetime


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def cents(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"
