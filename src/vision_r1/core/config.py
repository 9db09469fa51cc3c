"""Strict, frozen configuration models; YAML in and out; dotted overrides.

Unknown keys are errors that name the nearest known key. Validation goes through JSON, where
pydantic's strict mode still takes an array for a tuple and a string for a path.
"""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vision_r1.core.errors import ConfigError


class FrozenConfig(BaseModel):
    """Base of every setting: immutable, strictly typed, closed."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", validate_default=True, populate_by_name=True
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
        raise _config_error(model, error, where) from None


def _config_error(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"]]
    key = ".".join(([where] if where else []) + names)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, names[:-1])
        close = difflib.get_close_matches(names[-1], known, n=1)
        fix = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"
        return ConfigError(f"unknown key{more}", where=key, fix=fix)
    if first["type"] == "missing":
        return ConfigError(f"required key is missing{more}", where=key, fix=f"add {names[-1]!r}")
    shown = json.dumps(first.get("input"), default=str)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return ConfigError(f"{first['msg']}, found {shown}{more}", where=key)


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
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True, width=100)


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse a YAML mapping; ConfigError names file and line."""
    try:
        data = yaml.safe_load(text)
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
    result: dict[str, Any] = json.loads(json.dumps(data))
    for override in overrides:
        key, sign, raw = override.partition("=")
        if not sign or not key:
            raise ConfigError(f"override {override!r} is not KEY=VALUE", fix="for example seed=1")
        try:
            value = yaml.safe_load(raw) if raw else None
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
                    close = difflib.get_close_matches(part, list(node), n=1)
                    fix = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(node)}"
                    raise ConfigError(f"unknown key {part!r}", where=key, fix=fix)
                if node[part] is None:
                    node[part] = {}
                node = node[part]
        else:
            raise ConfigError(f"{'.'.join(parts[:depth])!r} holds a single value", where=key)
