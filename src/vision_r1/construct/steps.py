"""The steps of the bridge by their names, and steps from a user's own file.

A user's step is a `Step` under some name in a Python file, `steps: [pseudo_cot, my_steps.py:CHECK,
describe, reason]`: a pair of functions, a prompt from what is known so far and what is read from the
reply. It stands in the place of a built-in step if it has that step's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vision_r1.construct import caption, describe, pseudo_cot, reason
from vision_r1.construct.chain import REASON, Notes, Step
from vision_r1.construct.replies import Dropped, Said
from vision_r1.core.errors import ConfigError, InputError, nearest
from vision_r1.core.user_code import load_user_module
from vision_r1.problems.problem import Problem
from vision_r1.teachers.prompts import Prompts

# Notes that have a column of their own.
OWN_NOTES = ("caption", "pseudo_cot", "description")


def pseudo_cot_step(prompts: Prompts) -> Step:
    """Step 1 of the paper."""

    def parse(said: Said) -> dict[str, str] | Dropped:
        parts = pseudo_cot.parse(said)
        return (
            parts if isinstance(parts, Dropped) else {"caption": parts.caption, "pseudo_cot": parts.reasoning}
        )

    return Step(
        "pseudo_cot",
        "mllm",
        prompts.identity("pseudo_cot"),
        lambda problem, notes, told: pseudo_cot.render(prompts, problem, told),
        parse,
        gives=("caption", "pseudo_cot"),
    )


def describe_step(prompts: Prompts) -> Step:
    """Step 2 of the paper."""

    def render(problem: Problem, notes: Notes, told: str | None) -> str:
        return describe.render(
            prompts, problem, pseudo_cot.PseudoCot(notes.get("caption", ""), notes["pseudo_cot"])
        )

    def parse(said: Said) -> dict[str, str] | Dropped:
        text = describe.parse(said)
        return text if isinstance(text, Dropped) else {"description": text}

    return Step(
        "describe", "mllm", prompts.identity("describe"), render, parse,
        needs=("pseudo_cot",), gives=("description",),
    )  # fmt: skip


def caption_step(prompts: Prompts) -> Step:
    """The control: a plain caption stands in the place of the description."""

    def parse(said: Said) -> dict[str, str] | Dropped:
        text = caption.parse(said)
        return text if isinstance(text, Dropped) else {"caption": text, "description": text}

    return Step(
        "caption",
        "mllm",
        prompts.identity("caption"),
        lambda problem, notes, told: caption.render(prompts),
        parse,
        gives=("caption", "description"),
    )


def reason_step(prompts: Prompts) -> Step:
    """Step 3 of the paper."""
    return Step(
        REASON,
        "reasoner",
        prompts.identity("reason"),
        lambda problem, notes, told: reason.render(prompts, problem, notes["description"], told),
        reason.parse,
        sees_image=False,
        needs=("description",),
        gives=("thought", "reply"),
    )


STEPS: dict[str, Callable[[Prompts], Step]] = {
    "pseudo_cot": pseudo_cot_step,
    "describe": describe_step,
    "caption": caption_step,
    REASON: reason_step,
}


def build_steps(names: Sequence[str], prompts: Prompts) -> list[Step]:
    """The steps that settings name, in order.

    Raises:
        ConfigError: an unknown name, no step `reason`, a name twice, or a step that needs what none
            before it gives.
        InputError: a file that cannot be loaded, or holds no such step.
    """
    steps = [_load_step(name) if ".py:" in name else _built_in(name, prompts) for name in names]
    found = [step.name for step in steps]
    if len(set(found)) < len(found):
        raise ConfigError(f"a step occurs twice: {', '.join(found)}", where="steps")
    if REASON not in found:
        raise ConfigError("no step named reason", where="steps", fix="end with reason, or name your own so")
    known: set[str] = set()
    for step in steps:
        missing = [need for need in step.needs if need not in known]
        if missing:
            raise ConfigError(
                f"the step {step.name} needs {missing[0]}, which no step before it gives",
                where="steps",
                fix="for example steps: [pseudo_cot, describe, reason]",
            )
        known |= set(step.gives)
    return steps


def _built_in(name: str, prompts: Prompts) -> Step:
    if name not in STEPS:
        fix = nearest(name, STEPS, "or FILE.py:NAME; one of")
        raise ConfigError(f"unknown step {name!r}", where="steps", fix=fix)
    return STEPS[name](prompts)


def _load_step(place: str) -> Step:
    file, _, name = place.rpartition(":")
    step = getattr(load_user_module(Path(file), "steps: [..., FILE.py:NAME, ...]"), name, None)
    if not isinstance(step, Step):
        raise InputError(
            f"no Step named {name!r}", where=file, fix=f"{name} = Step(name=..., role=..., render=..., ...)"
        )
    return step
