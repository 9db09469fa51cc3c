"""Commands that measure: grade, eval, rescore, compare, benchmarks, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vision_r1.cli.options import natural

Judge = Annotated[
    str | None, typer.Option(help="OpenAI-compatible address of a judge, for benchmarks whose rule asks one.")
]
JudgeModel = Annotated[str, typer.Option(help="The judge's model name.")]


def grade(
    file: Annotated[Path, typer.Argument(help="JSON Lines: id, gold, response, answer_type, options, ...")],
    out: Annotated[
        Path | None, typer.Option(help="Where the verdicts go; standard output without it.")
    ] = None,
) -> None:
    """Grade responses against gold answers."""
    from vision_r1.grading.file import grade_file

    summary = grade_file(file, out)
    for line in summary.lines():
        typer.echo(line, err=True)
    raise typer.Exit(2 if summary.bad else 0)


def evaluate(
    model: Annotated[str, typer.Argument(help="tiny:base, a model directory, a hub id, or a served name.")],
    out: Annotated[Path, typer.Option(help="Folder for answers and summary; the same one continues.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Evaluation dials, such as samples=4 max_new_tokens=512.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A data config (YAML) of your own problems; with --benchmark a folder of folders."),
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="NAME, NAME=FOLDER or all; repeat it for several.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="plain, or paper (Vision-R1's own, with re-rolls: not pass@1).")
    ] = "plain",
    engine: Annotated[str, typer.Option(help="in-process or vllm.")] = "in-process",
    endpoint: Annotated[str | None, typer.Option(help="OpenAI-compatible address that serves MODEL.")] = None,
    judge: Judge = None,
    judge_model: JudgeModel = "gpt-4o-mini",
    seed: Annotated[int, typer.Option(help="Seed of the sampled completions.", callback=natural)] = 0,
) -> None:
    """Evaluate a model on benchmarks, or on problems of your own."""
    from vision_r1.core.errors import ConfigError
    from vision_r1.core.files import reported_writes
    from vision_r1.pipeline.engines import open_engine, open_judge, split_dials
    from vision_r1.report.terminal import RichProgress, print_variant

    if not benchmark and data is None:
        raise ConfigError(
            "nothing to evaluate on", where="eval", fix="give --benchmark NAME or --data CONFIG"
        )
    with reported_writes(out), RichProgress() as progress:
        dials = split_dials(overrides or [])
        opened = open_engine(model, engine, endpoint, dials, out, progress)
        if benchmark:
            from vision_r1.pipeline.benchmarks import evaluate_command as on_benchmarks

            with open_judge(judge, judge_model, dials["judge"], out) as asked:
                summary = on_benchmarks(
                    model, opened, benchmark, data, dials[""], out,
                    protocol=protocol, seed=seed, judge=asked, progress=progress,
                )  # fmt: skip
        elif data is not None:
            from vision_r1.pipeline.commands import evaluate_command

            block = evaluate_command(model, opened, data, out, dials[""], seed, progress)
    if not benchmark:
        print_variant(model, block)
        return
    from vision_r1.report.benchmarks import print_benchmarks

    print_benchmarks(summary)
    typer.echo(f"answers, scores and what the scorers disagree on: {out}")


def rescore(
    folder: Annotated[Path, typer.Argument(help="What an evaluation on benchmarks wrote.")],
    judge: Judge = None,
    judge_model: JudgeModel = "gpt-4o-mini",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dials of the judge, such as judge.key_env=OPENAI_API_KEY.")
    ] = None,
) -> None:
    """Score the answers of an evaluation again, with today's grader and rules; nothing is generated."""
    from vision_r1.core.errors import ConfigError
    from vision_r1.core.files import reported_writes
    from vision_r1.evals.benchmark_run import rescore as score_again
    from vision_r1.pipeline.engines import open_judge, split_dials
    from vision_r1.report.benchmarks import print_benchmarks
    from vision_r1.report.terminal import RichProgress

    dials = split_dials(overrides or [])
    if dials[""]:
        raise ConfigError(f"{dials[''][0]!r} is no dial of a judge", where="OVERRIDES", fix="judge.KEY=VALUE")
    with (
        reported_writes(folder),
        RichProgress() as progress,
        open_judge(judge, judge_model, dials["judge"], folder) as asked,
    ):
        summary = score_again(folder, asked, progress)
    print_benchmarks(summary)


def compare(
    first: Annotated[Path, typer.Argument(help="An evaluation: what is compared against.")],
    second: Annotated[Path, typer.Argument(help="An evaluation on the same problems.")],
    scorer: Annotated[str, typer.Option(help="strict, official or judged.")] = "strict",
) -> None:
    """Compare two evaluations problem by problem: paired difference, 95% interval, exact sign test."""
    from vision_r1.evals.compare import compare_evaluations
    from vision_r1.report.benchmarks import print_comparison

    print_comparison(compare_evaluations(first, second, scorer))


def benchmarks() -> None:
    """The benchmarks: names, where their rows come from, and what to know about their own rule."""
    from vision_r1.evals.benchmarks import BENCHMARKS

    for name, entry in BENCHMARKS.items():
        source = entry.source.hub + (f", {entry.source.config}" if entry.source.config else "")
        typer.echo(f"{name:<14} {entry.title}, {entry.paper}")
        typer.echo(f"{'':<14} rows: hub {source}, split {entry.source.split}")
        for note in (*entry.notes, *(("its rule asks a judge model",) if entry.judged else ())):
            typer.echo(f"{'':<14} {note}")


def export(
    folder: Annotated[Path, typer.Argument(help="What an evaluation or a construction wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    to: Annotated[
        str, typer.Option(help="vlmevalkit; or of a construction vision-r1-cold, trl, easyr1, verl.")
    ] = "vlmevalkit",
    format: Annotated[str, typer.Option(help="tsv, or xlsx.")] = "tsv",
    name: Annotated[str | None, typer.Option(help="What to call the model; its own name without it.")] = None,
) -> None:
    """Write the answers of an evaluation, or the rows of a construction, in another tool's layout."""
    from vision_r1.construct.export import FORMS, export_construction
    from vision_r1.core.errors import ConfigError, nearest
    from vision_r1.core.files import reported_writes
    from vision_r1.pipeline.benchmarks import export_command

    if to in FORMS:
        with reported_writes(out):
            typer.echo(f"{export_construction(folder, to, out):,} rows: {out}")
        return
    if to != "vlmevalkit":
        known = ("vlmevalkit", *FORMS)
        raise ConfigError(f"unknown layout {to!r}", where="--to", fix=nearest(to, known, "one of"))
    with reported_writes(out):
        for line in export_command(folder, out, format, name):
            typer.echo(line)
