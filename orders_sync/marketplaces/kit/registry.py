"""The registry of marketplaces: each module of `orders_sync.marketplaces` that has a `MARKETPLACE`.

A new marketplace is a new module; nothing else lists them. A module without that name is a helper of adapters, and
nothing is wrong with it. A module that can't be imported, or whose `MARKETPLACE` is something else, is broken: it is
left out and logged, and the documentation is not generated without it. No account can name either.
"""

import importlib
import logging
import pkgutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import orders_sync.marketplaces
from orders_sync.config.account import AccountSettings, SellerAccount
from orders_sync.marketplaces.kit.adapter import Adapter, RegisteredMarketplace
from orders_sync.marketplaces.kit.errors import note_adapter, place_of

log = logging.getLogger("orders_sync.marketplaces")


class _Modules(NamedTuple):
    """The modules by name: the marketplaces, and for each other module the reason why it is not one."""

    marketplaces: Mapping[str, RegisteredMarketplace]
    helpers: Mapping[str, str]
    broken: Mapping[str, str]


@cache
def _modules() -> _Modules:
    marketplaces: dict[str, RegisteredMarketplace] = {}
    helpers: dict[str, str] = {}
    broken: dict[str, str] = {}
    package = orders_sync.marketplaces
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg):
        try:
            module = importlib.import_module(f"{package.__name__}.{name}")
        except (Exception, SystemExit) as error:  # one broken adapter must not stop the others
            broken[name] = f"can't be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        else:
            if not hasattr(module, "MARKETPLACE"):
                helpers[name] = "has no MARKETPLACE, so no account can name it"
            elif isinstance(module.MARKETPLACE, RegisteredMarketplace):
                marketplaces[name] = module.MARKETPLACE
                # The module may only name an adapter that is installed elsewhere.
                for part in (module.__name__, module.MARKETPLACE.settings.__module__):
                    note_adapter(Path(getattr(sys.modules.get(part), "__file__", None) or ""))
            else:
                broken[name] = "has a MARKETPLACE that is no RegisteredMarketplace"
    for name, reason in broken.items():
        log.error("orders_sync/marketplaces/%s.py %s", name, reason)
    return _Modules(marketplaces, helpers, broken)


def marketplace_names() -> tuple[str, ...]:
    """The marketplaces that an account can name, sorted."""
    return tuple(_modules().marketplaces)


def unusable_modules() -> Mapping[str, str]:
    """The modules of `orders_sync.marketplaces` that are not a marketplace, each with the reason in one line."""
    return {**_modules().helpers, **_modules().broken}


def broken_modules() -> Mapping[str, str]:
    """Those of `unusable_modules` that are meant to be a marketplace, each with the reason in one line."""
    return _modules().broken


def find_marketplace(name: str) -> RegisteredMarketplace:
    """A marketplace by the name of its module. Raises LookupError with the reason and the names that are allowed."""
    usable, unusable = _modules().marketplaces, unusable_modules()
    if name in usable:
        return usable[name]
    reason = f" (orders_sync/marketplaces/{name}.py {unusable[name]})" if name in unusable else ""
    raise LookupError(f"There is no marketplace {name!r}{reason}; allowed are {', '.join(usable)}.")


def settings_models() -> Mapping[str, type[AccountSettings]]:
    """The model that checks an account's settings, by the name of its marketplace."""
    return {name: marketplace.settings for name, marketplace in _modules().marketplaces.items()}


def reload() -> None:
    """Forgets the modules, so that the next call finds files that were added since."""
    _modules.cache_clear()


def open_adapter(account: SellerAccount, *, page_size: int | None = None) -> Adapter:
    """The adapter of an account, ready for calls. `page_size` replaces the account's own.

    Raises AccountConfigError if the account's credential is not set.
    """
    return find_marketplace(account.settings.marketplace).open(account, page_size)


@contextmanager
def opened_adapter(account: SellerAccount, *, page_size: int | None = None) -> Generator[Adapter]:
    """The adapter of an account for the length of the block, as `open_adapter` gives it.

    One that can't be closed, as users may write it, does not fail the work that is done.
    """
    adapter = open_adapter(account, page_size=page_size)
    try:
        yield adapter
    finally:
        try:
            adapter.close()
        except Exception as error:
            reason = f"{type(error).__name__}{place_of(error)}"
            log.warning("%s: the adapter could not be closed: %s", account.name, reason)
