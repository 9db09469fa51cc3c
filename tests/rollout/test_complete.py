"""Grouped completions against plain forward passes, for each family, whatever the budget and the order."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import families
import pytest
import torch
from families import EOS, IMAGE, TEXT, VISION, group_of, model_of, plain_inputs, prompts
from scipy.stats import chi2

from vision_r1.core.errors import CollapseError, InputError
from vision_r1.rollout.block import flash, plain
from vision_r1.rollout.complete import Usage, complete_groups
from vision_r1.rollout.decoder import Decoder, threads_for
from vision_r1.rollout.group import Completion, Group
from vision_r1.rollout.memory import Budget
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of

FORBIDDEN = (294, 295, IMAGE, families.START, families.END)
MARGIN = 1e-4  # of logits; below it two ways of computing may decide differently


def drawing(greedy: bool = False, eos: tuple[int, ...] = (EOS,), **more: Any) -> Drawing:
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    config = SimpleNamespace(**{**plain, **more})
    return Drawing(
        warp_of(config, FORBIDDEN), frozenset(eos), greedy, lambda ids: "".join(chr(65 + i) for i in ids)
    )


def warped(family: str, group: Group, ids: list[int], draw: Drawing) -> torch.Tensor:
    """Logits of the sampling distribution at each token, by one plain forward pass of the whole."""
    with torch.no_grad():
        logits = model_of(family)(**plain_inputs(family, group, ids)).logits[0, len(group.ids) - 1 : -1]
    every = [torch.tensor([[*group.ids, *ids[:k]]]) for k in range(len(ids))]
    return torch.cat([draw.warp(seen, row[None]) for seen, row in zip(every, logits, strict=True)])


def check_logprobs(family: str, groups: list[Group], found: list[list[Completion]], draw: Drawing) -> None:
    for group, completions in zip(groups, found, strict=True):
        for one in completions:
            expected = torch.log_softmax(warped(family, group, one.ids, draw), -1)
            expected = expected.gather(1, torch.tensor(one.ids)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(one.logprobs), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("family", [*VISION, *TEXT, "llama"])
def test_greedy_is_transformers_generate(family: str) -> None:
    groups, draw = prompts(family, 1, 24), drawing(greedy=True)
    found = complete_groups(model_of(family), groups, draw)
    close = 0
    for group, (ours,) in zip(groups, found, strict=True):
        output = model_of(family).generate(
            **plain_inputs(family, group, []),
            max_new_tokens=24,
            do_sample=False,
            suppress_tokens=list(FORBIDDEN),
            output_logits=True,
            return_dict_in_generate=True,
        )
        theirs = output.sequences[0, len(group.ids) :].tolist()
        for mine, other, logits in zip(ours.ids, theirs, output.logits, strict=True):
            best = draw.warp(torch.empty(0), logits)[0].topk(2).values
            if best[0] - best[1] <= MARGIN:
                close += 1
                if mine != other:
                    break
            assert mine == other
    assert close <= 2, "nearly no decision is that close"
    check_logprobs(family, groups, found, draw)


@pytest.mark.parametrize("family", [*VISION, *TEXT, "llama"])
def test_samples_and_log_probs_are_those_of_a_plain_forward(family: str) -> None:
    groups = prompts(family, 3, 20)
    draw = drawing(temperature=0.8, top_p=0.9, eos=tuple(range(8)))  # many endings: rows leave apart
    found = complete_groups(model_of(family), groups, draw)
    lengths = {len(one.ids) for completions in found for one in completions}
    assert len(lengths) > 3
    check_logprobs(family, groups, found, draw)
    for one in (one for completions in found for one in completions):
        assert not set(one.ids) & set(FORBIDDEN)
        ends = [token in draw.eos for token in one.ids]
        assert not any(ends[:-1]) and one.stop == ("eos" if ends[-1] else "length")
        assert ends[-1] or len(one.ids) == 20


def test_a_repetition_penalty_sees_prompt_and_completion() -> None:
    groups, draw = prompts("qwen3_vl", 2, 12), drawing(repetition_penalty=1.7)
    check_logprobs("qwen3_vl", groups, complete_groups(model_of("qwen3_vl"), groups, draw), draw)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llama"])
def test_budget_and_order_change_nothing_but_rounding(family: str) -> None:
    groups = [
        replace(group, caps=[cap, 30, 9])
        for group, cap in zip(prompts(family, 3, 30), (30, 4, 100, 17, 70), strict=True)
    ]
    draw = drawing(eos=(EOS, 1, 2, 3))
    whole = complete_groups(model_of(family), groups, draw)
    assert {one.stop for completions in whole for one in completions} == {"eos", "length"}
    for budget in (Budget(rows=3), Budget(rows=7), Budget(tokens=900)):
        usage, done = Usage(), []
        part = complete_groups(model_of(family), groups[::-1], draw, budget, done.append, usage)[::-1]
        assert [[one.ids for one in c] for c in part] == [[one.ids for one in c] for c in whole]
        assert sorted(done) == list(range(len(groups)))
        for mine, theirs in zip(chain(*part), chain(*whole), strict=True):
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
        assert usage.cache_peak <= usage.cache_limit


def test_memory_stays_within_the_budget_and_is_stated(caplog: pytest.LogCaptureFixture) -> None:
    groups, usage = prompts("qwen2_5_vl", 4, 90), Usage()
    with caplog.at_level(logging.INFO, "vision_r1.rollout.complete"):
        complete_groups(model_of("qwen2_5_vl"), groups, drawing(), Budget(tokens=1000), usage=usage)
    token = 2 * 3 * 2 * 16 * 4  # keys and values, layers, key heads, width, bytes
    assert usage.cache_limit <= 1000 * token
    assert 0.3 * usage.cache_limit < usage.cache_peak <= usage.cache_limit
    assert "the cache takes at most 0.7 MiB" in caplog.text
    assert (usage.prompts, usage.images) == (5, 4)


def test_a_group_larger_than_the_budget_is_made_in_parts() -> None:
    group = group_of("qwen2", 0, 20, [], list(range(12)), [50] * 12)
    whole = complete_groups(model_of("qwen2"), [group], drawing())
    usage = Usage()
    parts = complete_groups(model_of("qwen2"), [group], drawing(), Budget(tokens=300), usage=usage)
    assert [one.ids for one in parts[0]] == [one.ids for one in whole[0]]
    assert usage.prompts == 3 and usage.cache_peak <= usage.cache_limit


def test_an_image_of_several_prompts_goes_through_the_tower_once() -> None:
    first = group_of("qwen3_vl", 0, 8, [(4, 4)], [0, 1], [10, 10])
    again = group_of("qwen3_vl", 1, 30, [(4, 4)], [2, 3], [10, 10])
    shared = [replace(group, pixels=first.pixels, images=("a",)) for group in (first, again)]
    alone, usage = (
        complete_groups(model_of("qwen3_vl"), [replace(g, images=()) for g in shared], drawing()),
        Usage(),
    )
    found = complete_groups(model_of("qwen3_vl"), shared, drawing(), Budget(rows=2), usage=usage)
    assert usage.images == 1
    assert [[one.ids for one in c] for c in found] == [[one.ids for one in c] for c in alone]


def test_stop_strings_end_a_completion() -> None:
    groups, draw = prompts("qwen2", 3, 40), drawing()
    free = complete_groups(model_of("qwen2"), groups, draw)
    stop = draw.decode(free[1][2].ids[6:9])
    found = complete_groups(
        model_of("qwen2"), [replace(group, stops=(stop, "none")) for group in groups], draw
    )
    assert found[1][2].stop == "stop_string"
    assert found[1][2].ids == free[1][2].ids[:9] and len(found[1][2].logprobs) == 9
    assert found[0][0].ids == free[0][0].ids


def test_draws_follow_the_models_distribution() -> None:
    """Chi-square of the second token given the likeliest first one."""
    group = group_of("qwen2_5_vl", 3, 6, [(4, 4)], list(range(6000)), [2] * 6000)
    draw = drawing(temperature=1.3)
    (found,) = complete_groups(model_of("qwen2_5_vl"), [group], draw)
    firsts = [one.ids[0] for one in found]
    first = max(set(firsts), key=firsts.count)
    for given, counted in (
        ([], firsts),
        ([first], [o.ids[1] for o in found if o.ids[0] == first and len(o.ids) > 1]),
    ):
        expected = torch.softmax(warped("qwen2_5_vl", group, [*given, 0], draw)[-1].double(), -1) * len(
            counted
        )
        seen = torch.bincount(torch.tensor(counted), minlength=300).double()
        often = expected >= 5
        cells = [*zip(seen[often].tolist(), expected[often].tolist(), strict=True),
                 (seen[~often].sum().item(), expected[~often].sum().item())]  # fmt: skip
        statistic = sum((a - b) ** 2 / b for a, b in cells if b > 0)
        assert statistic < chi2.ppf(0.999, len(cells) - 1)


def test_the_fixed_shapes_of_a_captured_step_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA graphs need (masks instead of cut shapes, rows that leave late), run plainly on the CPU."""
    groups = [replace(group, caps=[7, 80, 20]) for group in prompts("qwen3_vl", 3, 80)]
    draw = drawing(eos=(EOS, 1, 2, 3))
    whole = complete_groups(model_of("qwen3_vl"), groups, draw)
    usual, fixed = Usage(), Usage()
    complete_groups(model_of("qwen3_vl"), groups, draw, usage=usual)
    monkeypatch.setattr("vision_r1.rollout.complete.captures", lambda device: True)
    found = complete_groups(model_of("qwen3_vl"), groups, draw, usage=fixed)
    parts = complete_groups(model_of("qwen3_vl"), groups, draw, Budget(rows=6))
    assert [[one.ids for one in c] for c in parts] == [[one.ids for one in c] for c in whole]
    assert [[one.ids for one in c] for c in found] == [[one.ids for one in c] for c in whole]
    for mine, theirs in zip(chain(*found), chain(*whole), strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
    assert fixed.row_steps > usual.row_steps, "rows that have ended stay for some steps"


@pytest.mark.parametrize("masked", [True, False])
def test_the_kernel_for_the_cpu_is_the_formula(masked: bool) -> None:
    query, keys, values = (torch.randn(3, 2, n, 8) for n in (5, 11, 11))
    mask = torch.zeros(3, 1, 1, 11)
    mask[1, ..., 6:] = float("-inf")
    for mine, theirs in zip(
        flash(query, keys, values, mask if masked else None, 0.3),
        plain(query, keys, values, mask if masked else None, 0.3),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_half_precision_is_within_its_noise() -> None:
    families.model_of.cache_clear()
    try:
        groups, draw = prompts("qwen2_5_vl", 3, 12), drawing()
        model = model_of("qwen2_5_vl").bfloat16()
        for group, completions in zip(groups, complete_groups(model, groups, draw), strict=True):
            for one in completions:
                expected = torch.log_softmax(warped("qwen2_5_vl", group, one.ids, draw), -1)
                expected = expected.gather(1, torch.tensor(one.ids)[:, None])[:, 0]
                assert (torch.tensor(one.logprobs) - expected).abs().mean() < 0.15
    finally:
        families.model_of.cache_clear()


def test_a_small_step_runs_on_one_thread_and_gives_the_others_back() -> None:
    decoder, before = Decoder(model_of("qwen2"), 8), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threads_for(decoder, 1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(decoder, 10**6):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Adapter(torch.nn.Module):
    """What an adapter looks like: a module of its own in the place of a linear layer."""

    def __init__(self, inner: torch.nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.low = torch.nn.Parameter(torch.randn(2, inner.in_features) * 0.3)
        self.high = torch.nn.Parameter(torch.randn(inner.out_features, 2) * 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + x @ self.low.T @ self.high.T


class Wrapped(torch.nn.Module):
    """What peft's wrapper looks like from outside."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base, self.config = base, base.config

    def get_base_model(self) -> Any:
        return self.base


def test_adapters_and_changed_weights_are_seen() -> None:
    families.model_of.cache_clear()
    try:
        base = model_of("qwen2_5_vl")
        groups, draw = prompts("qwen2_5_vl", 2, 10), drawing()
        before = complete_groups(Wrapped(base), groups, draw)
        for layer in base.model.language_model.layers:
            layer.self_attn.q_proj = Adapter(layer.self_attn.q_proj)
            layer.mlp.down_proj = Adapter(layer.mlp.down_proj)
        adapted = complete_groups(Wrapped(base), groups, draw)
        check_logprobs("qwen2_5_vl", groups, adapted, draw)
        with torch.no_grad():
            base.model.language_model.layers[0].self_attn.k_proj.weight.mul_(1.5)
        trained = complete_groups(Wrapped(base), groups, draw)
        check_logprobs("qwen2_5_vl", groups, trained, draw)
        texts = [[one.ids for group in found for one in group] for found in (before, adapted, trained)]
        assert texts[0] != texts[1] != texts[2]
    finally:
        families.model_of.cache_clear()


def test_an_unknown_family_says_once_that_it_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    from vision_r1.rollout import fallback

    fallback._say.cache_clear()
    for _ in range(2):
        complete_groups(model_of("llama"), prompts("llama", 1, 2), drawing())
    assert [r.message for r in caplog.records if "llama" in r.message] == [
        "rollouts go through transformers' generate, which is slower: "
        "llama models are not known to attend over packed rows"
    ]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llama"])
def test_logits_that_are_not_finite_name_problem_and_position(family: str) -> None:
    def broken(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        logits = logits.float().clone()
        if len(calls) == 4:
            logits[1, 7] = float("nan")
        return logits

    calls: list[int] = []
    groups = [group_of(family, k, 8, [], [k], [9]) for k in (5, 6)]
    with pytest.raises(CollapseError, match=r"problem 6: the model's logits .* at token 3 of completion 0"):
        complete_groups(model_of(family), groups, Drawing(broken, frozenset([EOS])))


def test_what_cannot_be_completed_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    model, good = model_of("qwen2_5_vl"), group_of("qwen2_5_vl", 0, 4, [(4, 4)], [0], [5])

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the model was called")

    monkeypatch.setattr(type(model), "forward", never)
    cases = [
        (replace(good, where="problem short", ids=good.ids[:3]), "problem short: the prompt holds 2 image tokens, the model makes 4"),
        (replace(good, where="problem wide", pixels=good.pixels[:, :600]), "problem wide: its patches are of shape"),
        (replace(good, where="problem empty", ids=[], pixels=None, grids=None), "problem empty: the prompt is empty"),
        (replace(good, where="problem long", caps=[700]), "problem long: prompt of 10 tokens and a cap of 700 exceed"),
        (group_of("qwen2_5_vl", 7, 4, [(60, 60)], [0], [5]), "problem 7: its images make 900 tokens, the context holds 640"),
    ]  # fmt: skip
    for group, message in cases:
        with pytest.raises(InputError, match=message):
            complete_groups(model, [good, group], drawing())
    with pytest.raises(
        InputError, match="problem 0: prompt of 10 tokens and a cap of 5 exceed the cache of 9 tok"
    ):
        complete_groups(model, [good], drawing(), Budget(tokens=12))
    with pytest.raises(InputError, match="problem 0: the model takes no images"):
        complete_groups(model_of("qwen2"), [good], drawing())
