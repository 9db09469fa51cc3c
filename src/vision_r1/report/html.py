"""`report.html`: a run directory as one page that loads nothing and runs nothing.

All text goes through Jinja's autoescape and, before it, through `clean` (by `finalize`, so no template
can forget it). A content security policy forbids scripts and loads on top of that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_text, read_json
from vision_r1.report import construction, scores, training
from vision_r1.report.clean import clean, cut
from vision_r1.report.figures import duration, whole
from vision_r1.report.read import Row, RunRecord, StageRecord, number, read_run, table
from vision_r1.report.samples import Pictures, sample_traces

REPORT_NAME = "report.html"
_EVENTS_SHOWN = 200
_CONFIG_SHOWN = 60_000


def write_report(run: Path) -> Path:
    """Write RUN/report.html from whatever the run directory holds, and return its path.

    A run that was killed, or lacks stages, gives a page that says what is missing.

    Raises:
        InputError: `run` is not a run directory, or its results.json is damaged; the page is left alone.
    """
    path = run / REPORT_NAME
    if (run / "results.json").exists() and not isinstance(read_json(run / "results.json"), dict):
        raise InputError(
            "expected a JSON object", where=str(run / "results.json"), fix="run the recipe again"
        )
    atomic_write_text(path, render(read_run(run)))
    return path


def render(run: RunRecord) -> str:
    """The page as text."""
    pictures = Pictures(run.root)
    view = {
        "title": f"{_text(run.info, 'recipe') or run.root.resolve().name}",
        "info": _info(run),
        "missing": _missing(run),
        "notes": run.notes,
        "headline": scores.headline(run),
        "stages": training.stage_table(run),
        "variants": scores.variant_table(run),
        "families": scores.family_table(run),
        "lengths": scores.length_charts(run),
        "rl": training.rl_charts(run),
        "sft": training.sft_charts(run),
        "samples": sample_traces(run, pictures),
        "construct": construction.construction(run, pictures),
        "image_use": scores.image_use(run),
        "generalisation": scores.generalisation(run),
        "rollouts": training.rollouts(run),
        "settings": _settings(run),
    }
    return template_environment().get_template("report.html").render(view)


def template_environment() -> Environment:
    """The templates of `report`, which escape and clean every text."""
    return Environment(
        loader=PackageLoader("vision_r1.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Clean every string that a template prints; drawings are already markup."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(row: Row, key: str) -> str:
    return cut(training.plain(row.get(key)), 200)[0]


def _info(run: RunRecord) -> list[tuple[str, str]]:
    peak = number(run.results, "peak_rss_mb")
    seconds = table(run.results, "seconds")
    known = [number(seconds, name) for name in seconds]
    total = sum(s for s in known if s is not None)
    facts = [
        ("scale", _text(run.info, "scale")),
        ("seed", _text(run.info, "seed")),
        ("made", _text(run.info, "created")),
        ("time", duration(total) if total else ""),
        ("peak memory", f"{whole(peak)} MB" if peak is not None else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _missing(run: RunRecord) -> list[str]:
    """One sentence for everything that a finished run has and this one lacks."""
    begun = [stage.name for stage in run.stages if stage.status == "begun"]
    absent = [stage.name for stage in run.stages if stage.status == "absent"]
    said = [f"Stage {name} was begun and is not finished{_reached(run.stage(name))}." for name in begun]
    if absent and run.results:
        said.append(f"No folder of {', '.join(absent)}: not needed in this run, made elsewhere, or removed.")
    elif absent:
        said.append(f"Not started: {', '.join(absent)}.")
    if not run.results:
        said.append("There is no results.json yet, so nothing has a measured accuracy.")
    if not run.info:
        said.append("run.json is not there, so recipe, scale, seed and versions are unknown.")
    if not run.config_text:
        said.append("config.yaml is not there, so the settings are unknown.")
    return said


def _reached(stage: StageRecord) -> str:
    if not stage.log:
        return ""
    last = stage.log[-1]
    steps = number(last, "steps")
    return f" (step {whole(number(last, 'step'))}" + (f" of {whole(steps)})" if steps else ")")


def _settings(run: RunRecord) -> dict[str, Any]:
    versions = table(run.results, "versions") or table(run.info, "versions")
    config, left_off = cut(run.config_text, _CONFIG_SHOWN)
    return {
        "config": config,
        "left_off": left_off,
        "versions": [(str(name), training.plain(value)) for name, value in versions.items()],
        "events": [_event(row) for row in run.events[-_EVENTS_SHOWN:]],
        "caps": [(str(name), training.plain(value)) for name, value in table(run.results, "caps").items()],
    }


def _event(row: Row) -> dict[str, str]:
    rest = {key: value for key, value in row.items() if key not in ("time", "event", "versions")}
    return {
        "time": _text(row, "time"),
        "event": _text(row, "event"),
        "rest": cut("; ".join(f"{key}: {training.plain(value)}" for key, value in rest.items()), 1_000)[0],
    }
