"""Pictures with shapes in them, and proof that nobody opens them."""

import io
import random

from PIL import Image

from vision_r1.problems import seen
from vision_r1.problems.images import FileImage


def picture(index, form="PNG"):
    """One with shapes in it, so that it has a look."""
    noise = Image.frombytes("RGB", (5, 5), random.Random(index).randbytes(75))
    buffer = io.BytesIO()
    noise.resize((32, 32), Image.Resampling.BICUBIC).save(buffer, format=form)
    return buffer.getvalue()


def refuse(*_, **__):
    raise AssertionError("an image is read or decoded")


def unread(monkeypatch):
    """From now on reading files and decoding anything fails."""
    monkeypatch.setattr(FileImage, "read", refuse)
    monkeypatch.setattr(seen, "decode_with_format", refuse)
    monkeypatch.setattr(seen, "look_of", refuse)
