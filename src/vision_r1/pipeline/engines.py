"""Which engine answers, and which judge: names and addresses to something that completes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.progress import Progress
from vision_r1.evals.benchmark_run import Judge
from vision_r1.rollout.engine import Engine

ENGINES = ("in-process", "vllm")


def open_engine(
    model: str, engine: str, endpoint: str | None, out: Path, progress: Progress
) -> AbstractContextManager[Engine]:
    """What completes the prompts; nothing is loaded or started before it is entered.

    Args:
        model: `tiny:base`, a model directory, a hub id, or what the endpoint calls its model.
        engine: "in-process", or "vllm" for a vLLM server that is started and stopped here.
        endpoint: address of a server that runs already; `engine` must then be left alone.
        out: folder of the evaluation; logs go there.
        progress: told how the server starts.

    Raises:
        ConfigError: an unknown engine, or an endpoint and an engine.
    """
    if engine not in ENGINES:
        raise ConfigError(
            f"unknown engine {engine!r}", where="--engine", fix=nearest(engine, ENGINES, "one of")
        )
    if endpoint is not None and engine != "in-process":
        raise ConfigError("an endpoint is an engine already", where="--engine", fix="leave --engine out")
    return _in_process(model)


@contextmanager
def _in_process(model: str) -> Iterator[Engine]:
    from vision_r1.models.load import load_model
    from vision_r1.rollout.engine import InProcessEngine

    yield InProcessEngine(load_model(model))


@contextmanager
def open_judge(address: str | None, model: str, out: Path) -> Iterator[Judge | None]:
    """The judge at an address, with its requests logged beside the evaluation; None without one."""
    yield None
