"""The adapters: one file a marketplace, over http.py (pace, retries) and base.py (what an adapter must answer).

A module here that has a `MARKETPLACE` is an adapter; its name is what account files say in `marketplace`. Nothing
else needs to be told of a new one.
"""

import importlib
import pkgutil
from functools import cache

from orders_sync.account_settings import Account
from orders_sync.marketplaces.base import Adapter, Marketplace

_KIT = ("auth", "base", "decoding", "http", "limits", "paging", "states")


@cache
def names() -> tuple[str, ...]:
    """The marketplaces that an account can name."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _KIT))


@cache
def find(name: str) -> Marketplace:
    """A marketplace by the name of its module. Raises LookupError that lists the known ones."""
    if name not in names():
        raise LookupError(f"{name!r} is no marketplace we know; known are {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}").MARKETPLACE


def open_adapter(account: Account, *, page_size: int | None = None) -> Adapter:
    """The adapter of an account, ready to be asked. Raises AccountProblem when its credential is not set."""
    return find(account.settings.marketplace).open(account, page_size)
