"""The registry of marketplaces: each module of `orders_sync.marketplaces` that has a `MARKETPLACE`.

A new marketplace is a new module; nothing else lists them. Any other module there (a helper of an adapter, or an
adapter that can't be imported) is left out, and `unusable_modules` gives the reason.
"""

import importlib
import logging
import pkgutil
from collections.abc import Mapping
from functools import cache

import orders_sync.marketplaces
from orders_sync.config.account import AccountSettings, SellerAccount
from orders_sync.marketplaces.kit.adapter import Adapter, RegisteredMarketplace

log = logging.getLogger("orders_sync.marketplaces")


@cache
def _modules() -> tuple[Mapping[str, RegisteredMarketplace], Mapping[str, str]]:
    """The marketplaces by the name of their module, and the reason why each other module is not one."""
    usable: dict[str, RegisteredMarketplace] = {}
    unusable: dict[str, str] = {}
    package = orders_sync.marketplaces
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg):
        try:
            marketplace = getattr(importlib.import_module(f"{package.__name__}.{name}"), "MARKETPLACE", None)
        except (Exception, SystemExit) as error:  # one broken adapter must not stop the others
            unusable[name] = f"can't be imported: {type(error).__name__}: {' '.join(str(error).split())}"
            log.error("orders_sync/marketplaces/%s.py %s", name, unusable[name])
            continue
        if isinstance(marketplace, RegisteredMarketplace):
            usable[name] = marketplace
        else:
            unusable[name] = "has no MARKETPLACE, so no account can name it"
    return usable, unusable


def marketplace_names() -> tuple[str, ...]:
    """The marketplaces that an account can name, sorted."""
    return tuple(_modules()[0])


def unusable_modules() -> Mapping[str, str]:
    """The modules of `orders_sync.marketplaces` that are not a marketplace, each with the reason in one line."""
    return _modules()[1]


def find_marketplace(name: str) -> RegisteredMarketplace:
    """A marketplace by the name of its module. Raises LookupError with the reason and the names that are allowed."""
    usable, unusable = _modules()
    if name in usable:
        return usable[name]
    reason = f" (orders_sync/marketplaces/{name}.py {unusable[name]})" if name in unusable else ""
    raise LookupError(f"There is no marketplace {name!r}{reason}; allowed are {', '.join(usable)}.")


def settings_models() -> Mapping[str, type[AccountSettings]]:
    """The model that checks an account's settings, by the name of its marketplace."""
    return {name: marketplace.settings for name, marketplace in _modules()[0].items()}


def reload() -> None:
    """Forgets the modules, so that the next call finds files that were added since."""
    _modules.cache_clear()


def open_adapter(account: SellerAccount, *, page_size: int | None = None) -> Adapter:
    """The adapter of an account, ready for calls. `page_size` replaces the account's own.

    Raises AccountConfigError if the account's credential is not set.
    """
    return find_marketplace(account.settings.marketplace).open(account, page_size)
