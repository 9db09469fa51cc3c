"""The image store: what is kept, under which name, and what is never opened."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up_rows import encoded
from vision_r1.construct import images as images_module
from vision_r1.construct.images import ImageStore
from vision_r1.core.errors import InputError
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.images import BytesImage, FileImage
from vision_r1.problems.tiny_world import make_problems


def files(store: ImageStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_file_keeps_its_bytes_under_their_hash(tmp_path, kind):
    data = encoded(5, kind) if kind != "GIF" else saved(Image.new("L", (4, 4), 80), "GIF")
    store, media = ImageStore(tmp_path), BytesImage(data, "row 1")
    name = store.keep(media)
    plain = kind != "GIF"  # Pillow opens a GIF with a palette, which other decoders may show otherwise
    assert (store.read(name) == data) is plain
    assert (name == f"{media.key[:2]}/{media.key}.{kind.lower()}") is plain


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.new("RGB", (8, 4), (200, 0, 0)), "JPEG", exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.new("RGBA", (6, 4), (255, 0, 0, 128)), "PNG"),
        saved(Image.new("RGB", (6, 4), (1, 2, 3)), "BMP"),
        saved(Image.new("I;16", (6, 4), 40_000), "PNG"),
        saved(
            Image.new("RGB", (6, 4)),
            "GIF",
            save_all=True,
            append_images=[Image.new("RGB", (6, 4), (9, 9, 9))],
        ),
        turned(),
    ],
    ids=["transparent", "bmp", "16 bit", "animated", "turned"],
)
def test_what_others_might_show_otherwise_becomes_a_png_of_what_is_loaded(tmp_path, data):
    store, media = ImageStore(tmp_path), BytesImage(data, "row 1")
    name = store.keep(media)
    assert name.endswith(".png")
    with Image.open(io.BytesIO(store.read(name))) as kept:
        assert kept.mode == "RGB"
        assert np.array_equal(np.asarray(kept), np.asarray(media.load()))


def test_drawn_images_are_kept_once_each(tmp_path):
    store = ImageStore(tmp_path)
    problems = make_problems(TinyWorldData(split="train", n=6, seed=3))
    names = [store.keep(problem.media[0]) for problem in problems for _ in range(2)]
    assert names[::2] == names[1::2]
    assert len(files(store)) == len(set(names))
    again = ImageStore(tmp_path / "other")
    assert [again.keep(problem.media[0]) for problem in problems] == names[::2]


def test_a_kept_image_is_not_read_again(tmp_path):
    data = encoded(3)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(data)
    media = FileImage(tmp_path / "in", "a.png", "row 1")
    name = ImageStore(tmp_path / "out").keep(media)
    (tmp_path / "in" / "a.png").unlink()
    assert ImageStore(tmp_path / "out").keep(media) == name
    (tmp_path / "out" / name).write_bytes(b"")  # what a machine that lost power may leave
    with pytest.raises(InputError, match="row 1"):
        ImageStore(tmp_path / "out").keep(media)


def test_threads_may_keep_the_same_images(tmp_path):
    store = ImageStore(tmp_path)
    medias = [BytesImage(encoded(number % 7), "row") for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(store.keep, medias))
    assert names == [store.keep(media) for media in medias]
    assert len(files(store)) == 7


def test_a_damaged_image_is_refused_and_leaves_nothing(tmp_path):
    store = ImageStore(tmp_path)
    with pytest.raises(InputError, match="row 9: not an image"):
        store.keep(BytesImage(b"GIF89a, or is it", "row 9"))
    assert files(store) == []


@pytest.mark.parametrize(
    "name", ["../secret.png", "ab/../../x.png", "/etc/passwd", "ab/cd.png", "", "ab/" + "cd" * 32 + ".png"]
)
def test_a_name_from_elsewhere_is_never_opened(tmp_path, name):
    with pytest.raises(InputError, match="no name of a kept image"):
        ImageStore(tmp_path).read(name)


def test_taken_images_are_links_or_copies(tmp_path, monkeypatch):
    store, other, third = (ImageStore(tmp_path / part) for part in "abc")
    name = store.keep(BytesImage(encoded(1), "row"))
    other.take(store, name)
    assert (other.root / name).samefile(store.root / name)

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(images_module.os, "link", refuse)
    third.take(store, name)
    assert not (third.root / name).samefile(store.root / name)
    assert third.read(name) == store.read(name)
    (store.root / name).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        ImageStore(tmp_path / "d").take(store, name)
