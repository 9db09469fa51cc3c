"""Does the model look? Blank, swapped and missing pictures, and what the question alone gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vision_r1.core.errors import ImageUseError
from vision_r1.core.files import read_jsonl
from vision_r1.core.progress import Progress
from vision_r1.evals.config import EvaluateSettings
from vision_r1.evals.runner import evaluate_variant
from vision_r1.evals.statistics import wilson
from vision_r1.evals.summary import accuracy_block
from vision_r1.grading import GradeSpec, grade_answer, grade_response
from vision_r1.models.chat import IMAGE_MARK
from vision_r1.models.encode import encode_prompts
from vision_r1.models.load import LoadedModel
from vision_r1.problems.drawing import BlankImage
from vision_r1.problems.problem import Problem
from vision_r1.rollout.engine import Engine
from vision_r1.rollout.group import check_context

# Log-probabilities closer than this do not count as changed; a picture that is not seen changes none.
_SAME_LOG_PROB = 1e-4
_WHITE = 255


@dataclass(frozen=True, slots=True)
class Swap:
    """A problem with another's picture.

    Attributes:
        problem: the question with the new picture and that picture's gold.
        original: the problem as it was.
    """

    problem: Problem
    original: Problem


def blanked(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that have pictures, each picture replaced by white paper of its size."""
    return [
        replace(problem, media=tuple(BlankImage(*media.load().size) for media in problem.media))
        for problem in problems
        if problem.media
    ]


