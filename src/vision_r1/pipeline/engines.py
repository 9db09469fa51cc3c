"""Which engine answers, and which judge: names and addresses to something that completes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.files import is_folder
from vision_r1.core.progress import Progress
from vision_r1.evals.benchmark_run import Judge
from vision_r1.evals.claim import LOGS
from vision_r1.evals.scoring import JudgeError
from vision_r1.rollout.config import VLLMSettings
from vision_r1.rollout.engine import Engine
from vision_r1.teachers.config import EndpointConfig

ENGINES = ("in-process", "vllm")
_DIALS = ("endpoint", "judge", "vllm")
_FILE = "log.sqlite"


def split_dials(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Overrides by what they are for: `vllm.dtype=float32` goes to "vllm", those without a prefix to ""."""
    found: dict[str, list[str]] = {name: [] for name in ("", *_DIALS)}
    for override in overrides:
        prefix, dot, rest = override.partition(".")
        if dot and prefix in _DIALS:
            found[prefix].append(rest)
        else:
            found[""].append(override)
    return found


def open_engine(
    model: str,
    engine: str,
    endpoint: str | None,
    dials: Mapping[str, Sequence[str]],
    out: Path,
    progress: Progress,
) -> AbstractContextManager[Engine]:
    """What completes the prompts; nothing is loaded or started before it is entered.

    Args:
        model: `tiny:base`, a model directory, a hub id, or what the endpoint calls its model.
        engine: "in-process", or "vllm" for a vLLM server that is started and stopped here.
        endpoint: address of a server that runs already; `engine` must then be left alone.
        dials: see `split_dials`.
        out: folder of the evaluation; the request log goes there.
        progress: told how the server starts.

    Raises:
        ConfigError: an unknown engine or dial, or an endpoint and an engine.
    """
    if engine not in ENGINES:
        fix = nearest(engine, ENGINES, "one of")
        raise ConfigError(f"unknown engine {engine!r}", where="--engine", fix=fix)
    if endpoint is not None and engine != "in-process":
        raise ConfigError("an endpoint is an engine already", where="--engine", fix="leave --engine out")
    unused = [name for name in ("endpoint", "vllm") if dials[name] and name != (_used(engine, endpoint))]
    if unused:
        raise ConfigError(f"{unused[0]}.{dials[unused[0]][0]} is for another engine", fix="leave it out")
    if endpoint is not None:
        return _served(model, endpoint_config(endpoint, dials["endpoint"], "--endpoint"), out)
    if engine == "vllm":
        settings = validate(
            VLLMSettings, apply_overrides(to_plain(VLLMSettings()), list(dials["vllm"])), "vllm"
        )
        return _vllm(model, settings, out, progress)
    return _in_process(model)


def _used(engine: str, endpoint: str | None) -> str:
    return "endpoint" if endpoint is not None else engine


def endpoint_config(url: str, dials: Sequence[str], where: str) -> EndpointConfig:
    """An endpoint's settings from its address and dials. Raises ConfigError."""
    try:
        plain = to_plain(EndpointConfig(url="http://unset")) | {"url": url}
        return validate(EndpointConfig, apply_overrides(plain, list(dials)))
    except ConfigError as error:
        raise ConfigError(error.what, where=where, fix=error.fix) from None


@contextmanager
def _in_process(model: str) -> Iterator[Engine]:
    from vision_r1.models.load import load_model
    from vision_r1.rollout.engine import InProcessEngine

    yield InProcessEngine(load_model(model))


@contextmanager
def _served(model: str, config: EndpointConfig, out: Path) -> Iterator[Engine]:
    from vision_r1.rollout.endpoint import EndpointEngine
    from vision_r1.teachers.endpoint import EndpointClient
    from vision_r1.teachers.request_log import RequestLog

    with RequestLog(out / LOGS[0] / _FILE) as log, EndpointClient(config, log) as client:
        yield EndpointEngine(client, model)


@contextmanager
def _vllm(model: str, settings: VLLMSettings, out: Path, progress: Progress) -> Iterator[Engine]:
    from vision_r1.rollout.vllm_server import VLLMEngine
    from vision_r1.teachers.request_log import RequestLog

    folder = _local(model)
    with RequestLog(out / LOGS[0] / _FILE) as log, VLLMEngine(folder, log, settings, progress) as engine:
        yield engine


def _local(model: str) -> Path:
    """The folder of a model; one of the hub is downloaded."""
    from vision_r1.models.load import check_model
    from vision_r1.models.place import resolve

    place = resolve(model)
    if not is_folder(Path(place)):
        check_model(model)
        from huggingface_hub import snapshot_download

        place = snapshot_download(place)
    return Path(place)


@contextmanager
def open_judge(address: str | None, model: str, dials: Sequence[str], out: Path) -> Iterator[Judge | None]:
    """The judge at an address, its requests logged beside the evaluation; None without one."""
    if address is None:
        if dials:
            raise ConfigError(f"judge.{dials[0]} is for a judge", where="--judge", fix="give its address")
        yield None
        return
    from vision_r1.teachers.chat import Failure
    from vision_r1.teachers.endpoint import EndpointClient
    from vision_r1.teachers.request_log import RequestLog

    config = endpoint_config(address, dials, "--judge")
    with RequestLog(out / LOGS[1] / _FILE) as log, EndpointClient(config, log) as client:

        def ask(prompt: str, attempt: int = 0) -> str:
            # What a model wrote must not end the judge's turn; the client refuses such a prompt. Greedy
            # decoding would give an unclear reply again.
            reply = client.ask(
                prompt.replace("<|", "< |"),
                model=model,
                temperature=min(1.0, attempt / 2),
                sample_index=attempt,
            )
            if isinstance(reply, Failure):
                raise JudgeError(reply.reason)
            return reply

        yield Judge(model, ask)
