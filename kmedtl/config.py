"""Typed configuration: mappings (from YAML) to frozen dataclasses and back, with kind errors.

Knows nothing of recipes: any tree of frozen dataclasses whose fields are `str`, `int`, `float`, `bool`,
`X | Y`, `X | None`, `tuple[X, ...]`, `tuple[X, Y]`, `Mapping[str, X]`, `Literal[...]`, `Any` or further dataclasses can
be read, written and overridden; of several dataclasses the field `kind` chooses one, the first where it is absent. The
scanner reads the metadata of models with it, and has no YAML.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from kmedtl.errors import UserError, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
TAG = "kind"  # of a dataclass that is one of several: the field that says which
CLOSE = 0.6  # how alike two names are, 0 to 1, for one to be meant by the other


def build(cls: type[T], value: Any, where: str = "", text_as_number: bool = True) -> T:
    """Build the dataclass `cls` from a mapping; missing keys take the dataclass's defaults.

    Args:
        cls: a frozen dataclass.
        value: a mapping with string keys, as YAML or JSON are read.
        where: the dotted path of `value` in the whole document, for messages.
        text_as_number: take text for the number that it says: YAML 1.1 reads 1e-4 as text, since it wants a dot.

    Raises:
        UserError: an unknown key (with the nearest valid one), a missing one, or a value of the wrong type.
    """
    if not isinstance(value, Mapping):
        raise UserError(f"{where or 'recipe'}: expected named settings. Received: {value!r}.")
    hints = typing.get_type_hints(cls)
    settings = {field.name: field for field in dataclasses.fields(cls)}
    for key in value:
        if key not in settings:
            raise UserError(f"{_join(where, key)}: no such setting. {nearest(str(key), settings)}")
    missing = [name for name, field in settings.items() if _is_required(field) and name not in value]
    if missing:
        raise UserError(f"{_join(where, missing[0])}: this setting has no default; add it.")
    arguments = {key: _convert(hints[key], item, _join(where, key), text_as_number) for key, item in value.items()}
    return cls(**arguments)


def to_dict(config: Any, defaults: bool = True) -> dict[str, Any]:
    """Return the dataclass as plain dictionaries and lists that `yaml.safe_dump` can write.

    Args:
        defaults: write settings that have their default value as well.
    """
    return {
        field.name: _plain(getattr(config, field.name), defaults)
        for field in dataclasses.fields(config)
        if defaults or getattr(config, field.name) != _default(field) or (field.name == TAG and _tag(type(config)))
    }


def flat(config: Any) -> dict[str, Any]:
    """Return every single value of the dataclass by its path, as `override` takes it: `{"stages.0.epochs": 3, …}`."""
    return _flat(to_dict(config), "")


def differences(one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two dataclasses of a kind differ: dotted path → both values."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(one):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(before) and type(before) is type(after):
            found |= {f"{field.name}.{path}": values for path, values in differences(before, after).items()}
        elif before != after:
            found[field.name] = (before, after)
    return found


def override(config: T, assignments: Sequence[str]) -> T:
    """Return `config` with `path.to.setting=value` assignments applied; values are read as YAML.

    Raises:
        UserError: an assignment without `=`, an unknown path, an index out of range or a wrong type.
    """
    from kmedtl.files.bounded_yaml import parse

    document = to_dict(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: expected path=value, such as stages.0.epochs=3.")
        _check_member(type(config), document, path)
        # A shell leaves nothing of path=''.
        _assign(type(config), document, path, parse(text, f"--set {path}") if text.strip() else "")
        _complete(type(config), document, path)
    return build(type(config), document)


def _flat(node: Any, path: str) -> dict[str, Any]:
    if not isinstance(node, dict | list):
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return {name: value for key, item in items for name, value in _flat(item, _join(path, key)).items()}


def _check_member(kind: Any, document: dict[str, Any], path: str) -> None:
    """Refuse a setting that only another member of a tagged union has, and say how to choose that one.

    Raises:
        UserError: there is such a member.
    """
    *parents, last = path.split(".")
    node: Any = document
    for key in parents:
        kind, node = _inside(kind, key), node.get(key) if isinstance(node, dict) else None
    others = [tag for hint in typing.get_args(kind) if (tag := _tag(hint)) and last in typing.get_type_hints(hint)]
    if others and isinstance(node, dict) and last not in node:
        place = ".".join(parents)
        raise UserError(
            f"{path}: only {place}.{TAG}={others[0]} has it; set that before, as --set {place}.{TAG}={others[0]}."
        )


def _assign(kind: Any, document: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    node: Any = document
    for key in parents:
        kind, node = _inside(kind, key), node[_step(node, key, path, document)]
    names_are_free = typing.get_origin(kind) is Mapping and isinstance(node, dict)
    node[last if names_are_free else _step(node, last, path, document)] = value


def _complete(kind: Any, document: dict[str, Any], path: str) -> None:
    """Give a member of a tagged union that was chosen by `path` the settings it has besides, at their defaults.

    Where its `kind` alone was set, settings that only another member has are dropped.
    """
    *parents, last = path.split(".")
    holder: Any = document
    for key in parents if last != TAG else parents[:-1]:
        kind = _inside(kind, key)
        holder = holder[int(key)] if isinstance(holder, list) else holder[key]
    place = last if last != TAG else parents[-1]
    if isinstance(holder, list):
        return
    members = {tag: hint for hint in typing.get_args(_inside(kind, place)) if (tag := _tag(hint))}
    node = holder[place]
    member = members.get(node.get(TAG, next(iter(members)))) if members and isinstance(node, dict) else None
    if member is not None:
        own = {field.name: _plain(_default(field), True) for field in dataclasses.fields(member)}
        holder[place] = own | {name: value for name, value in node.items() if name in own or last != TAG}


def _inside(kind: Any, key: str) -> Any:
    """Return what a field of a dataclass is typed as, an item of a tuple or a value of a mapping, else None."""
    if dataclasses.is_dataclass(kind):
        return typing.get_type_hints(kind).get(key)
    arguments = typing.get_args(kind)
    return arguments[1] if typing.get_origin(kind) is Mapping else next(iter(arguments), None)


def _step(node: Any, key: str, path: str, document: dict[str, Any]) -> Any:
    """Return `key` as a valid index of `node`, or say what would be valid there."""
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise UserError(f"{path}: expected an index from 0 to {len(node) - 1}. Received: {key!r}.")
        return int(key)
    if not isinstance(node, dict):
        raise UserError(f"{path}: '{key}' lies below a single value; shorten the path.")
    if key not in node:
        raise UserError(f"{path}: no such setting. {_meant(key, node, path, document)}")
    return key


def _meant(key: str, there: Mapping[str, Any], path: str, document: dict[str, Any]) -> str:
    """Return what a path may mean that leads nowhere from `key` on: a setting there, or one of that name elsewhere."""
    last = path.rpartition(".")[2]
    elsewhere: dict[str, str] = {}
    for known in sorted(_flat(document, ""), key=lambda known: known.count(".")):
        elsewhere.setdefault(known.rpartition(".")[2], known)
    if last in elsewhere:
        return f"Did you mean '{elsewhere[last]}'?"
    candidates = (elsewhere if last == key else {}) | {name: name for name in there}
    found = difflib.get_close_matches(key, candidates, n=1, cutoff=CLOSE)
    return f"Did you mean '{candidates[found[0]]}'?" if found else nearest(key, there)


def _convert(hint: Any, value: Any, where: str, text_as_number: bool) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, where, text_as_number)
    if origin is typing.Literal:
        if not isinstance(value, str | int) or value not in arguments:
            raise UserError(f"{where}: no such choice: {value!r}. {nearest(str(value), arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{where}: expected a list. Received: {value!r}.")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(value) != len(kinds):
            raise UserError(f"{where}: expected {len(kinds)} values. Received: {value!r}.")
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(_convert(kind, item, f"{where}.{i}", text_as_number) for i, (kind, item) in pairs)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected values by name. Received: {value!r}.")
        return {
            str(key): _convert(arguments[1], item, _join(where, key), text_as_number) for key, item in value.items()
        }
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, value, where, text_as_number)
    return _scalar(hint, value, where, text_as_number)


def _one_of(hints: Sequence[Any], value: Any, where: str, text_as_number: bool) -> Any:
    """Return `value` as the first kind that takes it; the last one says what is wrong."""
    if types.NoneType in hints and (value is None or (value == "" and str not in hints)):
        return None
    tagged = {tag: hint for hint in hints if (tag := _tag(hint))}
    if tagged and isinstance(value, Mapping):
        name = value.get(TAG, next(iter(tagged)))
        if not isinstance(name, str) or name not in tagged:
            raise UserError(f"{_join(where, TAG)}: no such choice: {name!r}. {nearest(str(name), tagged)}")
        return build(tagged[name], value, where, text_as_number)
    *others, last = (hint for hint in hints if hint is not types.NoneType)
    for hint in others:
        with contextlib.suppress(UserError):
            return _convert(hint, value, where, text_as_number)
    return _convert(last, value, where, text_as_number)


def _tag(hint: Any) -> str:
    """Return the `kind` by which a dataclass is chosen among others; "" where it has none."""
    if not dataclasses.is_dataclass(hint):
        return ""
    return next((str(field.default) for field in dataclasses.fields(hint) if field.name == TAG and _names(hint)), "")


def _names(hint: Any) -> bool:
    """Tell whether the field `kind` of a dataclass has one value alone, its name."""
    return len(typing.get_args(typing.get_type_hints(hint)[TAG])) == 1


def _scalar(kind: type, value: Any, where: str, text_as_number: bool) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, str) and text_as_number:
        try:
            value = float(value)
        except ValueError:
            value = str(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(value)
    if type(value) is not kind:
        names = {
            str: "text (put it in quotes)",
            int: "a whole number",
            float: "a number",
            bool: "true or false",
        }
        raise UserError(f"{where}: expected {names[kind]}. Received: {value!r}.")
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _plain(value: Any, defaults: bool) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value, defaults)
    if isinstance(value, Mapping):
        return {key: _plain(item, defaults) for key, item in value.items()}
    return [_plain(item, defaults) for item in value] if isinstance(value, tuple) else value


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)
