"""What `eval` and `infer` do, apart from printing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from vision_r1.core.config import apply_overrides, parse_yaml, to_plain, validate
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.core.progress import Progress
from vision_r1.evals.config import EvaluateSettings
from vision_r1.problems.config import ChatData, ProblemsConfig, anchored, parse_data_config
from vision_r1.rollout.engine import Engine
from vision_r1.rollout.trace import Trace


def data_config(path: Path) -> ProblemsConfig:
    """A data config from a YAML file, or the test section of a recipe; paths are relative to the file.

    Raises:
        ConfigError: no such file, not a mapping, or not a set of problems.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (UnicodeDecodeError, OSError):
        raise ConfigError("not a YAML text file", where=str(path)) from None
    if isinstance(sections := data.get("data"), dict) and "stages" in data:
        if not isinstance(sections.get("test"), dict):
            raise ConfigError("the recipe has no test problems", where=f"{path}, data.test")
        data = sections["test"]
    config = parse_data_config(anchored(data, path.resolve().parent), str(path))
    if isinstance(config, ChatData):
        raise ConfigError("these are conversations, not problems", where=str(path))
    return config


def evaluate_command(
    model: str,
    engine: AbstractContextManager[Engine],
    data: Path,
    out: Path,
    overrides: Sequence[str],
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluate a model on the problems of a data config; see `evals.command.evaluate_model`."""
    plain = apply_overrides(to_plain(EvaluateSettings()), list(overrides))
    settings = validate(EvaluateSettings, plain)
    problems_config = data_config(data)
    if out.exists() and not out.is_dir():
        raise InputError("is a file, not a folder", where=str(out), fix="name another --out")
    from vision_r1.evals.command import evaluate_model
    from vision_r1.pipeline.benchmarks import contamination
    from vision_r1.problems.load import load_problems

    problems = load_problems(problems_config)
    known = contamination(model, problems, data.name, progress)
    origin = {"data": to_plain(problems_config), "contamination": known}
    with engine as opened:
        return evaluate_model(opened, problems, settings, out, origin=origin, seed=seed, progress=progress)


def infer_command(
    model: str, image: Path, question: str, max_new_tokens: int, temperature: float, seed: int
) -> Trace:
    """One completion for one picture and question.

    Raises:
        InputError: the picture or the model cannot be used.
    """
    from vision_r1.problems.config import DEFAULT_MAX_PIXELS
    from vision_r1.problems.images import FileImage

    if not question.strip():
        raise InputError("the question is empty", where="QUESTION")
    picture = FileImage(image.parent, image.name, str(image), DEFAULT_MAX_PIXELS)
    picture.load()
    from vision_r1.models.load import load_model
    from vision_r1.rollout.config import Sampling
    from vision_r1.rollout.in_process import generate
    from vision_r1.rollout.request import Request

    sampling = validate(Sampling, {"max_new_tokens": max_new_tokens, "temperature": temperature})
    return generate(load_model(model), [Request("infer", question, (picture,))], sampling, seed)[0]
