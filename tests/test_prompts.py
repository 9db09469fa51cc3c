"""Whatever asks a model about a problem asks with its choices."""

import pytest
from PIL import Image

from vision_r1.construct import describe, pseudo_cot
from vision_r1.construct.pseudo_cot import PseudoCot
from vision_r1.construct.reason import scripted
from vision_r1.core.errors import InputError
from vision_r1.evals import image_use
from vision_r1.evals.config import EvaluateSettings
from vision_r1.evals.runner import evaluate_variant
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.pipeline import rows as pipeline_rows
from vision_r1.pipeline.config import GoldRows
from vision_r1.problems.problem import Problem
from vision_r1.rollout.trace import Segment, Trace
from vision_r1.teachers.config import ReasonerRates
from vision_r1.teachers.prompts import shipped_prompts

PROBLEM = Problem("p", "<image>\nFind x.", "B", options=("2.0", "4.1"), answer_type="choice")
ASKED = "<image>\nFind x.\nChoices:\n(A) 2.0\n(B) 4.1"


class SeenError(Exception):
    """Raised once the question has been seen."""


@pytest.mark.parametrize("prompt", ["direct", "think"])
def test_evaluation(tmp_path, prompt):
    asked = []

    class Engine:
        name = identity = "made-up"

        def complete(self, requests, sampling, seed, on_done=None):
            asked.extend(request.question for request in requests)
            return [
                Trace(r.id, i, (Segment("model", "B", (1,)),), "eos", 5, "made-up")
                for r in requests
                for i in range(sampling.n)
            ]

    settings = EvaluateSettings(sampled_problems=1, bootstrap=100)
    block = evaluate_variant(Engine(), [PROBLEM], settings, 8, tmp_path, name="x", prompt=prompt)
    assert block["accuracy"] == 1.0
    expected = ASKED if prompt == "direct" else f"{ASKED}\n{settings.think_instruction}"
    assert set(asked) == {expected}


def test_data_construction():
    prompts = shipped_prompts("tiny")
    assert ASKED in pseudo_cot.render(prompts, PROBLEM, "B")
    assert ASKED in describe.render(prompts, PROBLEM, PseudoCot("a", "b"))


def test_the_reasoner(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "vision_r1.construct.reason.reason", lambda description, question, *_: asked.append(question)
    )
    scripted(ReasonerRates(), 0)(PROBLEM, "text", None)
    assert asked == [ASKED.replace("<image>", "")]


def test_rows_of_gold_answers(monkeypatch):
    monkeypatch.setattr(pipeline_rows, "load_problems", lambda _: [PROBLEM])
    section = {"kind": "tiny_world", "split": "train", "n": 1}
    (row,) = pipeline_rows.gold_rows(GoldRows.model_validate({"kind": "gold_answers", "problems": section}))
    assert row.user == ASKED
    assert "Final Answer:B" in row.assistant


def _seen(monkeypatch, place):
    asked = []

    def encode(_, questions, *__):
        asked.extend(questions)
        raise SeenError

    monkeypatch.setattr(place, encode)
    return asked


def test_the_image_probe(monkeypatch):
    asked = _seen(monkeypatch, "vision_r1.evals.image_use.encode_prompts")
    with pytest.raises(SeenError):
        image_use._first_log_probs(LoadedModel(None, None, "x"), [PROBLEM], [[Image.new("RGB", (28, 28))]])
    assert asked == [ASKED]


def test_the_measurement_of_lengths(monkeypatch, random_model_dir):
    from vision_r1.train.ptst import measure_lengths

    asked = _seen(monkeypatch, "vision_r1.train.data.encode_prompts")
    with pytest.raises(SeenError):
        measure_lengths(load_model(str(random_model_dir)), [PROBLEM], 8, 0)
    assert asked == [ASKED]


def test_reinforcement_learning(monkeypatch, random_model_dir):
    from vision_r1.train import grpo

    asked = []

    def store(_, asks):
        asked.extend(ask.question for ask in asks)
        raise SeenError

    monkeypatch.setattr(grpo, "PromptStore", store)
    trainer = next(
        kind
        for name, kind in vars(grpo).items()
        if name.endswith("Trainer") and kind.__module__ == grpo.__name__
    )
    with pytest.raises(SeenError):
        trainer(load_model(str(random_model_dir)), None, None, [PROBLEM], None, "ptst_1", 0)
    assert asked == [ASKED]


def test_a_probed_prompt_longer_than_the_context_is_refused_before_the_model_runs(
    random_model_dir, monkeypatch
):
    class Picture:
        key = "k"

        def load(self):
            return Image.new("RGB", (28, 28), "black")

    loaded = load_model(str(random_model_dir))
    monkeypatch.setattr(loaded.model, "generate", lambda **_: pytest.fail("the model ran"))
    problem = Problem("long", "What is 3? " * 3000, "3", (Picture(),))
    with pytest.raises(
        InputError, match=r"problem long: prompt of [0-9]+ tokens .* exceed the context of 2048"
    ):
        image_use.check_images_reach_model(loaded, [problem])
