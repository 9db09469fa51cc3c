"""The command line: parses, then imports the heavy parts (`--help` answers in under half a second)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import click
import typer

from vision_r1.cli import construction, evaluation
from vision_r1.cli.options import Seed, natural

app = typer.Typer(
    name="vision-r1",
    help="From a vision-language model that answers to one that reasons: the whole Vision-R1 method.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
tiny_app = typer.Typer(help="The tiny models that come with the package.", rich_markup_mode=None)
app.add_typer(tiny_app, name="tiny")
app.add_typer(construction.data_app, name="data")

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Dotted overrides, such as stages.sft.learning_rate=1e-4.")
]
Scale = Annotated[str | None, typer.Option(help="tiny (default), 3b, 7b, 32b or 72b; for a recipe by name.")]


RecipeSeed = Annotated[
    int | None,
    typer.Option(
        help="Seed of the run (default: 0, or the file's); a file's data keep theirs.", callback=natural
    ),
]


def _resolve(recipe: str, overrides: list[str] | None, scale: str | None, seed: int | None) -> Any:
    """A recipe by name, or from a file, with overrides."""
    from vision_r1 import recipes
    from vision_r1.core.config import apply_overrides, to_plain, validate
    from vision_r1.core.errors import ConfigError
    from vision_r1.pipeline.config import Recipe

    if recipe.endswith((".yaml", ".yml")) or Path(recipe).is_file():
        if scale is not None:
            raise ConfigError("a recipe file has its own scale", where="--scale", fix="leave --scale out")
        seeded = [] if seed is None else [f"seed={seed}"]
        return recipes.from_file(Path(recipe), [*seeded, *(overrides or [])])
    built = recipes.build(recipe, scale or "tiny", seed or 0)
    return validate(Recipe, apply_overrides(to_plain(built), overrides or []))


def _run_name(recipe: str, resolved: Any) -> str:
    """The default run folder: by recipe and scale, or by the file; a project's config by its folder."""
    path = Path(recipe)
    if not path.is_file():
        return f"{resolved.recipe}-{resolved.scale}-seed{resolved.seed}"
    stem = path.resolve().parent.name if path.stem == "vision-r1" else path.stem
    return f"{stem}-seed{resolved.seed}"


@app.command("list")
def list_recipes() -> None:
    """The recipes, each with its paper."""
    from vision_r1.recipes import RECIPES

    for name, entry in RECIPES.items():
        typer.echo(f"{name:<12} {entry.card.title}")
        typer.echo(f"{'':<12} {entry.card.paper}")
        typer.echo(f"{'':<12} scales: {', '.join(entry.scales)}")


@app.command()
def show(recipe: str, overrides: Overrides = None, scale: Scale = None, seed: RecipeSeed = None) -> None:
    """Print a recipe's card and its resolved YAML, which `run` takes as a file."""
    from vision_r1.core.config import to_yaml
    from vision_r1.recipes import RECIPES

    resolved = _resolve(recipe, overrides, scale, seed)
    if recipe in RECIPES:
        card = RECIPES[recipe].card
        for line in (card.title, card.paper, *card.claims, *(f"differs: {text}" for text in card.deviates)):
            typer.echo(f"# {line}")
    typer.echo(to_yaml(resolved), nl=False)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file from `show` or `init`.")],
    overrides: Overrides = None,
    scale: Scale = None,
    seed: RecipeSeed = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; the same one continues a killed run.")
    ] = None,
) -> None:
    """Run a recipe from start to report; run it again to continue where it was killed."""
    resolved = _resolve(recipe, overrides, scale, seed)
    folder = out or Path("runs") / _run_name(recipe, resolved)
    from vision_r1.pipeline.run import final_model, run_recipe
    from vision_r1.report.html import write_report
    from vision_r1.report.terminal import RichProgress, print_results

    with RichProgress() as progress:
        results = run_recipe(resolved, folder, progress)
    report_path = write_report(folder)
    print_results(results)
    typer.echo(f"results: {folder / 'results.json'}\nreport:  {report_path}")
    if (model := final_model(resolved, folder)) is not None:
        typer.echo(f"model:   {model}")


app.command("construct")(construction.construct)
app.command("grade")(evaluation.grade)
app.command("eval")(evaluation.evaluate)
app.command("rescore")(evaluation.rescore)
app.command("compare")(evaluation.compare)
app.command("benchmarks")(evaluation.benchmarks)
app.command("export")(evaluation.export)


