"""What `eval --benchmark` and `rescore` do, apart from printing: names to benchmarks, models to engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import ConfigError, InputError, nearest
from vision_r1.core.files import is_folder, read_jsonl
from vision_r1.core.progress import Progress, Silent
from vision_r1.evals.answers import check_complete
from vision_r1.evals.benchmark_run import Evaluation, Judge, finished, run_benchmark, write_summary
from vision_r1.evals.benchmarks import BENCHMARKS, Benchmark
from vision_r1.evals.benchmarks.load import Loaded, load_benchmark
from vision_r1.evals.config import PROTOCOLS, BenchmarkSettings
from vision_r1.evals.export import Format, export_vlmevalkit
from vision_r1.evals.probe import check_images_reach_endpoint
from vision_r1.problems.problem import Problem
from vision_r1.rollout.engine import Engine

ALL = "all"


@dataclass(frozen=True, slots=True)
class Place:
    """A benchmark and where its rows are; None for the hub."""

    benchmark: Benchmark
    folder: Path | None


def places(named: Sequence[str], data: Path | None) -> list[Place]:
    """The benchmarks that were asked for.

    Args:
        named: `NAME`, `NAME=FOLDER`, or `all` for every one that has a folder in `data`.
        data: a folder that holds one folder a benchmark, called by its name (`mathvision`, or
            `mathvision_testmini`), or the rows of the one benchmark that is named.

    Raises:
        ConfigError: a name that no benchmark has, or one named twice.
        InputError: no folder for a benchmark that is named.
    """
    if data is not None and not is_folder(data):
        raise InputError("no such folder", where=f"--data {data}")
    found: dict[str, Place] = {}
    for entry in _expanded(named, data):
        name, _, folder = entry.partition("=")
        if name not in BENCHMARKS:
            raise ConfigError(
                f"no benchmark {name!r}", where="--benchmark", fix=nearest(name, BENCHMARKS, "one of")
            )
        if name in found:
            raise ConfigError(f"{name} is named twice", where="--benchmark")
        benchmark = BENCHMARKS[name]
        place = Path(folder) if folder else _folder_in(data, name, alone=len(set(named)) == 1)
        found[name] = Place(benchmark, place)
    return list(found.values())


def _expanded(named: Sequence[str], data: Path | None) -> list[str]:
    if ALL not in named:
        return list(named)
    if data is None:
        return list(BENCHMARKS)
    here = [name for name in BENCHMARKS if _candidates(data, name)]
    if not here:
        known = ", ".join(BENCHMARKS)
        raise InputError("no folder of a benchmark in it", where=f"--data {data}", fix=f"call them {known}")
    return here


def _candidates(data: Path, name: str) -> list[Path]:
    return [
        path
        for path in sorted(data.iterdir())
        if path.is_dir() and (path.name == name or path.name.startswith((f"{name}_", f"{name}-")))
    ]


def _folder_in(data: Path | None, name: str, *, alone: bool) -> Path | None:
    if data is None:
        return None
    found = _candidates(data, name)
    if len(found) == 1:
        return found[0]
    if not found and alone:
        return data
    what = f"several folders of {name}" if found else f"no folder of {name}"
    raise InputError(f"{what} in it", where=f"--data {data}", fix=f"name one: --benchmark {name}=FOLDER")


def benchmark_settings(protocol: str, overrides: Sequence[str]) -> BenchmarkSettings:
    """The settings of a protocol with dotted overrides.

    Raises:
        ConfigError: an unknown protocol or dial.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(
            f"unknown protocol {protocol!r}", where="--protocol", fix=nearest(protocol, PROTOCOLS, "one of")
        )
    settings = validate(BenchmarkSettings, apply_overrides(to_plain(PROTOCOLS[protocol]), list(overrides)))
    if settings.rerolls and protocol != "paper":
        raise ConfigError("an answer is never rolled again", where="rerolls", fix="use --protocol paper")
    return settings


