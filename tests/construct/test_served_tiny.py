"""The tiny world's teachers behind endpoints: the trained MLLM on a real vLLM, the scripted reasoner beside it."""

import os
import random
import re

import pytest

from faulty_server import Answer, FaultyServer, prompt_of, reply
from served_teachers import counted, images_in
from vision_r1.construct.bridge import bridge
from vision_r1.construct.build import Scope, construct
from vision_r1.construct.config import Construction, ConstructSettings
from vision_r1.construct.mllm import in_process
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.progress import Silent
from vision_r1.models.tiny import shipped
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.problem import content_key
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import VLLMSettings
from vision_r1.rollout.vllm_server import PYTHON, VLLMEngine
from vision_r1.teachers.chat import encode_picture
from vision_r1.teachers.config import ReasonerRates
from vision_r1.teachers.language import caption, description, facts_of
from vision_r1.teachers.prompts import shipped_prompts
from vision_r1.teachers.reasoner import reason
from vision_r1.teachers.request_log import RequestLog

WORLD = {"kind": "tiny_world", "split": "train", "n": 40, "seed": 11}
_ASKED = re.compile(
    r"Image description: (?P<text>.*)\nUse the image description above.*\nQuestion: (?P<question>.*)", re.S
)


def scripted(body, before):
    """The scripted reasoner as a served model that writes its thought inline."""
    found = _ASKED.fullmatch(prompt_of(body))
    rng = random.Random(prompt_of(body))
    return Answer(reply(reason(found["text"], found["question"], ReasonerRates(), rng).text))


def tiny_construction(mllm_url, model, reasoner_url):
    def role(name, url):
        return {"model": name, "endpoints": [{"url": url}], "max_tokens": 400, "temperature": 0.0}

    return validate(
        Construction,
        {
            "data": {"tiny": WORLD},
            "prompts": "tiny",
            "near_duplicates": False,
            "mllm": role(model, mllm_url),
            "reasoner": role("scripted", reasoner_url),
            "filter": {"max_tokens": 512},
        },
    )


def reading():
    """A made-up MLLM that reads every scene rightly; its captions say what kind of picture it is, no values."""
    problems = make_problems(TinyWorldData(split="train", n=40, seed=11))
    scenes = {encode_picture(p.media[0]).url.decode(): facts_of(p.meta["scene"]) for p in problems}

    def eyes(body, before):
        prompt = prompt_of(body)
        if not images_in(body):  # asked before the first problem, to see whether images count
            return Answer(reply("I see nothing."))
        seen = next(
            part["image_url"]["url"] for part in body["messages"][-1]["content"] if "image_url" in part
        )
        text = description(scenes[seen])
        if prompt == shipped_prompts("tiny").caption():
            return Answer(counted(body, reply(caption(scenes[seen]))))
        said = f"Caption: {text}\nReasoning: see above." if "heading Caption" in prompt else text
        return Answer(counted(body, reply(said)))

    return eyes


def test_the_whole_construction_with_a_reasoner_that_thinks_inline(tmp_path):
    """What is dropped is the reasoner's doing."""
    with FaultyServer(reading()) as mllm, FaultyServer(scripted) as mind:
        summary = construct(tiny_construction(mllm.url, "eyes", mind.url), tmp_path, Scope(), Silent())
    assert 20 < summary["kept"] < 40
    assert set(summary["reasons"]) <= {
        "wrong_answer", "contradiction", "repetition", "truncated", "broken_form", "no_thought", "arithmetic",
        "residual_talk", "missing_information", "image_contradicted", "no_answer",
    }  # fmt: skip


def test_the_fidelity_of_served_descriptions_is_measured_against_captions(tmp_path):
    with FaultyServer(reading()) as mllm, FaultyServer(scripted) as mind:
        config = tiny_construction(mllm.url, "eyes", mind.url).model_copy(update={"controls_n": 20})
        measured = construct(config, tmp_path, Scope(), Silent())["controls"]["fidelity"]
    assert measured["problems"] == measured["scored"] == 20 and measured["reference"] == "caption"
    arms = measured["arms"]
    assert (
        arms["description"]["mean"] == arms["description"]["all_kept"] == 1.0 > 0.3 > arms["caption"]["mean"]
    )
    difference = measured["differences"]["description"]
    assert difference["ci95"][0] > 0.5 and difference["more"] == 20
    assert measured["controls"]["other_problem"]["description"]["mean"] < 0.7


@pytest.mark.vllm
@pytest.mark.skipif(not os.environ.get(PYTHON), reason=f"{PYTHON} names no interpreter with vLLM")
def test_the_whole_construction_through_a_real_vllm(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    settings = VLLMSettings(dtype="float32", max_model_len=1024, images=2, arguments=("--enforce-eager",))
    with (
        RequestLog(tmp_path / "vllm" / "log.sqlite") as log,
        VLLMEngine(shipped("teacher"), log, settings) as engine,
        FaultyServer(scripted) as mind,
    ):
        url = engine._engine.client.config.url
        config = tiny_construction(url, engine.name, mind.url)
        summary = construct(config, tmp_path / "out", Scope(), Silent())
        asked = sum(mind.asked.values())
        again = construct(config, tmp_path / "out", Scope(), Silent())
        assert sum(mind.asked.values()) == asked and again["ledger"] == summary["ledger"]
    print(f"kept {summary['kept']} of {summary['n']}: {summary['reasons']}")
    assert summary["kept"] >= 20
    # The pictures arrived: the served teacher describes them as it does in this process.
    problems = make_problems(TinyWorldData(split="train", n=40, seed=11))
    ours = in_process(ConstructSettings(max_new_tokens=400), 0)
    told = bridge(problems, [problem.answer for problem in problems], ours.generate)
    expected = {content_key(p): row.description for p, row in zip(problems, told, strict=True)}
    rows = list(read_rows(tmp_path / "out" / "rows"))
    same = sum(row.description == expected[row.problem] for row in rows)
    print(f"{same} of {len(rows)} descriptions are those of this process")
    assert same >= 0.9 * len(rows)
