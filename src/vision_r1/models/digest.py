"""Names for weights: what tells one model from another in a log or an unfinished run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError

# Values of each tensor that tell one set of weights from another.
_DIGEST_VALUES = 1024
# Of each weight file: pieces spread over it, the first and the last among them, and their size in bytes.
_PIECES, _PIECE = 256, 4096


def weights_digest(model: Any) -> str:
    """A name for a model's weights, from evenly spaced values of each tensor; cheap for large models."""
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        flat = tensor.detach().flatten()
        values = flat[:: max(1, flat.numel() // _DIGEST_VALUES)].float().cpu().numpy()
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + values.tobytes())
    return digest.hexdigest()[:24]


def folder_digest(folder: Path) -> str:
    """A name for the model in a folder, without loading it: files up to 1 MiB whole, larger ones sampled.

    Raises:
        InputError: there are no weights in the folder, or a file cannot be read.
    """
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if not any(path.suffix in (".safetensors", ".bin") for path in files):
        raise InputError("no model weights in this folder", where=str(folder), fix="name a model directory")
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as handle:
            step = max(_PIECE, (size - _PIECE) // (_PIECES - 1))
            for start in (*range(0, max(1, size - _PIECE), step), max(0, size - _PIECE)):
                handle.seek(start)
                digest.update(handle.read(_PIECE))
    return digest.hexdigest()[:24]
