"""Qwen2.5-VL's 3B and 7B sizes with random weights in bfloat16, for a CUDA device. Never run yet.

The tokenizer stays the tiny one; words beyond it are never sampled, but the output layer has all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from workloads import SEED, Workload, model_folder

TEXT: dict[str, dict[str, Any]] = {
    "3b": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
WORDS = 151_936
PEAKS = {"H200": (989e12, 4.8e12)}  # dense bfloat16 FLOP/s, bytes/s, as NVIDIA states them


def shaped_folder(out: Path, shape: str) -> Path:
    """A model folder of this shape."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    model_folder(out)
    (out / "model.safetensors").unlink()
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config["text_config"] |= {**TEXT[shape], "vocab_size": WORDS, "layer_types": None}
    config["text_config"]["rope_parameters"] |= {"mrope_section": [16, 24, 24], "rope_theta": 1e6}
    config["vision_config"] |= {**VISION, "out_hidden_size": TEXT[shape]["hidden_size"]}
    config["dtype"] = "bfloat16"
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(out)
    return out


def fractions(workload: Workload, figures: dict[str, Any], limit: dict[str, Any], folder: Path) -> Any:
    """Our share of the device's peak: FLOP/s over the step, bytes/s of the weights read by the decoding."""
    device = torch.cuda.get_device_name()
    peak = next((values for name, values in PEAKS.items() if name in device), None)
    if peak is None:
        return f"no peaks known for {device}"
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    rollout = figures["phases"]["ours"]["rollout"]
    return {
        "flops": round(sum(limit["gflop"].values()) * 1e9 / figures["seconds"]["ours"] / peak[0], 3),
        "bandwidth": round(weights * int(workload.lengths(1).max()) / rollout / peak[1], 3),
    }
