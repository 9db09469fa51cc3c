"""Directories of each family load, and their rollouts are those of `generate`."""

from __future__ import annotations

import json

import families
import pytest
import torch

from vision_r1.core.errors import InputError
from vision_r1.models.encode import encode_prompts, forbidden_tokens
from vision_r1.models.load import check_model, load_model
from vision_r1.models.processor import TextProcessor
from vision_r1.models.processor_load import load_processor
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request


@pytest.mark.parametrize("family", [*families.VISION, *families.TEXT])
def test_a_directory_of_the_family_rolls_out_as_generate_does(family, random_model_dir, tmp_path):
    folder = families.save(family, load_processor(str(random_model_dir)), tmp_path)
    loaded = load_model(str(folder))
    assert loaded.model.config.model_type == family
    problems = make_problems(TinyWorldData(split="validation", n=3))
    seen = family in families.VISION
    requests = [Request(p.id, p.question, p.media if seen else ()) for p in problems]
    requests.append(Request("text", "What is two plus two?"))
    for request, trace in zip(
        requests, generate(loaded, requests, Sampling(max_new_tokens=8), 0), strict=True
    ):
        pictures = [media.load() for media in request.media]
        inputs = encode_prompts(loaded.processor, [request.question], [pictures], ["x"])
        assert trace.prompt_tokens == inputs["input_ids"].shape[1]
        output = loaded.model.generate(
            **inputs, max_new_tokens=8, do_sample=False, suppress_tokens=forbidden_tokens(loaded.processor)
        )
        theirs = output[0, inputs["input_ids"].shape[1] :].tolist()
        assert list(trace.segments[0].token_ids) == theirs[: trace.tokens]


def test_qwen3_vl_has_patches_of_its_own_and_keeps_its_name(random_model_dir, tmp_path):
    folder = families.save("qwen3_vl", load_processor(str(random_model_dir)), tmp_path / "model")
    processor = load_processor(str(folder))
    picture = make_problems(TinyWorldData(split="validation", n=1))[0].media[0].load().resize((64, 96))
    batch = encode_prompts(processor, ["a?"], [[picture]], ["x"])
    assert batch["image_grid_thw"].tolist() == [[1, 6, 4]]
    assert batch["pixel_values"].shape == (24, 3 * 2 * 16 * 16)
    assert float(batch["pixel_values"].abs().max()) <= 1.0, "mean and deviation of one half"
    assert int((batch["input_ids"] == processor.image_token_id).sum()) == 6
    processor.save_pretrained(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "preprocessor_config.json").read_text())
    assert (again["processor_class"], again["patch_size"]) == ("Qwen3VLProcessor", 16)


def test_a_text_model_takes_no_images_and_is_no_model_of_a_recipe(random_model_dir, tmp_path):
    folder = families.save("qwen3", load_processor(str(random_model_dir)), tmp_path / "model")
    loaded = load_model(str(folder))
    assert isinstance(loaded.processor, TextProcessor)
    problem = make_problems(TinyWorldData(split="validation", n=1))[0]
    with pytest.raises(InputError, match=f"problem {problem.id}: the model takes no images"):
        generate(loaded, [Request(problem.id, problem.question, problem.media)], Sampling(), 0)
    with pytest.raises(InputError, match="does not answer about images"):
        check_model(str(folder))
    loaded.processor.save_pretrained(tmp_path / "again")
    loaded.model.save_pretrained(tmp_path / "again")
    again = load_model(str(tmp_path / "again"))
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.model.parameters(), again.model.parameters(), strict=True)
    )
