"""`construct` and `data`: build chain-of-thought rows, merge, join and mix sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

data_app = typer.Typer(help="Sets of problems and rows: merge, join, mix.", rich_markup_mode=None)


def construct(
    config: Annotated[Path, typer.Argument(help="A YAML file: problems, teachers, what to keep.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted overrides, such as samples=4 or mllm.max_tokens=2048.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to; the same one continues.")] = Path(
        "construction"
    ),
    limit: Annotated[int | None, typer.Option(help="At most so many problems.", min=1)] = None,
    pilot: Annotated[
        int | None, typer.Option(help="Try so many problems and project the whole.", min=1)
    ] = None,
    shard: Annotated[str | None, typer.Option(help="One part of the problems, such as 1/8.")] = None,
    collect: Annotated[bool, typer.Option("--collect", help="Ask nobody; write what is answered.")] = False,
) -> None:
    """Build chain-of-thought rows with served teachers; run it again to go on where it was."""
    from vision_r1.construct.build import check_kept
    from vision_r1.construct.pilot import projection
    from vision_r1.core.errors import ConfigError
    from vision_r1.core.files import reported_writes
    from vision_r1.pipeline.construction import (
        construct_command,
        construction_config,
        parse_shard,
        shard_folder,
    )
    from vision_r1.report.construct_lines import projection_lines
    from vision_r1.report.review.pages import write_review
    from vision_r1.report.terminal import RichProgress

    if pilot is not None and (limit is not None or shard is not None):
        raise ConfigError("a pilot is of the whole set", where="--pilot", fix="leave --limit and --shard out")
    settings = construction_config(config, overrides or [])
    part = parse_shard(shard)
    folder = shard_folder(out, part, pilot)
    with reported_writes(out), RichProgress() as progress:
        summary = construct_command(
            settings, out, part=part, limit=limit, pilot=pilot, collect=collect, progress=progress
        )
        pages = write_review(folder, progress)
    _print(summary)
    if pilot is not None or limit is not None:
        for line in projection_lines(projection(summary, settings)):
            typer.echo(line)
    typer.echo(f"rows:   {folder / 'rows'}\ndata:   {folder / 'data'}\nreview: {pages}")
    check_kept(summary, folder)


def _print(summary: dict[str, Any]) -> None:
    from vision_r1.report.construct_lines import summary_lines

    for line in summary_lines(summary):
        typer.echo(line)


@data_app.command("merge")
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished parts.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
) -> None:
    """Put the parts of a construction together; gives what one process gives."""
    from vision_r1.construct.build import check_kept
    from vision_r1.construct.merge import merge as merge_parts
    from vision_r1.core.files import reported_writes
    from vision_r1.report.review.pages import write_review
    from vision_r1.report.terminal import RichProgress

    with reported_writes(out), RichProgress() as progress:
        summary = merge_parts(folders, out, progress)
        pages = write_review(out, progress)
    _print(summary)
    typer.echo(f"rows:   {out / 'rows'}\ndata:   {out / 'data'}\nreview: {pages}")
    check_kept(summary, out)


@data_app.command("join")
def join(
    folder: Annotated[Path, typer.Argument(help="Osilly/Vision-R1-cold: the folder with its JSON files.")],
    images: Annotated[list[Path], typer.Option(help="A folder with images; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
) -> None:
    """Join Vision-R1-cold to its image folders; rows without their image are counted and listed."""
    from vision_r1.problems.cold import FILES, cold_files, join_cold
    from vision_r1.report.construct_lines import join_lines
    from vision_r1.report.terminal import RichProgress

    with RichProgress() as progress:

        def report(file: Any, rows: int) -> None:
            if rows % 10_000 == 0:
                progress.say(f"{file}: {rows:,} rows")

        joined = join_cold(cold_files(folder), images, out, report)
    for layout, result in joined.items():
        for line in join_lines(FILES[layout].name, result.plain()):
            typer.echo(line)
    typer.echo(f"report: {out / 'join.json'}")


@data_app.command("mix")
def mix(
    config: Annotated[Path, typer.Argument(help="A YAML file, such as examples/rl_mixture.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
) -> None:
    """Draw the problems for RL from several sets, clear of the evaluation sets that it names."""
    from vision_r1.construct.mixture import build_rl_mixture
    from vision_r1.pipeline.construction import mixture_config
    from vision_r1.report.construct_lines import mixture_lines
    from vision_r1.report.terminal import RichProgress

    settings = mixture_config(config)
    with RichProgress() as progress:
        report = build_rl_mixture(settings, out, progress)
    for line in mixture_lines(report):
        typer.echo(line)
    typer.echo(f"problems: {out / 'train.parquet'}\nreport:   {out / 'mixture.json'}")