@app.command()
def infer(
    model: Annotated[str, typer.Argument(help="tiny:base, a model directory or a hub id.")],
    image: Annotated[Path, typer.Argument(help="A picture.")],
    question: Annotated[str, typer.Argument(help="What to ask of it.")],
    max_new_tokens: Annotated[int, typer.Option(help="Cap on the completion.")] = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.", callback=natural)] = 0,
) -> None:
    """Ask one question of one picture."""
    from vision_r1.pipeline.commands import infer_command

    trace = infer_command(model, image, question, max_new_tokens, temperature, seed)
    typer.echo(trace.text)
    if trace.stop_reason == "length":
        typer.echo(f"(cut off at {trace.tokens} tokens)", err=True)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One run directory, or several to compare.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file for a comparison of several runs.")] = None,
) -> None:
    """Write a run's report page again, or compare several runs (several seeds) in one table."""
    from vision_r1.core.errors import InputError
    from vision_r1.core.files import atomic_write_text
    from vision_r1.report.html import write_report
    from vision_r1.report.studies import TITLE, compare_runs

    if out is not None and len(runs) == 1:
        raise InputError("is for several runs", where="--out", fix="the page of one run is RUN/report.html")
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError("a run is named twice", where="RUNS", fix="name each run once")
    if out is not None and out.exists() and not out.read_bytes().startswith(TITLE.encode()):
        raise InputError("is another file", where=str(out), fix="name another --out")
    if len(runs) == 1:
        typer.echo(write_report(runs[0]))
        return
    text = compare_runs(runs)
    if out is not None:
        atomic_write_text(out, text)
    typer.echo(text)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A folder with images and a CSV of questions and answers.")],
    csv: Annotated[Path | None, typer.Option(help="The CSV, if the folder holds several.")] = None,
) -> None:
    """Turn a folder of your own images and a CSV into a config that runs."""
    from vision_r1.core.files import reported_writes
    from vision_r1.problems.init import init_project
    from vision_r1.recipes.user import user_recipe

    with reported_writes(folder):
        result = init_project(folder, csv, recipe_part=user_recipe())
    typer.echo(result.line())
    typer.echo(f"now: vision-r1 run {result.config}")


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="controls")],
    run_directory: Annotated[Path, typer.Argument(help="A finished run to set the controls beside.")],
) -> None:
    """Run the control arms of a finished run: equal compute spent otherwise, compared in pairs."""
    from vision_r1.pipeline.study import STUDIES, run_study
    from vision_r1.report.terminal import RichProgress, print_study

    if name not in STUDIES:
        from vision_r1.core.errors import ConfigError

        raise ConfigError(f"unknown study {name!r}", fix=f"one of: {', '.join(STUDIES)}")
    with RichProgress() as progress:
        rows = run_study(name, run_directory, progress)
    print_study(rows)


@app.command()
def doctor() -> None:
    """Print versions, devices and optional parts, and what to do about those that are missing."""
    from vision_r1.pipeline.doctor import diagnosis

    healthy = True
    for line in diagnosis():
        typer.echo(line.text())
        healthy = healthy and not line.broken
    raise typer.Exit(0 if healthy else 2)


@tiny_app.command("train")
def tiny_train(
    role: Annotated[str, typer.Argument(help="base or teacher.")],
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    seed: Seed = 0,
    shrink: Annotated[float, typer.Option(help="Factor on all steps, for a quick look.")] = 1.0,
) -> None:
    """Train a tiny model from scratch (about an hour on two cores)."""
    from vision_r1.core.errors import ConfigError
    from vision_r1.core.files import reported_writes

    if role not in ("base", "teacher"):
        raise ConfigError(f"unknown role {role!r}", fix="base or teacher")
    if not 0 < shrink <= 1:
        raise ConfigError(f"{shrink} is not above 0 and at most 1", where="--shrink")
    import torch

    from vision_r1.train.pretrain import train_tiny

    torch.set_num_threads(min(2, os.cpu_count() or 1))  # more gain nothing at this size
    with reported_writes(out):
        train_tiny("base" if role == "base" else "teacher", out, seed=seed, shrink=shrink, log=typer.echo)


_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # also "Loading weights"; set it to 0 to watch a download
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def _refuse(line: str, code: int) -> NoReturn:
    sys.stderr.write(f"vision-r1: error: {line}\n")
    sys.exit(code)


def main() -> None:
    """Entry point: our errors become one line and an exit code, never a traceback."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from vision_r1.core.errors import VisionR1Error

    try:
        # Not standalone: click would swallow Ctrl-C without a word of how to go on.
        code = app(standalone_mode=False)
    except VisionR1Error as error:
        _refuse(error.line(), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("vision-r1: interrupted; run the same command again to continue\n")
        sys.exit(130)
    except Exception as error:
        from vision_r1.core.files import write_failure

        failure = write_failure(error, Path(getattr(error, "filename", None) or "."))
        if failure is not None:
            _refuse(failure.line(), failure.exit_code)
        if isinstance(error, OSError):
            place = f"{error.filename}: " if error.filename else ""
            _refuse(" ".join(f"{place}{error.strerror or error}".split()), 2)
        if type(error).__name__ == "SafetensorError":
            _refuse(" ".join(f"cannot read or write weights: {error}".split()), 2)
        raise  # a fault of ours: its traceback is wanted
    sys.exit(code if isinstance(code, int) else 0)
