"""The in-process engine is `generate`; traces know their length with and without token ids."""

import subprocess
import sys

import torch

from vision_r1.models.digest import folder_digest, weights_digest
from vision_r1.models.load import load_model
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import InProcessEngine
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Segment, Trace


def test_the_in_process_engine_gives_the_traces_of_generate(random_model_dir):
    loaded = load_model(str(random_model_dir))
    requests = [Request(f"r{i}", f"What is {i} plus one?") for i in range(5)]
    sampling = Sampling(max_new_tokens=12, temperature=1.0, n=2, batch_size=4)
    done = []
    traces = InProcessEngine(loaded).complete(requests, sampling, 3, done.append)
    assert traces == generate(loaded, requests, sampling, 3)
    assert done == [2] * 5, "told as each request ends"


def test_the_identity_is_that_of_the_weights(random_model_dir):
    loaded = load_model(str(random_model_dir))
    before = InProcessEngine(loaded).identity
    assert (
        before == InProcessEngine(load_model(str(random_model_dir))).identity == weights_digest(loaded.model)
    )
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1.0)
    assert InProcessEngine(loaded).identity != before


def test_a_folder_digest_sees_weights_and_settings(random_model_dir, tmp_path):
    import shutil

    folder = shutil.copytree(random_model_dir, tmp_path / "copy")
    before = folder_digest(folder)
    assert before == folder_digest(random_model_dir)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert folder_digest(folder) != before
    weights.write_bytes((random_model_dir / "model.safetensors").read_bytes())
    assert folder_digest(folder) == before
    (folder / "chat_template.jinja").write_text("another")
    assert folder_digest(folder) != before


def test_a_trace_counts_tokens_with_ids_and_without():
    own, theirs = Segment("model", "a", (1, 2, 3)), Segment("model", "b", count=5)
    trace = Trace("p", 0, (own, theirs), "eos", 4, "m")
    assert trace.tokens == 8


def test_the_contract_loads_no_torch():
    code = "import vision_r1.rollout.engine, sys; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
