"""The lean head gives what TRL's fused head gives, gradients too, and leaves to it what it does not know."""

import copy
from itertools import product

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from vision_r1.models.load import load_model
from vision_r1.models.packing import Sharing
from vision_r1.train import head
from vision_r1.train.head import _LogProbs, lean_head

OUTPUTS = ("log_probs", "entropy")


@pytest.fixture(scope="module")
def model():
    return load_model("tiny:base").model


def heads(model, temperature=0.7):
    """(a copy with TRL's head, a copy with ours in front of it)."""
    pair = copy.deepcopy(model), copy.deepcopy(model)
    for each in pair:
        add_fused_lm_head(each, temperature=temperature, outputs=OUTPUTS)
    lean_head(pair[1], temperature, entropy=True)
    return pair


def batch(masked=0.4, rows=3, tokens=50):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 600, (rows, tokens), generator=generator)
    hidden = torch.rand(ids.shape, generator=generator) < masked
    return ids, ids.masked_fill(hidden, -100)


def grads(model):
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(("shifted", "tile"), product([False, True], [256, 7]))
def test_outputs_and_gradients_are_those_of_trls_head(model, monkeypatch, shifted, tile):
    monkeypatch.setattr(head, "_LEAST_ROWS", tile)
    monkeypatch.setattr(head, "_TILE_ELEMENTS", 1)
    theirs, ours = heads(model)
    ids, labels = batch()
    given = {"shift_labels": labels} if shifted else {"labels": labels}
    found = [each(input_ids=ids, fused_lm_head=True, **given) for each in (theirs, ours)]
    for name in ("loss", "log_probs", "entropy"):
        torch.testing.assert_close(found[1][name], found[0][name], atol=1e-5, rtol=1e-5)
    assert torch.equal(found[1].label_mask, found[0].label_mask)
    for output in found:
        (output.loss - 0.3 * output.entropy.square().mean()).backward()
    one, other = grads(theirs), grads(ours)
    assert one.keys() == other.keys() and one
    for name, grad in one.items():
        torch.testing.assert_close(other[name], grad, atol=1e-5, rtol=1e-4)


def test_the_fast_way_is_the_one_that_is_taken(model, monkeypatch):
    """And not where the forward pass runs in another precision, nor without labels to score."""
    calls = []
    apply = _LogProbs.apply
    monkeypatch.setattr(_LogProbs, "apply", lambda *args: calls.append(len(args[0])) or apply(*args))
    _, ours = heads(model)
    ids, labels = batch()
    output = ours(input_ids=ids, labels=labels, fused_lm_head=True)
    assert calls == [int((labels[:, 1:] != -100).sum())] and output.log_probs.shape == (3, 49)
    with torch.autocast("cpu", torch.bfloat16):
        ours(input_ids=ids, labels=labels, fused_lm_head=True)
    assert ours(input_ids=ids).logits.shape == (3, 50, model.config.get_text_config().vocab_size)
    narrow = heads(copy.deepcopy(model).to(torch.bfloat16))[1]
    narrow(input_ids=ids, labels=labels, fused_lm_head=True)
    assert len(calls) == 1


def test_what_is_not_packed_is_left_to_trl(model, monkeypatch):
    monkeypatch.setattr(Sharing, "on", False)
    plain = copy.deepcopy(model)
    before = plain.forward
    lean_head(plain, 1.0, entropy=True)
    assert plain.forward == before


def test_nothing_to_score_is_a_zero_with_a_gradient(model):
    _, ours = heads(model)
    ids, labels = batch(masked=2.0)
    output = ours(input_ids=ids, labels=labels, fused_lm_head=True)
    assert output.loss.item() == 0 and not output.log_probs.any()
    output.loss.backward()
    assert all(not grad.any() for grad in grads(ours).values())


@pytest.mark.parametrize("entropy", [False, True])
def test_gradients_are_those_of_the_formula(entropy):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    hidden, weight, bias = (x.requires_grad_() for x in (draw(9, 4), draw(11, 4), draw(11)))
    targets = torch.randint(11, (9,), generator=generator)

    def scored(*tensors):
        found = _LogProbs.apply(*tensors, targets, 1.3, entropy)
        return found if entropy else found[0]

    assert torch.autograd.gradcheck(scored, (hidden, weight, bias))
