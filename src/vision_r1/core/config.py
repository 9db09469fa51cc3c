"""Strict, frozen configuration models; YAML in and out; dotted overrides.

Unknown keys are errors that name the nearest known key. Validation goes through JSON, where
pydantic's strict mode still takes an array for a tuple and a string for a path.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vision_r1.core.errors import ConfigError, nearest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class FrozenConfig(BaseModel):
    """Base of every setting: immutable, strictly typed, closed."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )


C = TypeVar("C", bound=FrozenConfig)


def validate(model: type[C], data: Any, where: str = "") -> C:
    """Build `model` from plain data.

    Raises:
        ConfigError: with the dotted key, what is wrong, and the nearest known key.
    """
    try:
        text = json.dumps(data)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not plain data: {error}", where=where) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise _config_error(model, error, where, json.loads(text)) from None


def validate_file(model: type[C], data: Any, file: str) -> C:
    """`validate`, where an error also names the file that the data came from."""
    try:
        return validate(model, data)
    except ConfigError as error:
        place = ": ".join(part for part in (file, error.where) if part)
        raise ConfigError(error.what, where=place, fix=error.fix) from None


def _config_error(model: type[BaseModel], error: ValidationError, where: str, data: Any) -> ConfigError:
    first = _telling(error.errors(include_url=False))
    names = [str(part) for part in first["loc"]]
    key = ".".join(([where] if where else []) + _keys(data, first["loc"], first["type"] == "missing"))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, names[:-1])
        fix = nearest(names[-1], sorted(known), "known keys")
        return ConfigError(f"unknown key{more}", where=key, fix=fix)
    if first["type"] == "union_tag_invalid":
        context = first["ctx"]
        tags = re.findall(r"'([^']*)'", context["expected_tags"])
        place = f"{key}.{context['discriminator'].strip(chr(39))}"
        fix = nearest(context["tag"], tags, "one of")
        return ConfigError(f"unknown {context['tag'][:40]!r}{more}", where=place, fix=fix)
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, ConfigError):  # a validator of ours that knows the key below this one
        place = ".".join(part for part in (key, raised.where) if part)
        return ConfigError(raised.what + more, where=place, fix=raised.fix)
    if first["type"] == "missing":
        return ConfigError(f"required key is missing{more}", where=key, fix=f"add {names[-1]!r}")
    shown = json.dumps(first.get("input"), default=str)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return ConfigError(f"{first['msg']}, found {shown}{more}", where=key)


def _telling(errors: list[Any]) -> Any:
    """The error to show: a misspelt key explains the others; in a union, what fits best goes deepest."""
    for error in errors:
        if error["type"] == "extra_forbidden":
            return error
    first = errors[0]
    beside = [e for e in errors if e["loc"][: len(first["loc"]) - 1] == first["loc"][:-1]]
    return max(beside, key=lambda e: len(e["loc"])) if isinstance(first.get("input"), dict | list) else first


def _keys(data: Any, loc: Sequence[str | int], missing: bool) -> list[str]:
    """The parts of `loc` that are keys or indices of `data`: pydantic puts union tags between them."""
    found: list[str] = []
    for depth, part in enumerate(loc):
        if isinstance(data, dict) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not (missing and depth == len(loc) - 1):
            continue
        found.append(str(part))
    return found


def _known_keys(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys allowed at `path`; union members and list items are looked through."""
    models = [model]
    for part in path:
        following: list[type[BaseModel]] = []
        for current in models:
            field = _field(current, part)
            following += _models_in(field.annotation) if field is not None else []
        # A part that names no field is an index, a dict key or a union tag: the models stay.
        models = following or models
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field
    return None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is None and not isinstance(annotation, types.UnionType):
        return []
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]


def to_plain(config: BaseModel) -> dict[str, Any]:
    """The config as plain JSON data, by alias (`from`, not `from_`)."""
    return typing.cast(dict[str, Any], json.loads(config.model_dump_json(by_alias=True)))


def to_yaml(config: BaseModel) -> str:
    """The config as YAML that `validate` reads back to an equal one."""
    return dump_yaml(to_plain(config))


def dump_yaml(plain: Any) -> str:
    """Plain data as YAML that `parse_yaml` reads back to the same."""
    # Unescaped, these would be read back as plain line breaks.
    breaks = any(mark in json.dumps(plain, ensure_ascii=False) for mark in "\x85\u2028\u2029")
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=not breaks, width=100)


class _Loader(yaml.SafeLoader):
    """Plain data only; a date stays the text that it is, since no setting is a date."""


class _Dumper(yaml.SafeDumper):
    """Quotes the text that `_Loader` would read as something else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 takes a learning rate of 1e-4 for text; 1.2, and whoever types it, for a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)
_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


_MOST_NODES = 100_000


def _load_yaml(text: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _check_node(node, {})
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (ValueError, RecursionError) as error:
        # A number of more than 4,300 digits, a `!!timestamp` that is none, nesting beyond the stack.
        raise yaml.YAMLError(str(error) or type(error).__name__) from None


def _check_node(node: Any, sizes: dict[int, int]) -> int:
    """The size of a node with its aliases written out; refuses twice the same key, and sizes without end."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = 1  # a node inside itself is refused where it becomes plain data
    children: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands here a second time", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            children += [key, value]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    size = 1 + sum(_check_node(child, sizes) for child in children)
    if size > _MOST_NODES:
        raise yaml.constructor.ConstructorError(
            None, None, f"its aliases make more than {_MOST_NODES:,} values", node.start_mark
        )
    sizes[id(node)] = size
    return size


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse a YAML mapping; ConfigError names file and line."""
    try:
        data = _load_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark is not None else where
        raise ConfigError(f"not valid YAML: {getattr(error, 'problem', error)}", where=place) from None
    if not isinstance(data, dict):
        raise ConfigError("expected a mapping of keys to values", where=where)
    return data


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set dotted keys in plain data: `stages.rl.schedule.0.steps=200`.

    Values are YAML scalars or flow collections. A new mapping key may be set (validation then
    decides whether it is known); a list index must exist.

    Raises:
        ConfigError: an override without `=`, or a path through something that is not a mapping.
    """
    try:
        result: dict[str, Any] = json.loads(json.dumps(data))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not plain data: {error}") from None
    for override in overrides:
        key, sign, raw = override.partition("=")
        if not sign or not key:
            raise ConfigError(f"override {override!r} is not KEY=VALUE", fix="for example seed=1")
        try:
            value = _load_yaml(raw) if raw else None
        except yaml.YAMLError:
            raise ConfigError(f"value {raw!r} is not valid YAML", where=key) from None
        _set(result, key.split("."), value, key)
    return result


def _set(node: Any, parts: list[str], value: Any, key: str) -> None:
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(f"{part!r} is not an index below {len(node)}", where=key)
            if last:
                node[int(part)] = value
            else:
                node = node[int(part)]
        elif isinstance(node, dict):
            if last:
                node[part] = value
            else:
                if node.get(part) is None and part not in node:
                    fix = nearest(part, node, "known keys")
                    raise ConfigError(f"unknown key {part!r}", where=key, fix=fix)
                if node[part] is None:
                    node[part] = {}
                node = node[part]
        else:
            raise ConfigError(f"{'.'.join(parts[:depth])!r} holds a single value", where=key)
