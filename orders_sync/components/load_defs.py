"""Loads a folder of definitions so that what can't be loaded stops nothing else.

Dagster's loader reads the whole folder or fails as a whole: one mistake in code of a user's own would take the syncs,
the stock and all accounts down. So each folder in it is loaded by itself, and one that can't be, part by part.
"""

import importlib
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import dagster as dg

from orders_sync.config.code_location import is_code_server
from orders_sync.config.yaml_files import ConfigError, read_yaml, shown_name
from orders_sync.dagster_instance.internals import LazyDefinitions, get_library_json_enriched_defs, is_component_loader
from orders_sync.model.errors import UserFacingError, text_of

_WHOLE = ("defs.yaml", "defs.yml", "component.yaml", "component.py", "definitions.py")
"""A folder with one of these is loaded whole, or not at all."""


class Unloadable(NamedTuple):
    """A part of the folder that was left out."""

    path: Path
    reason: str
    """The cause, in one line."""


class Part(NamedTuple):
    """A part of the folder that could be loaded."""

    path: Path
    definitions: dg.Definitions


class LoadedDefs(NamedTuple):
    """What could be loaded, and what could not."""

    definitions: dg.Definitions
    left_out: list[Unloadable]


def load_defs(
    module: str, project_root: Path, hidden: Collection[str], base: dg.Definitions, own: Collection[str]
) -> LoadedDefs:
    """The definitions in the folders and modules of a package, as Dagster's `load_from_defs_folder` loads them.

    `module`: the package's name, e.g. `orders_sync.defs`. `project_root`: the folder of pyproject.toml. `hidden`: the
    names of folders that Dagster's loader must not read. `base`: the other definitions, which the result has, too.
    `own`: the names of our own folders: what does not fit together with them and `base` is left out.
    """
    left_out: list[Unloadable] = []
    inner = [name for name in _inner_modules(project_root.joinpath(*module.split("."))) if name not in hidden]
    parts = {name: list(_parts(f"{module}.{name}", project_root, left_out)) for name in inner}
    ours = [part.definitions for name in inner if name in own for part in parts[name]]
    if is_code_server():  # its UI shows the types of components
        ours.append(dg.Definitions(metadata=get_library_json_enriched_defs(None).metadata))
    others = [part for name in inner if name not in own for part in parts[name]]
    return LoadedDefs(_that_fit(dg.Definitions.merge(base, *ours), others, left_out), left_out)


def _that_fit(base: dg.Definitions, parts: Sequence[Part], left_out: list[Unloadable]) -> dg.Definitions:
    """`base` with the parts that fit to it and to each other. Appends the others to `left_out`.

    Dagster sees only in all definitions together that two have one name, or that a job selects what is not there.
    """
    if not parts:
        return base
    with suppress(Exception):  # the search below finds the part that causes it
        return _together(base, *parts)
    fitting, rest = base, list(parts)
    while rest:  # a part may need one that comes later
        unfit: list[tuple[Part, Exception]] = []
        for part in rest:
            try:
                fitting = _together(fitting, part)
            except Exception as problem:  # Dagster has no base class for these
                unfit.append((part, problem))
        if len(unfit) == len(rest):
            left_out += [Unloadable(part.path, _reason(part.path, problem)) for part, problem in unfit]
            break
        rest = [part for part, _ in unfit]
    return fitting


def _together(base: dg.Definitions, *parts: Part) -> dg.Definitions:
    """All of them. Raises whatever Dagster raises for definitions that it can't load together."""
    merged = dg.Definitions.merge(base, *(part.definitions for part in parts))
    dg.Definitions.validate_loadable(merged)
    return merged


def _parts(module: str, project_root: Path, left_out: list[Unloadable]) -> Iterator[Part]:
    """The definitions of a module; those of a folder part by part where that is the same. Appends to `left_out`."""
    path = project_root.joinpath(*module.split("."))
    if not path.is_dir():
        path = path.with_suffix(".py")
    inner = [] if any((path / name).exists() for name in _WHOLE) else list(_inner_modules(path))
    try:
        if not inner or any(_needs_tree(f"{module}.{name}", path / f"{name}.py") for name in inner):
            yield Part(path, _whole(module, path, project_root))
            return
    # Whatever the code or the file of one part raises must not reach the others, not even `sys.exit()`.
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt) or type(problem).__module__.startswith("dagster._core.execution"):
            raise
        if not inner:
            left_out.append(Unloadable(path, _reason(path, problem)))
    for name in inner:
        yield from _parts(f"{module}.{name}", project_root, left_out)


def _needs_tree(module: str, path: Path) -> bool:
    """Whether a module makes definitions or components by a function, which only a tree of components calls."""
    made = vars(importlib.import_module(module)).values() if path.exists() else ()
    return any(isinstance(each, (dg.Definitions, LazyDefinitions)) or is_component_loader(each) for each in made)


def _whole(module: str, path: Path, project_root: Path) -> dg.Definitions:
    """A folder by a tree of components. It costs half a second: Dagster then describes all types of components."""
    imported = importlib.import_module(module)
    if path.is_dir():
        tree = dg.ComponentTree.from_module(defs_module=imported, project_root=project_root)
        return _without_tree(tree.build_defs())
    return _of_module(imported)


def _of_module(module: ModuleType) -> dg.Definitions:
    """The definitions of a module that is loaded without its folder, by the rules of Dagster's tree of components."""
    made = list({id(each): each for each in vars(module).values()}.values())
    if any(is_component_loader(each) for each in made):
        raise UserFacingError("it has a component: move it into a folder of its own")
    by_functions = [each for each in made if isinstance(each, LazyDefinitions)]
    if by_functions:
        return _without_tree(dg.Definitions.merge(*(each() for each in by_functions)))
    objects = [each for each in made if isinstance(each, dg.Definitions)]
    if len(objects) > 1:
        raise UserFacingError("it has more than one Definitions object; one is allowed")
    if objects:
        return _without_tree(objects[0])
    with warnings.catch_warnings(category=dg.PreviewWarning, action="ignore"):
        return dg.load_definitions_from_module(module)


def _without_tree(part: dg.Definitions) -> dg.Definitions:
    """The same definitions; several trees of components, or executors, can't be merged."""
    return dg.Definitions(
        assets=part.assets,
        asset_checks=part.asset_checks,
        jobs=part.jobs,
        schedules=part.schedules,
        sensors=part.sensors,
        resources=part.resources,
        metadata=part.metadata,
    )


def _inner_modules(path: Path) -> Iterator[str]:
    """The names of the modules and folders in a folder."""
    if not path.is_dir():
        return
    for each in sorted(path.iterdir()):
        is_folder = each.is_dir() and not each.is_symlink()  # a link may lead to a folder around it
        if each.name.startswith((".", "_")) or not (is_folder or each.suffix == ".py"):
            continue
        yield each.stem if each.suffix == ".py" else each.name


def _reason(path: Path, problem: BaseException) -> str:
    """Why a part can't be loaded, in one line. What Dagster says of a file may quote a credential in it."""
    settings = path / "defs.yaml"
    if settings.exists():
        try:
            read_yaml(settings)
        except ConfigError as unreadable:
            return str(unreadable)
        return f"{settings}: {type(problem).__name__}. The code server's log has more: .state/logs/code_server.log."
    while problem.__cause__ is not None:
        problem = problem.__cause__
    if isinstance(problem, UserFacingError):
        return str(problem)
    return f"{shown_name(str(path))}: {text_of(problem)}"