def without_images(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that have pictures, as text alone; the marks where pictures stood go too."""
    return [
        replace(problem, media=(), question=" ".join(problem.question.replace(IMAGE_MARK, " ").split()))
        for problem in problems
        if problem.media
    ]


def swapped(problems: Sequence[Problem]) -> list[Swap]:
    """Each problem with the picture and gold of the next one that asks the same with another answer.

    "The same" is question text, options and number of pictures; "another answer" is the grader's
    word. Problems without such a partner are left out.
    """
    groups: dict[tuple[object, ...], list[Problem]] = {}
    for problem in problems:
        if problem.media:
            groups.setdefault((problem.question, problem.options, len(problem.media)), []).append(problem)
    swaps = []
    for group in groups.values():
        for index, problem in enumerate(group):
            spec = GradeSpec.of(problem)
            others = group[index + 1 :] + group[:index]
            partner = next((o for o in others if not grade_answer(o.answer, spec).correct), None)
            if partner is not None:
                meta = {**partner.meta, "partner": partner.id}
                swaps.append(Swap(replace(partner, id=problem.id, meta=meta), problem))
    return swaps


@dataclass(frozen=True, slots=True)
class QuestionOnly:
    """The best predictor that sees only the question: the most frequent training gold of each text.

    Stronger than a model asked without its picture: it knows the distribution of answers exactly.

    Attributes:
        answers: (question, options) -> most frequent gold.
        fallback: the most frequent gold of all, for texts that training does not have.
        n: training problems.
    """

    answers: dict[tuple[str, tuple[str, ...]], str]
    fallback: str
    n: int

    @classmethod
    def fit(cls, problems: Sequence[Problem]) -> QuestionOnly:
        """Count golds by question text. Raises ValueError without problems."""
        if not problems:
            raise ValueError("a question-only predictor needs training problems")
        counts: dict[tuple[str, tuple[str, ...]], Counter[str]] = {}
        for problem in problems:
            counts.setdefault(_text_key(problem), Counter())[problem.answer] += 1
        answers = {key: _most_frequent(count) for key, count in counts.items()}
        return cls(answers, _most_frequent(Counter(p.answer for p in problems)), len(problems))

    def predict(self, problem: Problem) -> str:
        """The answer for a problem, from its text."""
        return self.answers.get(_text_key(problem), self.fallback)

    def score(self, problems: Sequence[Problem]) -> dict[str, Any]:
        """`{"accuracy", "ci95", "n", "how"}` on held-out problems."""
        rows = [{"correct": grade_answer(self.predict(p), GradeSpec.of(p)).correct} for p in problems]
        unseen = sum(_text_key(problem) not in self.answers for problem in problems)
        how = f"most frequent answer of each question text among {self.n} training problems"
        if unseen:
            how += f"; for {unseen} problems with a text not seen there, the most frequent answer of all"
        return {**accuracy_block(rows), "how": how}


def _text_key(problem: Problem) -> tuple[str, tuple[str, ...]]:
    return " ".join(problem.question.split()), problem.options


def _most_frequent(counts: Counter[str]) -> str:
    """Ties go to the first in alphabetical order, so that the order of rows does not matter."""
    return min(counts, key=lambda answer: (-counts[answer], answer))


def evaluate_image_use(
    engine: Engine,
    problems: Sequence[Problem],
    settings: EvaluateSettings,
    cap: int,
    out: Path,
    *,
    train_problems: Sequence[Problem] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The image controls of one model, by greedy decoding; traces land in `out/<control>`.

    Args:
        engine: the model, usually the final one.
        problems: the held-out problems it was measured on.
        settings: as for the model's own evaluation.
        cap: as for the model's own evaluation.
        out: folder of the controls; continued like `evaluate_variant`.
        train_problems: what the question-only predictor is fitted on; without them it is left out.
        seed: as for `evaluate_variant`.
        progress: where to tell how far it is.

    Returns:
        `blank`, `no_image` and `question_only` with `{"accuracy", "ci95", "n"}`, and `swapped` with
        `{"follows_new", "ci95", "keeps_old", "keeps_old_ci95", "n"}`: the shares of answers that
        equal the gold of the new picture, and still that of the old one. A control that the problems
        cannot give (no pictures, no two with one text) is left out.

    Raises:
        InputError, RunStateError: see `evaluate_variant`.
    """
    greedy = settings.model_copy(update={"sampled_problems": 0})

    def ask(control: str, changed: Sequence[Problem]) -> dict[str, Any]:
        block = evaluate_variant(
            engine, changed, greedy, cap, out / control,
            name=control.replace("_", " "), seed=seed, progress=progress,
        )  # fmt: skip
        return {key: block[key] for key in ("accuracy", "ci95", "n")}

    result: dict[str, Any] = {}
    for control, changed in (("blank", blanked(problems)), ("no_image", without_images(problems))):
        if changed:
            result[control] = ask(control, changed)
    swaps = swapped(problems)
    if swaps:
        ask("swapped", [swap.problem for swap in swaps])
        result["swapped"] = swap_block(out / "swapped" / "traces.jsonl", swaps)
    if train_problems:
        result["question_only"] = QuestionOnly.fit(train_problems).score(problems)
    return result


def swap_block(traces: Path, swaps: Sequence[Swap]) -> dict[str, Any]:
    """Whether the answers of a swapped-picture evaluation follow the new picture or stay with the old."""
    rows = [row for _, row in read_jsonl(traces)]
    originals = {swap.original.id: GradeSpec.of(swap.original) for swap in swaps}
    new = wilson(sum(row["correct"] for row in rows), len(rows))
    kept = sum(grade_response(row["text"], originals[row["problem_id"]]).correct for row in rows)
    old = wilson(kept, len(rows))
    return {
        "follows_new": new.mean,
        "ci95": new.ci95,
        "keeps_old": old.mean,
        "keeps_old_ci95": old.ci95,
        "n": len(rows),
    }


def check_images_reach_model(loaded: LoadedModel, problems: Sequence[Problem], probes: int = 8) -> None:
    """Stop a run whose pictures have no effect on the model.

    Compares the log-probabilities of the first token with a problem's pictures and with white paper
    of the same size, through `generate` itself, so that a picture lost on that way is noticed too.
    Problems without pictures, or with white ones, say nothing and are passed over.

    Draws no random number.

    Raises:
        InputError: a probed prompt that cannot be encoded or is longer than the context; the model is
            not run on it.
        ImageUseError: nothing changes on more than half of the probed problems.
    """
    seen = [problem for problem in problems if problem.media]
    chosen = seen[:: max(1, len(seen) // probes)][:probes]
    pictures = [[media.load() for media in problem.media] for problem in chosen]
    pairs = [(p, images) for p, images in zip(chosen, pictures, strict=True) if not _all_white(images)]
    if not pairs:
        return
    blanks = [[Image.new("RGB", i.size, (_WHITE,) * 3) for i in images] for _, images in pairs]
    asked = [problem for problem, _ in pairs]
    real = _first_log_probs(loaded, asked, [images for _, images in pairs])
    blank = _first_log_probs(loaded, asked, blanks)
    change = (real - blank).nan_to_num(nan=0.0).abs().amax(1)
    unmoved = int((change <= _SAME_LOG_PROB).sum())
    if 2 * unmoved > len(pairs):
        raise ImageUseError(
            f"the images do not reach the model: on {unmoved} of {len(pairs)} problems its next token is"
            " as likely with the picture as with white paper",
            where=loaded.name,
            fix="check that the processor belongs to the model and that its vision tower is trained",
        )


def _all_white(images: Sequence[Image.Image]) -> bool:
    return all(int(np.asarray(image).min()) == _WHITE for image in images)


def _first_log_probs(
    loaded: LoadedModel, problems: Sequence[Problem], images: Sequence[Sequence[Image.Image]]
) -> torch.Tensor:
    """Log-probabilities of the first completion token, float32 of shape (problems, vocabulary)."""
    inputs = encode_prompts(
        loaded.processor, [p.prompt for p in problems], images, [f"problem {p.id}" for p in problems]
    )
    lengths = inputs["attention_mask"].sum(1).tolist()
    check_context(loaded.model, max(lengths), 1, f"problem {problems[lengths.index(max(lengths))].id}")
    device = next(loaded.model.parameters()).device
    with torch.inference_mode():
        output = loaded.model.generate(
            **{key: value.to(device) for key, value in inputs.items()},
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=loaded.processor.tokenizer.pad_token_id,
        )
    return torch.log_softmax(output.logits[0].float().cpu(), dim=-1)
