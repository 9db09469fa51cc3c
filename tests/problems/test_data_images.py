import io
import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from data_files import png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.problems.decode import decode_image
from vision_r1.problems.image_checks import check_images
from vision_r1.problems.images import BytesImage, FileImage


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("path", ["../x.png", "a/../../x.png", "/etc/hostname"])
def test_paths_out_of_the_folder_are_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "x.png").write_bytes(png())
    with pytest.raises(InputError, match=r"rows\.csv, line 2: .*outside its folder"):
        FileImage(root, path, "rows.csv, line 2").load()


def test_absolute_path_to_a_real_image_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "x.png").write_bytes(png())
    with pytest.raises(InputError, match="outside its folder"):
        FileImage(root, str(tmp_path / "x.png"), "r").load()


def test_links_out_of_the_folder_are_refused_and_links_inside_work(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "x.png").write_bytes(png())
    (root / "in.png").write_bytes(png())
    (root / "out.png").symlink_to(tmp_path / "x.png")
    (root / "alias.png").symlink_to(root / "in.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    with pytest.raises(InputError, match="outside its folder"):
        FileImage(root, "out.png", "r").load()
    with pytest.raises(InputError, match=r"r: .*loop\.png"):
        FileImage(root, "loop.png", "r").load()
    assert FileImage(root, "alias.png", "r").load().size == (8, 6)


@pytest.mark.parametrize("path", ["none.png", "nul\0.png", "x" * 5000, "."])
def test_missing_or_impossible_names(tmp_path, path):
    with pytest.raises(InputError, match=r"^rows, line 3: "):
        FileImage(tmp_path, path, "rows, line 3").load()


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not a regular file"):
        FileImage(tmp_path, "pipe.png", "r").load()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, no picture here", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (encoded(Image.effect_noise((64, 64), 50))[:600], "damaged"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:300], "damaged|not an image"),
    ],
)
def test_broken_files(data, message):
    with pytest.raises(InputError, match=f"^f, row 1: .*({message})"):
        decode_image(data, "f, row 1")


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 8000), (60000, 60000), (0, 5)])
def test_bombs_are_refused_from_the_header(size, recwarn):
    with pytest.raises(InputError, match=r"pixels|zero size|not an image|damaged"):
        decode_image(bomb(*size), "r")
    assert not list(recwarn)


def test_max_pixels_is_exact():
    assert decode_image(png(size=(10, 10)), "r", 100).size == (10, 10)
    with pytest.raises(InputError, match="10x10 pixels, more than max_pixels 99"):
        decode_image(png(size=(10, 10)), "r", 99)


def test_every_mode_becomes_rgb():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode_image(encoded(clear), "r").getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 0, 200, 0] + [0] * 762)
    assert decode_image(encoded(palette), "r").getpixel((0, 0)) == (0, 200, 0)
    assert decode_image(encoded(palette, transparency=1), "r").getpixel((0, 0)) == (255, 255, 255)
    deep = Image.fromarray(np.full((4, 4), 32768, dtype=np.uint16))
    assert decode_image(encoded(deep), "r").getpixel((0, 0)) == (127, 127, 127)
    for mode in ("1", "L", "LA", "CMYK"):
        form = "TIFF" if mode == "CMYK" else "PNG"
        assert decode_image(encoded(Image.new(mode, (4, 4)), form), "r").mode == "RGB"


def test_first_frame_and_upright():
    frames = [Image.new("RGB", (4, 4), c) for c in ((250, 0, 0), (0, 250, 0))]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(animated, "r").getpixel((0, 0))[0] > 200
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif), "r").size == (4, 8)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 200), st.binary(max_size=8), st.sampled_from(["PNG", "GIF", "BMP", "JPEG", "TIFF", "WEBP"])
)
def test_damage_anywhere_gives_an_image_or_one_of_our_errors(place, noise, form):
    data = bytearray(encoded(Image.new("RGB", (9, 7), (9, 9, 9)), form))
    data[place : place + len(noise)] = noise
    try:
        assert decode_image(bytes(data), "r", 10_000).mode == "RGB"
    except InputError as error:
        assert error.line().startswith("r: ") and "\n" not in error.line()


def test_key_is_the_content_and_survives_pickling(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    one, two = FileImage(tmp_path, "a.png", "r"), FileImage(tmp_path, "b.png", "s")
    assert one == two == BytesImage(png(), "t") == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(two)
    assert one != BytesImage(png((1, 2, 3)), "t")


def test_check_reports_all_bad_images_in_one_line(tmp_path):
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "bad.png").write_bytes(png()[:40])
    media = [
        FileImage(tmp_path, n, f"rows, line {i}")
        for i, n in enumerate(["good.png"] + ["bad.png"] * 7 + ["no.png"])
    ]
    steps: list[tuple[int, int]] = []
    with pytest.raises(
        InputError, match=r"^rows, line 1: .*8 bad images of 9; next rows, line 2.* and 3 more"
    ):
        check_images(media, lambda done, total: steps.append((done, total)))
    assert steps == [(i, 9) for i in range(1, 10)]
    with pytest.raises(InputError, match=r"^rows, line 8: no image 'no\.png'"):
        check_images(media[:1] + media[-1:])
