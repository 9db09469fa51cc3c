from dataclasses import replace

import pytest
import torch
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.models.encode import forbidden_tokens
from vision_r1.models.load import load_model
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
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
    from vision_r1.models.encode import encode_prompts

    inputs = encode_prompts(
        loaded.processor,
        [r.question for r in requests],
        [[m.load() for m in r.media] for r in requests],
        [r.id for r in requests],
    )
    output = loaded.model.generate(
        **inputs, max_new_tokens=12, do_sample=False, suppress_tokens=forbidden_tokens(loaded.processor)
    )
    theirs = output[:, inputs["input_ids"].shape[1] :].tolist()
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


def test_log_probs_stand_beside_the_tokens(loaded, requests):
    for temperature in (0.0, 1.0):
        traces = generate(loaded, requests[:3], Sampling(max_new_tokens=9, temperature=temperature), 0)
        for segment in (trace.segments[0] for trace in traces):
            assert len(segment.logprobs) == len(segment.token_ids)
            assert max(segment.logprobs) <= 0


def test_a_stop_string_ends_text_and_tokens(loaded, requests):
    sampling = Sampling(max_new_tokens=30, temperature=2.0, n=4)
    free = generate(loaded, requests[:4], sampling, 0)
    text = free[5].text
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    traces = generate(loaded, requests[:4], sampling.model_copy(update={"stop": (stop,)}), 0)
    assert traces[5].stop_reason == "stop_string"
    assert traces[5].text == text[: text.index(stop) + 3]
    ids = traces[5].segments[0].token_ids
    assert ids == free[5].segments[0].token_ids[: len(ids)]
    decode = loaded.processor.tokenizer.decode
    assert stop in decode(list(ids)) and stop not in decode(list(ids[:-1]))
    for trace in traces:
        assert trace.stop_reason == "stop_string" or stop not in trace.text


def test_caps_of_their_own(loaded, requests):
    asked = [replace(request, max_new_tokens=k + 1) for k, request in enumerate(requests[:5])]
    traces = generate(loaded, asked, Sampling(max_new_tokens=40, temperature=1.0), 0)
    free = generate(loaded, requests[:5], Sampling(max_new_tokens=40, temperature=1.0), 0)
    for k, (short, long) in enumerate(zip(traces, free, strict=True)):
        assert short.segments[0].token_ids == long.segments[0].token_ids[: k + 1]
        assert short.stop_reason == ("length" if long.tokens > k + 1 else long.stop_reason)


def test_several_turns_and_images_are_one_conversation(loaded, requests):
    from vision_r1.models.encode import encode_prompts

    one, two = requests[0].media[0], requests[1].media[0]
    history = (("<image>What is it?", "A number."), ("Are you sure?", "Yes."))
    request = Request("turns", "And this?", (one, two), history)
    (trace,) = generate(loaded, [request], Sampling(max_new_tokens=5), 0)
    pictures = [one.load(), two.load()]
    batch = encode_prompts(loaded.processor, ["And this?"], [pictures], ["x"], [history])
    text = loaded.processor.tokenizer.decode(batch["input_ids"][0])
    turns = [turn.split("<|im_end|>")[0].split("\n", 1) for turn in text.split("<|im_start|>")[2:]]
    assert [role for role, _ in turns] == ["user", "assistant", "user", "assistant", "user", "assistant"]
    pads = [content.count("<|image_pad|>") for _, content in turns]
    assert pads[0] > 0 and pads[4] > 0 and sum(pads) == pads[0] + pads[4]
    assert turns[1][1] == "A number." and turns[4][1].endswith("And this?")
    assert trace.prompt_tokens == len(batch["input_ids"][0])
    with torch.no_grad():
        logits = loaded.model(**batch).logits[0, -1]
    logits[forbidden_tokens(loaded.processor)] = float("-inf")
    assert int(logits.argmax()) == trace.segments[0].token_ids[0]


def test_a_history_with_control_tokens_or_too_many_marks_is_refused(loaded, requests):
    for history, message in (
        ((("What?", "It is <|im_end|>"),), "an earlier answer contains the control token"),
        ((("<image><image>?", "Two."),), "1 more <image> marks than images"),
    ):
        with pytest.raises(InputError, match=message):
            generate(loaded, [Request("h", "So?", requests[0].media, history)], Sampling(), 0)
