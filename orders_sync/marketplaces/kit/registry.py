"""Which marketplaces there are: each module of `orders_sync.marketplaces` that has a `MARKETPLACE`.

Nothing else needs to know of a new one. A module without a `MARKETPLACE` (a helper of an adapter, or one that can't be
imported) is no marketplace: it is left aside, and `unusable_modules` says why.
"""

import importlib
import logging
import pkgutil
from collections.abc import Mapping
from functools import cache

import orders_sync.marketplaces
from orders_sync.config.account import AccountSettings, SellerAccount
from orders_sync.marketplaces.kit.adapter import Adapter, Marketplace

log = logging.getLogger("orders_sync.marketplaces")


@cache
def _modules() -> tuple[Mapping[str, Marketplace], Mapping[str, str]]:
    """The marketplaces by the name of their module, and why each other module is none."""
    usable: dict[str, Marketplace] = {}
    unusable: dict[str, str] = {}
    package = orders_sync.marketplaces
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg):
        try:
            marketplace = getattr(importlib.import_module(f"{package.__name__}.{name}"), "MARKETPLACE", None)
        except Exception as error:  # one broken adapter must not stop the others
            unusable[name] = f"can't be imported: {type(error).__name__}: {error}"
            log.error("orders_sync/marketplaces/%s.py %s", name, unusable[name])
            continue
        if isinstance(marketplace, Marketplace):
            usable[name] = marketplace
        else:
            unusable[name] = "has no MARKETPLACE, so no account can name it"
    return usable, unusable


def marketplace_names() -> tuple[str, ...]:
    """The marketplaces that an account can name, sorted."""
    return tuple(_modules()[0])


def unusable_modules() -> Mapping[str, str]:
    """The modules of `orders_sync.marketplaces` that are no marketplace, each with the reason in one line."""
    return _modules()[1]


def find_marketplace(name: str) -> Marketplace:
    """A marketplace by the name of its module. Raises LookupError that lists the marketplaces there are."""
    usable = _modules()[0]
    if name not in usable:
        raise LookupError(f"There is no marketplace {name!r}. Allowed are {', '.join(usable)}.")
    return usable[name]


def settings_models() -> Mapping[str, type[AccountSettings]]:
    """The model that checks an account's settings, by the marketplace that the account names."""
    return {name: marketplace.settings for name, marketplace in _modules()[0].items()}


def reload() -> None:
    """Looks for the modules anew, e.g. once a file was added."""
    _modules.cache_clear()


def open_adapter(account: SellerAccount, *, page_size: int | None = None) -> Adapter:
    """The adapter of an account, ready for calls. `page_size` replaces that of the account's file.

    Raises AccountConfigError when the account's credential is not set.
    """
    return find_marketplace(account.settings.marketplace).open(account, page_size)
