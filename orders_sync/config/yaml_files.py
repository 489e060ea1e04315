"""The one reader of settings files (YAML) and the one form of their errors.

Each problem is one line: `file: key: what is wrong; allowed are …. What the setting means.` Several problems of a
file are several lines of one error.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from orders_sync.model.control_characters import safe_text
from orders_sync.model.errors import UserFacingError
from orders_sync.model.keys import with_valid_characters

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KEYS_OF_COMPONENTS = ("type", "attributes", "requirements")
LOGGER = logging.getLogger(__name__)
MAX_FILE_BYTES = 256 * 1024
"""Bytes of a file of settings; one with all settings has some thousand."""
#: What PyYAML quotes of a file, but for single characters.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_MAX_QUOTED = 4

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(UserFacingError):
    """Settings that can't be used: which file, which key, what is wrong, what is allowed."""


class _SettingsLoader(yaml.SafeLoader):
    """Reads YAML without aliases: a few lines with them make a document that never ends, or fills the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # pyright: ignore[reportUnknownMemberType]  PyYAML has few types
            place = cast(yaml.Mark, self.get_mark())  # pyright: ignore[reportUnknownMemberType]
            raise yaml.MarkedYAMLError(problem="an alias (*) is not allowed in settings", problem_mark=place)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep=deep)
        if len(found) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is there twice", problem_mark=_second_key(node))
        return found


def _second_key(node: yaml.MappingNode) -> yaml.Mark | None:
    """Where a key of a mapping is there for the second time."""
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            return key.start_mark
        seen.add(key.value)
    return node.start_mark


def read_yaml(path: Path, error: type[ConfigError] = ConfigError) -> Any:
    """The document of a YAML file. Raises `error` with the line and column when it is not readable YAML.

    The error quotes no more than single characters of the file, which may hold a credential by mistake.
    """
    shown = shown_name(str(path))
    try:
        if not path.is_file():
            dangling = f"it is a link to {path.readlink()}, which does not exist" if path.is_symlink() else ""
            missing = dangling or "No such file or directory"
            raise error(f"{shown}: can't be read: {'it is no file' if path.exists() else missing}")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise error(f"{shown}: can't be read: it is larger than {MAX_FILE_BYTES // 1024} kB")
        return _document(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as problem:
        place = problem.problem_mark
        where = f"line {place.line + 1}, column {place.column + 1}: " if place is not None else ""
        what = _QUOTED.sub(_shortened, problem.problem or problem.context or "")
        raise error(f"{shown}: is not readable YAML: {where}{what}") from None
    except OSError as problem:
        raise error(f"{shown}: can't be read: {problem.strerror}") from None
    except ConfigError:
        raise
    except Exception as problem:  # e.g. a ValueError of a date that there is not, a RecursionError of a deep nesting
        raise error(f"{shown}: is not readable YAML: {type(problem).__name__}") from None


def is_there(path: Path, error: type[ConfigError] = ConfigError) -> bool:
    """Whether there is a file of settings that may be missing; also one that can't be read, which its reader then says.

    Raises `error` for one that ends with .yml: it would be taken for missing.
    """
    if _exists(path):
        return True
    if _exists(wrong := path.with_suffix(".yml")):
        raise error(f"{shown_name(str(wrong))}: is not read: these settings are in {path.name}. Rename it.")
    return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True


def _document(text: str) -> Any:
    return deepcopy(_parsed(text))


@lru_cache(maxsize=512)  # sensors and `up` read all files again and again, and they seldom change
def _parsed(text: str) -> Any:
    loader = _SettingsLoader(text)
    try:
        return loader.get_single_data()  # pyright: ignore[reportUnknownMemberType]  PyYAML has few types
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType]


def _shortened(quoted: re.Match[str]) -> str:
    """A single character, its escape, or the name of a token such as `<stream end>`, as it is; else an ellipsis."""
    inner = quoted.group()[1:-1]
    return quoted.group() if len(inner) <= _MAX_QUOTED or re.fullmatch(r"<[a-z ]+>", inner) else "…"


def read_component(path: Path, component_type: str, error: type[ConfigError] = ConfigError) -> Any:
    """The `attributes` of a Dagster component's defs.yaml.

    Raises `error` when the file is not of that component, or has more than settings.
    """
    document = read_settings_only(path, error)
    if document is None:
        raise error(f"{path}: is empty; it must begin with `type: {component_type}`, and have `attributes:`.")
    if not isinstance(document, dict) or cast(dict[str, Any], document).get("type") != component_type:
        raise error(f"{path}: type: must be {component_type}.")
    return cast(dict[str, Any], document).get("attributes")


def read_settings_only(path: Path, error: type[ConfigError] = ConfigError) -> Any:
    """The document of a defs.yaml. Raises `error` when it has more than a component's type and settings.

    Dagster fills templates such as {{ env.X }} in `post_processing`, and runs the module that `template_vars_module`
    names: so the UI would show any environment variable, also another account's credential.
    """
    document = read_yaml(path, error)
    if isinstance(document, dict):
        for key in map(shown_name, map(str, cast(dict[Any, Any], document).keys() - _KEYS_OF_COMPONENTS)):
            problem = "is not allowed in a file of settings" + did_you_mean(key, _KEYS_OF_COMPONENTS)
            raise error(f"{path}: {key}: {problem}; allowed are {', '.join(_KEYS_OF_COMPONENTS)}.")
    return cast(Any, document)


def refuse_templates(settings: Any, file: str, error: type[ConfigError]) -> None:
    """Raises `error` for a value with a template: settings name what they read from the environment."""
    for key, value in _texts(settings):
        if "{{" in value:
            raise error(
                f"{file}: {key}: has a template in double braces, which is not filled in; allowed is the value itself, "
                "or for a credential the NAME of its environment variable."
            )


def _texts(settings: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text in a document, keys included, with the key that leads to it."""
    if isinstance(settings, str):
        yield key, settings
    elif isinstance(settings, dict):
        for name, value in cast(dict[Any, Any], settings).items():
            yield from _texts(str(name), key)
            yield from _texts(value, f"{key}.{name}".removeprefix("."))
    elif isinstance(settings, list):
        for number, value in enumerate(cast(list[Any], settings)):
            yield from _texts(value, f"{key}.{number}")