def evaluate_command(
    model: str,
    engine: AbstractContextManager[Engine],
    named: Sequence[str],
    data: Path | None,
    overrides: Sequence[str],
    out: Path,
    *,
    protocol: str,
    seed: int,
    judge: Judge | None,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluate a model on benchmarks.

    All rows are read before the model is loaded and the first question asked, so that a missing image
    or folder shows at once.

    Args:
        model: as it was named, to find what it was trained on.
        engine: what completes; entered once everything else has been checked.
        named: see `places`.
        data: see `places`.
        overrides: dials of `BenchmarkSettings`.
        out: folder of the evaluation.
        protocol: a key of `PROTOCOLS`.
        seed: of sampling and bootstrap.
        judge: for benchmarks whose rule has one.
        progress: where to tell how far it is.

    Returns:
        What `out/summary.json` holds.

    Raises:
        InputError: rows that cannot be read, a model that cannot be used.
        ImageUseError: the images of a benchmark do not reach the model.
    """
    settings = benchmark_settings(protocol, overrides)
    asked = places(named, data)
    if out.exists() and not out.is_dir():
        raise InputError("is a file, not a folder", where=str(out), fix="name another --out")
    rows = [(place, _loaded(place, settings, progress)) for place in asked]
    evaluation = Evaluation(settings, protocol, seed, judge)
    known = {
        place.benchmark.name: contamination(
            model, [item.problem for item in loaded.items], place.benchmark.name, progress
        )
        for place, loaded in rows
    }
    with engine as opened:
        return _evaluate(opened, rows, known, evaluation, out, progress)


def _loaded(place: Place, settings: BenchmarkSettings, progress: Progress) -> Loaded:
    return load_benchmark(
        place.benchmark, place.folder,
        limit=settings.limit, max_pixels=settings.max_pixels, progress=progress,
    )  # fmt: skip


def _evaluate(
    engine: Engine,
    rows: Sequence[tuple[Place, Loaded]],
    contamination: Mapping[str, dict[str, Any]],
    evaluation: Evaluation,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """One benchmark after another; what is finished is kept if a later one fails."""
    blocks: dict[str, dict[str, Any]] = {}
    summary: dict[str, Any] = {}
    for place, loaded in rows:
        name = place.benchmark.name
        _check_images(engine, loaded)
        blocks[name] = run_benchmark(
            engine, place.benchmark, loaded, evaluation, out / name, progress, contamination[name]
        )
        summary = write_summary(out, blocks)
    return summary


def contamination(model: str, problems: Sequence[Problem], name: str, progress: Progress) -> dict[str, Any]:
    """What of the problems the model's recorded training data holds; said at once if there is any."""
    from vision_r1.problems.contamination import overlap_block, overlap_line

    block = overlap_block(model, problems)
    if block["recorded"] and (line := overlap_line(block, name)):
        progress.say(f"warning: {line}")
    return block


def _check_images(engine: Engine, loaded: Loaded) -> None:
    """Stop where pictures do not reach the model; the shorter half of the questions is probed."""
    from vision_r1.rollout.engine import InProcessEngine

    problems = sorted((item.problem for item in loaded.items), key=lambda p: len(p.prompt))
    probed = problems[: -(-len(problems) // 2)]
    if isinstance(engine, InProcessEngine):
        from vision_r1.evals.image_use import check_images_reach_model

        check_images_reach_model(engine.loaded, probed)
    else:
        check_images_reach_endpoint(engine, probed)


def export_command(folder: Path, out: Path, format: str, name: str | None) -> list[str]:
    """Write the answers of a finished evaluation in VLMEvalKit's layout; benchmarks it has not are said.

    Returns:
        One line a file, and one for what is left out.

    Raises:
        ConfigError: an unknown format.
        InputError: no finished evaluation, or answers that the format cannot hold.
    """
    if format not in get_args(Format):
        raise ConfigError(f"unknown format {format!r}", where="--format", fix=" or ".join(get_args(Format)))
    lines: list[str] = []
    files = 0
    for one in finished(folder, Silent()):
        if one.benchmark.vlmevalkit is None:
            lines.append(f"left out: VLMEvalKit does not have {one.benchmark.title}")
            continue
        path = one.folder / "answers.jsonl"
        answers = [row for _, row in read_jsonl(path)]
        check_complete(answers, one.loaded.items, one.settings.samples, path)
        model = name or str(one.about["model"]).removesuffix("/model")
        written = export_vlmevalkit(
            one.loaded.items, answers, one.benchmark.vlmevalkit, model, out, cast(Format, format)
        )
        files += 1
        lines += [str(path) for path in written.paths]
        if one.settings.limit is not None:
            lines.append(f"{one.benchmark.title}: limit={one.settings.limit}, so not the whole data set")
        if written.missing:
            lines.append(
                f"{one.benchmark.title}: the rows lack columns it reads: {', '.join(written.missing)}"
            )
    if not files:
        raise InputError(
            "; ".join(lines), where=str(folder), fix="evaluate on a benchmark that VLMEvalKit has"
        )
    return lines
