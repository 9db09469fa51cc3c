import pytest
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.models.load import forbidden_tokens, load_model
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import _generated, generate
from vision_r1.rollout.request import Request


@pytest.fixture(scope="module")
def loaded(random_model_dir):
    return load_model(str(random_model_dir))


@pytest.fixture(scope="module")
def requests():
    return [
        Request(p.id, p.question, p.media) for p in make_problems(TinyWorldData(split="validation", n=12))
    ]


def test_greedy_equals_transformers_generate(loaded, requests):
    sampling = Sampling(max_new_tokens=12, batch_size=12)
    ours = [trace.segments[0].token_ids for trace in generate(loaded, requests, sampling, 0)]
    from vision_r1.models.load import encode_prompts

    inputs = encode_prompts(
        loaded.processor,
        [r.question for r in requests],
        [[m.load() for m in r.media] for r in requests],
        [r.id for r in requests],
    )
    theirs = _generated(loaded, inputs, sampling, 0)
    assert ours == [tuple(ids[: len(mine)]) for ids, mine in zip(theirs, ours, strict=True)]


def test_a_seed_fixes_samples_whatever_the_batch(loaded, requests):
    def texts(seed, batch):
        sampling = Sampling(max_new_tokens=10, temperature=1.0, n=3, batch_size=batch)
        return [trace.text for trace in generate(loaded, requests, sampling, seed)]

    assert texts(1, 6) == texts(1, 36)
    assert texts(1, 36) != texts(2, 36)
    assert len(set(texts(1, 36))) > 12


def test_image_tokens_are_never_sampled(loaded, requests):
    sampling = Sampling(max_new_tokens=60, temperature=5.0, n=8, batch_size=96)
    banned = set(forbidden_tokens(loaded.processor))
    seen = {t for trace in generate(loaded, requests, sampling, 0) for t in trace.segments[0].token_ids}
    assert len(seen) > 200
    assert not seen & banned


def test_truncation_is_told_apart_from_an_end(loaded, requests):
    eos = loaded.processor.tokenizer.eos_token_id
    traces = generate(loaded, requests, Sampling(max_new_tokens=200, temperature=3.0, n=4), 0)
    assert {trace.stop_reason for trace in traces} == {"eos", "length"}
    for trace in traces:
        ids = trace.segments[0].token_ids
        assert (trace.stop_reason == "eos") == (ids[-1] == eos) == (eos in ids)
        assert trace.stop_reason == "eos" or trace.tokens == 200


def test_a_prompt_longer_than_the_context_names_the_problem(loaded):
    class Big:
        key = "big"

        def load(self):
            return Image.new("RGB", (28, 28))

    with pytest.raises(InputError, match="problem long-one"):
        generate(loaded, [Request("long-one", "why " * 3000, (Big(),))], Sampling(), 0)