def validate(
    settings: Any,
    model: type[Model],
    file: str,
    error: type[ConfigError] = ConfigError,
    *,
    renamed: Mapping[str, str] | None = None,
) -> Model:
    """The settings of one file, checked by a model; None counts as no settings. Raises `error`.

    `renamed`: the present key of each renamed key, both with dots (`readiness.calls_per_day`). An old key counts as the
    present one, and is reported by a warning.
    """
    settings = {} if settings is None else settings
    for old, new in (renamed or {}).items():
        settings = _with_present_key(settings, old, new, file, error)
    try:
        return model.model_validate(settings)
    except ValidationError as problem:
        raise error("\n".join(_line(file, model, detail) for detail in problem.errors())) from None


def _line(file: str, model: type[BaseModel], detail: "ErrorDetails") -> str:
    location = detail["loc"]
    key = ".".join(shown_name(str(part)) for part in location)
    where = f"{file}: {key}: " if key else f"{file}: "
    parent, field = _find_field(model, location)
    meaning = f" {field.description}" if field is not None and field.description else ""
    match detail["type"]:
        case "extra_forbidden":
            meant = did_you_mean(location[-1], parent.model_fields)
            return f"{where}no such setting{meant}; allowed are {', '.join(parent.model_fields)}"
        case "missing":
            return f"{where}is missing.{meaning}"
        case "model_type" | "dict_type":
            return f"{where}must be a mapping of keys to values.{meaning}"
        case "string_pattern_mismatch" if field is not None and field.examples:
            examples = " or ".join(map(str, field.examples))
            return f"{where}can't be read; write it like {examples}.{meaning}"
        case _:
            return f"{where}{detail['msg'].removeprefix('Value error, ')}.{meaning}"


def shown_name(name: str) -> str:
    """A path or key as an error shows it: in one line, and storable, whatever characters it has."""
    return safe_text(with_valid_characters(name), in_one_line=True)


def did_you_mean(key: object, allowed: Iterable[str]) -> str:
    """` (did you mean …?)` with the closest of the allowed values; empty if none is close."""
    found = closest(str(key), allowed)
    return f" (did you mean {found}?)" if found else ""


def closest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that was probably meant; None if none is close."""
    return next(iter(get_close_matches(name, list(allowed), n=1)), None)


def _find_field(model: type[BaseModel], location: Iterable[int | str]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model on the way to a key, and the innermost field with a description there."""
    parent, field, is_name = model, None, False
    for part in location:
        if is_name:  # of one of the mapping's objects
            is_name = False
            continue
        found = parent.model_fields.get(str(part))
        if found is None:
            break
        field, is_name = found, get_origin(found.annotation) is dict
        annotations = [found.annotation, *getattr(found.annotation, "__args__", ())]
        inner = [each for each in annotations if isinstance(each, type) and issubclass(each, BaseModel)]
        if not inner:
            break
        parent = inner[0]
    return parent, field


def _with_present_key(settings: Any, old: str, new: str, file: str, error: type[ConfigError]) -> Any:
    """The settings with the value of the key `old` at `new`. Both have the same parent, which may be missing."""
    *parents, name = old.split(".")
    present = new.split(".")[-1]
    level = settings
    for parent in parents:
        level = cast(dict[Any, Any], level).get(parent) if isinstance(level, dict) else None
    if not isinstance(level, dict) or name not in level:
        return settings
    if present in level:
        raise error(f"{file}: {old}: is the old name of {new}, which is set too; remove {old}.")
    warn_of_old_key(file, old, new)
    renamed = {present if key == name else key: value for key, value in cast(dict[Any, Any], level).items()}
    return _with_level(settings, parents, renamed)


def _with_level(settings: Any, parents: list[str], level: Any) -> Any:
    if not parents:
        return level
    first, *rest = parents
    return {**settings, first: _with_level(settings[first], rest, level)}


@cache
def warn_of_old_key(file: str, old: str, new: str) -> None:
    """Warns once for each process, however often the file is read."""
    LOGGER.warning("%s: %s: is now named %s; the old name ends with 0.3. Rename it.", file, old, new)
