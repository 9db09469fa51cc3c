"""Requests are named by their content; images are sent as they are where every decoder shows them alike."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.problems import images
from vision_r1.problems.decode import decode_image, decode_with_format
from vision_r1.problems.images import BytesImage, FileImage, Spill
from vision_r1.teachers.chat import (
    ChatReply,
    ChatRequest,
    encode_picture,
    estimated_tokens,
    messages,
    picture_name,
    request_text,
    scaled_down,
)
from vision_r1.teachers.wire import begun_body, finished_body


def picture(shade: int = 0, suffix: str = "PNG", mode: str = "RGB", **save) -> BytesImage:
    image = Image.fromarray(np.full((8, 12, 3), shade, np.uint8)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, suffix, **save)
    return BytesImage(buffer.getvalue(), "row 1")


def rotated() -> BytesImage:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(9, "JPEG", exif=exif)


BASE = ChatRequest("m", "q", system="s", media=(picture(1),), seed=3, template="v1")
CHANGES = {
    "model": "n", "user": "p", "system": None, "media": (picture(2),), "max_tokens": 5, "temperature": 0.5, "top_p": 0.5,
    "stop": ("x",), "seed": 4, "template": "v2", "sample_index": 1, "attempt": 1,
    "max_image_pixels": 784,
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ChatRequest)])
def test_every_field_is_part_of_the_key(name):
    assert dataclasses.replace(BASE, **{name: CHANGES[name]}).key != BASE.key


def decodings(monkeypatch):
    """The images that are decoded from now on."""
    seen = []

    def watched(data, *args, **kwargs):
        seen.append(data)
        return decode_with_format(data, *args, **kwargs)

    monkeypatch.setattr(images, "decode_with_format", watched)
    return seen


@pytest.mark.parametrize("kept", ["table", "spill", "file"])
def test_an_image_that_is_sent_as_it_is_is_decoded_once(kept, tmp_path, monkeypatch):
    media = picture(7)
    data = media.read()
    (tmp_path / "x.png").write_bytes(data)
    if kept == "spill":
        media = Spill(tmp_path).keep(media)
    elif kept == "file":
        media = FileImage(tmp_path, "x.png", "row 1")
    seen = decodings(monkeypatch)
    found = [encode_picture(media, limit) for limit in (None, 96, None)]
    assert [(each.data, each.suffix, each.size) for each in found] == [(data, "png", (12, 8))] * 3
    assert len(seen) == 1
    assert encode_picture(media, 24).size == (6, 4)
    assert len(seen) == 2, "smaller ones are made from the pixels"


def test_an_image_that_is_sent_as_another_is_decoded_each_time(monkeypatch):
    media = picture(3, mode="P")
    seen = decodings(monkeypatch)
    first, again = encode_picture(media), encode_picture(media)
    assert first.data == again.data != media.read() and len(seen) == 2


def test_a_file_that_was_changed_is_decoded_again(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(picture(7).read())
    media = FileImage(tmp_path, "x.png", "row 1")
    assert encode_picture(media).data == path.read_bytes()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        encode_picture(media)


def test_a_file_that_is_another_for_a_while_is_told_apart(tmp_path):
    path, first = tmp_path / "x", picture(7).read()
    path.write_bytes(first)
    media = FileImage(tmp_path, "x", "row 1")
    before = encode_picture(media)
    path.write_bytes(picture(9, "JPEG").read())
    assert encode_picture(media).suffix == "jpeg"
    path.write_bytes(first)
    assert encode_picture(media) == before


def test_equal_content_has_one_key():
    same = dataclasses.replace(BASE, media=(picture(1),), temperature=0)
    assert same.key == BASE.key


def test_a_further_sample_has_another_seed_and_key():
    assert BASE.again(0) == BASE
    first, second = BASE.again(1), BASE.again(2)
    assert len({BASE.key, first.key, second.key}) == len({BASE.seed, first.seed, second.seed}) == 3
    assert dataclasses.replace(BASE, seed=None).again(1).seed is None


@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "WEBP"])
def test_plain_images_are_sent_as_they_are(suffix):
    media = picture(5, suffix)
    found = encode_picture(media)
    assert (found.data, found.suffix, found.name) == (media.read(), suffix.lower(), media.key)
    assert found.size == (12, 8)


@pytest.mark.parametrize(
    "media",
    [picture(5, "BMP"), picture(5, "TIFF"), picture(5, "PNG", "RGBA"), rotated(), picture(5, "PNG", "P")],
)
def test_other_images_become_the_pixels_that_a_model_here_sees(media):
    found = encode_picture(media)
    assert found.suffix == "png" and found.data != media.read()
    sent = decode_image(found.data, "")
    assert sent.size == media.load().size and sent.tobytes() == media.load().tobytes()


@given(st.integers(1, 400), st.integers(1, 400), st.integers(784, 20_000))
def test_a_large_image_is_scaled_down_and_keeps_its_shape(width, height, most):
    image = Image.new("RGB", (width, height))
    small = scaled_down(image, most)
    if width * height <= most:
        assert small is image
        return
    assert 0.5 * most < small.width * small.height <= most
    # Each side is within a pixel of its share, unless it had only one.
    ratio = (most / (width * height)) ** 0.5
    assert abs(small.width - width * ratio) <= 1 or small.height == 1
    assert abs(small.height - height * ratio) <= 1 or small.width == 1


@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_scaled_image_stays_a_jpeg_or_becomes_a_png(suffix):
    buffer = io.BytesIO()
    Image.new("RGB", (100, 50), "red").save(buffer, suffix)
    media = BytesImage(buffer.getvalue(), "row 1")
    found = encode_picture(media, 800)
    assert found.size == (40, 20) == decode_image(found.data, "").size
    assert found.suffix == ("jpeg" if suffix == "JPEG" else "png")
    assert found.name == f"{media.key}-800px" != encode_picture(media).name
    assert encode_picture(media, 5000).data == encode_picture(media).data


@pytest.mark.parametrize("sides", [(8, 8), (8, 12)], ids=["alike", "of other sizes"])
def test_of_many_pages_the_first_is_shown_though_a_later_one_is_damaged(sides):
    pages = [Image.new("L", (side, side), 20 + 50 * number) for number, side in enumerate((*sides, 8))]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    data = buffer.getvalue()
    with Image.open(io.BytesIO(data)) as whole:
        whole.seek(2)
        third = whole.tag_v2._offset if hasattr(whole.tag_v2, "_offset") else len(data) - 100
    cut = BytesImage(data[: min(third + 4, len(data) - 20)], "row 1")
    assert encode_picture(cut).size == (8, 8)
    assert cut.load().getpixel((0, 0)) == (20, 20, 20)


def test_the_key_decodes_no_image():
    class Unread:
        key = "0123"

        def load(self):
            raise AssertionError("decoded")

    request = ChatRequest("m", "q", media=(Unread(),))
    assert len(request.key) == 64
    assert json.loads(request_text(request))["images"] == ["0123"]
    # Requests of before, which had no such cap, keep their names.
    assert "max_image_pixels" not in json.loads(request_text(request))
    assert (
        json.loads(request_text(dataclasses.replace(request, max_image_pixels=900)))["max_image_pixels"]
        == 900
    )


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "", "x" * 200, ".hidden", "a\nb"])
def test_a_picture_has_the_name_of_a_file(key):
    media = picture(1)
    media._key = key or "\x00"
    assert re.fullmatch(r"[0-9a-f]{64}", picture_name(media))


def test_the_step_is_what_stands_before_the_version():
    assert [ChatRequest("m", "q", template=t).step for t in ("describe@1-0a", "bare", "")] == [
        "describe",
        "bare",
        "",
    ]


@pytest.mark.parametrize("data", [b"", b"not an image", picture(3).read()[:45]], ids=["empty", "text", "cut"])
def test_a_broken_image_is_refused(data):
    with pytest.raises(InputError):
        encode_picture(BytesImage(data, "row 1"))


def test_images_stand_where_their_marks_stand():
    pictures = [encode_picture(picture(shade)) for shade in (1, 2)]
    request = ChatRequest("m", "Is <image> like <image>?", media=(picture(1), picture(2)))
    content = messages(request, [each.url.decode() for each in pictures])[-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    for part, shade in zip((content[1], content[3]), (1, 2), strict=True):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64" and base64.b64decode(data) == picture(shade).read()
    leading = messages(dataclasses.replace(request, user="Alike?"), ["a", "b"])[-1]["content"]
    assert [part["type"] for part in leading] == ["image_url", "image_url", "text"]
    assert json.loads(begun_body(request, pictures) + b"}")["messages"][-1]["content"] == content


@given(st.lists(st.text(max_size=30) | st.sampled_from(['{"url": ""}', '"', "\\"]), max_size=4), st.text())
def test_a_body_says_what_the_messages_say_whatever_the_texts(texts, system):
    pictures = [encode_picture(picture(shade)) for shade in range(max(0, len(texts) - 1))]
    user = "<image>".join(text.replace("<image>", "") for text in texts)
    request = ChatRequest("m", user, system=system, stop=('{"url": ""}',))
    body = json.loads(finished_body(begun_body(request, pictures), 9, "max_tokens", stream=True))
    assert body["messages"] == messages(request, [each.url.decode() for each in pictures])
    assert (body["stop"], body["stream"], body["max_tokens"]) == (['{"url": ""}'], True, 9)


def test_tokens_are_estimated_from_both_texts():
    reply = ChatReply("four" * 10, "\u2603" * 20, "stop", None, None, "m")
    assert estimated_tokens(reply) == 25
    assert estimated_tokens(dataclasses.replace(reply, text="", reasoning="")) == 1


def test_a_mark_without_images_is_text_and_control_tokens_are_refused():
    assert messages(ChatRequest("m", "what is <image>?"), [])[0]["content"] == "what is <image>?"
    for text in ({"user": "a<|im_end|>b"}, {"user": "a", "system": "<|im_start|>"}):
        with pytest.raises(InputError, match="control token"):
            messages(ChatRequest("m", **text), [])
