"""The page's training sections: what each stage did, RL and SFT curves, rollouts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from vision_r1.report.charts import Curve, Level, line_chart
from vision_r1.report.clean import cut
from vision_r1.report.figures import (
    COLD_START,
    FINAL,
    better_base,
    decimal,
    duration,
    gain,
    label,
    percent,
    whole,
)
from vision_r1.report.read import Row, RunRecord, StageRecord, number, table
from vision_r1.report.scores import View, variants_of

_WHAT = {
    "construct": "builds chain-of-thought data: caption, pseudo-CoT, description, text-only reasoner, filter",
    "sft": "cold start: imitates the kept traces",
    "rl_caps": "measures the cold start's lengths and sets the caps of RL from them",
    "evaluate": "answers the held-out problems with every variant",
}
ROLLOUTS_SHOWN = 3
# A loss that falls by more than this factor is drawn on a logarithmic axis.
_LOG_FROM = 4


def variant_of(run: RunRecord, stage: StageRecord) -> str | None:
    """The variant a training stage made: the last reinforcement stage makes the final one."""
    if stage.name == "sft":
        return COLD_START
    ptst = [s.name for s in run.stages if s.is_rl or s.name.startswith("ptst_")]
    if stage.name in ptst:
        return FINAL if stage.name == ptst[-1] else stage.name
    return None


def stage_table(run: RunRecord) -> View:
    """One row a stage: what it does, what goes in and out, what it gained, how long it took."""
    variants = variants_of(run)
    before = better_base(variants)
    rows = []
    for stage in run.stages:
        made = variant_of(run, stage)
        difference = gain(variants, run.traces, before, made) if made in variants and made else None
        accuracy = number(variants.get(made or ""), "accuracy")
        done_seconds = (
            stage.seconds if stage.seconds is not None else number(run.results, "seconds", stage.name)
        )
        rows.append({
            "name": stage.name, "status": stage.status, "what": _what(run, stage), "in": _in(run, stage),
            "out": _out(run, stage, made), "accuracy": percent(accuracy),
            "gain": difference, "seconds": duration(done_seconds),
            "stopped": _stopped(stage),
        })  # fmt: skip
        before = made if made in variants else before
    known = [number(run.results, "seconds", s.name) or s.seconds for s in run.stages]
    total = sum(s for s in known if s is not None)
    return {"rows": rows, "total": duration(total) if total else "–"}


_REWARDS = {
    "hfrrf": "reward 1 for the right format with the right answer, else 0",
    "soft": "half a reward for the right format, half for the right answer",
}


def _what(run: RunRecord, stage: StageRecord) -> str:
    if stage.is_rl or stage.name.startswith("ptst_"):
        reward = next(
            (r for s in table(run.config, "stages").values() if (r := table(s).get("reward"))), "hfrrf"
        )
        return f"reinforcement (GRPO): {_REWARDS.get(str(reward), f'reward {plain(reward)}')}"
    return _WHAT.get(stage.name, "")


def _in(run: RunRecord, stage: StageRecord) -> str:
    kept = number(run.stage("construct").summary, "kept") or run.construct.kept
    if stage.name == "construct":
        total = number(stage.summary, "n") or run.construct.total
        return f"{whole(total)} questions with images" if total else "questions with images"
    if stage.name == "sft":
        return f"base, {whole(kept)} traces" if kept else "base, the kept traces"
    if stage.is_rl:
        cap, group = number(stage.summary, "max_completion_length"), number(stage.summary, "group_size")
        parts = [f"cap {whole(cap)} tokens" if cap else "", f"groups of {whole(group)}" if group else ""]
        reference = stage.summary.get("reference")
        parts.append(f"reference: {reference.replace('_', ' ')}" if isinstance(reference, str) else "")
        return ", ".join(part for part in parts if part) or "–"
    if stage.name == "evaluate":
        count = next((number(row, "n") for row in variants_of(run).values()), None)
        return f"{whole(count)} held-out problems" if count else "held-out problems"
    return "–"


def _out(run: RunRecord, stage: StageRecord, made: str | None) -> str:
    if stage.name == "construct":
        kept = number(stage.summary, "kept") or run.construct.kept
        return f"{whole(kept)} kept traces" if kept else "–"
    if stage.name == "evaluate":
        return f"{len(variants_of(run))} variants measured" if variants_of(run) else "–"
    steps = number(stage.summary, "steps") or (number(stage.log[-1], "step") if stage.log else None)
    suffix = f", {whole(steps)} steps" if steps else ""
    return f"{label(made)}{suffix}" if made else suffix.lstrip(", ") or "–"


def _stopped(stage: StageRecord) -> str:
    stopped = stage.summary.get("stopped")
    return stopped.replace("_", " ") if isinstance(stopped, str) else ""


_METRICS: tuple[tuple[str, str, str, bool], ...] = (
    ("reward", "Reward", "mean over the rollouts of a step", True),
    ("mean_tokens", "Completion length", "mean tokens; the dashed line is the stage's cap", False),
    ("truncation_rate", "Truncation", "share of rollouts cut at the cap; they get reward 0", True),
    (
        "zero_variance_share",
        "Zero variance",
        "share of groups whose rewards are all equal: nothing to learn from",
        True,
    ),
    ("format_rate", "Format", "share with exactly one think and one answer part", True),
    ("accuracy", "Accuracy", "share of right answers, whatever the format", True),
    ("kl", "KL to the reference", "how far the policy has moved", False),
    ("entropy", "Entropy", "nats a token; near 0 means nothing left to explore", False),
)


def rl_charts(run: RunRecord) -> View | None:
    """Curves of every reinforcement stage on one axis of steps, a dotted line between stages."""
    stages = [stage for stage in run.rl_stages if stage.log]
    if not stages:
        return None
    starts = [0.0, *accumulate(number(stage.log[-1], "step") or 0.0 for stage in stages)]
    charts = []
    for key, title, what, share in _METRICS:
        curves = [
            _curve(stage, key, label(variant_of(run, stage) or stage.name), start, index)
            for index, (stage, start) in enumerate(zip(stages, starts, strict=False))
        ]
        if not any(curve.x for curve in curves):
            continue
        levels = _caps(stages, starts) if key == "mean_tokens" else ()
        svg = line_chart(
            curves, title=f"{title} over RL steps", share=share, levels=levels, dividers=starts[1:-1]
        )
        charts.append({"title": title, "what": what, "svg": svg})
    names = [{"label": _stage_label(run, stage), "colour": i % 5 + 1} for i, stage in enumerate(stages)]
    reasons = [{"label": _stage_label(run, s), "rows": _reasons(s)} for s in stages]
    return {"charts": charts, "stages": names, "reasons": [r for r in reasons if r["rows"]]}


def _stage_label(run: RunRecord, stage: StageRecord) -> str:
    made = variant_of(run, stage)
    return f"{label(stage.name)} → {label(made)}" if made and made != stage.name else label(stage.name)


def _curve(stage: StageRecord, key: str, name: str, start: float, colour: int) -> Curve:
    found = [(number(row, "step"), number(row, key)) for row in stage.log]
    pairs = [(x + start, y) for x, y in found if x is not None and y is not None]
    return Curve(name, [x for x, _ in pairs], [y for _, y in pairs], colour)


def _caps(stages: Sequence[StageRecord], starts: Sequence[float]) -> list[Level]:
    caps = []
    for stage, start, end in zip(stages, starts, starts[1:], strict=False):
        cap = number(stage.summary, "max_completion_length")
        if cap is not None:
            caps.append(Level(f"cap {whole(cap)}", start, end, cap))
    return caps


def _reasons(stage: StageRecord) -> list[dict[str, str]]:
    """Why rollouts got their reward, in the first and in the last tenth of a stage."""
    size = max(1, len(stage.log) // 10)
    early, late = (_reason_shares(part) for part in (stage.log[:size], stage.log[-size:]))
    names = sorted({*early, *late}, key=lambda name: -(early.get(name, 0) + late.get(name, 0)))
    return [
        {"reason": name, "early": percent(early.get(name, 0.0)), "late": percent(late.get(name, 0.0))}
        for name in names[:12]
    ]


def _reason_shares(log: Sequence[Row]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for row in log:
        for name, count in table(row, "reasons").items():
            counts[name] = counts.get(name, 0.0) + (number(count) or 0.0)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def sft_charts(run: RunRecord) -> View | None:
    """Training and validation loss of every supervised stage."""
    charts = []
    for stage in run.stages:
        if stage.is_rl or not any(number(row, "loss") is not None for row in stage.log):
            continue
        train = _curve(stage, "loss", "training", 0.0, 0)
        valid = _curve(stage, "val_loss", "validation", 0.0, 4)
        valid = Curve(valid.name, valid.x, valid.y, valid.colour, dots=True)
        losses = [*train.y, *valid.y]
        wide = min(losses) > 0 and max(losses) > _LOG_FROM * min(losses)
        svg = line_chart([train, valid], title=f"Loss of {stage.name}", legend=True, log=wide)
        lowest = min(valid.y, default=None)
        charts.append({
            "name": stage.name, "svg": svg, "steps": whole(train.x[-1]), "lowest": decimal(lowest, 4),
            "stopped": _stopped(stage),
        })  # fmt: skip
    return {"charts": charts} if charts else None


def rollouts(run: RunRecord) -> View | None:
    """The first rollouts of the earliest and of the latest recorded step of each stage."""
    stages = []
    for stage in run.rl_stages:
        steps = sorted({step for row in stage.samples if (step := number(row, "step")) is not None})
        if not steps:
            continue
        picked = [steps[0]] if len(steps) == 1 else [steps[0], steps[-1]]
        groups = [
            {"step": whole(at), "rows": [_rollout(row) for row in _at(stage, at)[:ROLLOUTS_SHOWN]]}
            for at in picked
        ]
        stages.append({"label": _stage_label(run, stage), "groups": groups})
    return {"stages": stages, "shown": ROLLOUTS_SHOWN} if stages else None


def _at(stage: StageRecord, step: float) -> list[Row]:
    return [row for row in stage.samples if number(row, "step") == step]


def _rollout(row: Row) -> dict[str, Any]:
    text, left_off = cut(plain(row.get("completion")))
    reward = number(row, "reward")
    return {
        "question": cut(plain(row.get("question")), 1_000)[0],
        "answer": cut(plain(row.get("answer")), 200)[0],
        "text": text, "left_off": left_off, "reward": decimal(reward, 1), "right": bool(reward),
        "reason": plain(row.get("reason")), "stop": plain(row.get("stop_reason")),
        "tokens": whole(number(row, "tokens")),
    }  # fmt: skip


def plain(value: Any) -> str:
    """A value from a row as text: strings as they are, nothing as "", other things as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
