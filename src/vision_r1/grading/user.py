"""Rewards by name: the built-in ones, or the user's own function from a file (`my.py:fn`)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from vision_r1.core.errors import InputError
from vision_r1.core.user_code import load_user_module
from vision_r1.grading.formats import Parts, split_parts
from vision_r1.grading.hfrrf import Reward, StopReason, check_stop_reason, hfrrf, soft_reward
from vision_r1.grading.spec import GradeSpec
from vision_r1.problems.problem import Problem

RewardFunction = Callable[[str, Problem, str], Reward]

_BUILT_IN = {"hfrrf": hfrrf, "soft": soft_reward}
_SIGNATURE = "fn(completion: str, problem: Problem, stop_reason: str) -> float or dict(reward=, reason=)"


def load_reward(spec: str) -> RewardFunction:
    """The reward function that `spec` names.

    Args:
        spec: "hfrrf", "soft", or "path/to/file.py:function". The file is the user's own program and
            is run as such.

    Returns:
        A function of (completion, problem, stop reason). It raises InputError naming file, function
        and problem id if the user's function fails or returns anything but a finite number or a dict
        of `reward` and optionally `reason`.

    Raises:
        InputError: unknown name, missing file, no such function, wrong signature.
    """
    if spec in _BUILT_IN:
        built_in = _BUILT_IN[spec]
        return lambda completion, problem, stop: built_in(
            completion, GradeSpec.of(problem), cast(StopReason, stop)
        )
    file, colon, name = spec.rpartition(":")
    if not colon or not file.endswith(".py") or not name:
        known = ", ".join(_BUILT_IN)
        raise InputError(
            f"unknown reward {spec!r}", where="reward", fix=f"one of {known}, or FILE.py:FUNCTION"
        )
    function = _function(Path(file), name)

    def reward(completion: str, problem: Problem, stop_reason: str) -> Reward:
        check_stop_reason(stop_reason)
        where = f"{spec}, problem {problem.id}"
        try:
            value = function(completion, problem, stop_reason)
        except Exception as error:
            raise InputError(f"the reward raised {type(error).__name__}: {error}", where=where) from error
        amount, reason = _read(value, where)
        return Reward(amount, isinstance(split_parts(completion), Parts), None, reason)

    return reward


def _function(path: Path, name: str) -> Callable[..., Any]:
    module = load_user_module(path, "reward: FILE.py:FUNCTION")
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"no function {name!r}", where=str(path), fix=f"define {_SIGNATURE}")
    try:
        inspect.signature(function).bind("", None, "eos")
    except TypeError:
        raise InputError(
            f"{name} does not take three arguments", where=str(path), fix=f"define {_SIGNATURE}"
        ) from None
    return cast(Callable[..., Any], function)


def _read(value: Any, where: str) -> tuple[float, str]:
    """The user's reward and reason; a bool is a 0/1 reward."""
    reason = "user"
    if isinstance(value, dict):
        if "reward" not in value or not set(value) <= {"reward", "reason"}:
            raise InputError(f"keys {sorted(map(str, value))}", where=where, fix="keys: reward, reason")
        value, reason = value["reward"], value.get("reason", "user")
        if not isinstance(reason, str):
            raise InputError(f"reason is {type(reason).__name__}, not text", where=where)
    if not isinstance(value, (bool, int, float)):
        raise InputError(f"the reward is {type(value).__name__}, not a number", where=where, fix=_SIGNATURE)
    if not math.isfinite(value):
        raise InputError(f"the reward is {value}, not a finite number", where=where)
    return float(value), reason
