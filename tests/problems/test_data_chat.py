import json

import numpy as np
import pytest
from data_files import png, write_rows

from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.problems.chat import ChatRow, explicit_marks, load_chat_rows
from vision_r1.problems.config import ChatData
from vision_r1.problems.export import write_vision_r1_cold
from vision_r1.problems.images import BytesImage

TARGET = "<think> Hmm. Wait. </think><answer> Final Answer:B </answer>"


def load(path, layout, **settings):
    return load_chat_rows(validate(ChatData, {"path": str(path), "layout": layout, **settings}))


def talk(user, assistant, role="from", text="value"):
    return [{role: user, text: "<image>\nWhich one?"}, {role: assistant, text: TARGET}]


def save(folder, rows, name="cold.json"):
    write_rows(folder, [])
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


LLAVA = {"conversations": talk("human", "gpt"), "image": "1.png"}
MULBERRY = {"conversations": talk("user", "assistant"), "images": ["1.png"]}


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        (LLAVA, "vision_r1_cold_llava"),
        (MULBERRY, "vision_r1_cold_mulberry"),
        (MULBERRY | {"images": "1.png"}, "vision_r1_cold_mulberry"),
        (LLAVA, "sharegpt"),
        (MULBERRY, "sharegpt"),
        ({"messages": talk("user", "assistant", "role", "content"), "images": ["1.png"]}, "sharegpt"),
        ({"question": "<image>\nWhich one?", "response": TARGET, "image": "1.png"}, "plain"),
    ],
)
def test_layouts_read_alike(tmp_path, row, layout):
    (chat,) = load(save(tmp_path, [row]), layout)
    assert (chat.user, chat.assistant) == ("<image>\nWhich one?", TARGET)
    assert chat.media[0].load().getpixel((0, 0)) == (40, 0, 0)
    assert load(save(tmp_path, [row]), layout, images=str(tmp_path)) == [chat]


def test_the_two_cold_layouts_are_told_apart(tmp_path):
    with pytest.raises(
        InputError,
        match=r"cold\.json, row 1, field 'conversations': expected one turn of human, then gpt; found user",
    ):
        load(save(tmp_path, [MULBERRY]), "vision_r1_cold_llava")
    with pytest.raises(InputError, match="expected one turn of user, then assistant; found human, gpt"):
        load(save(tmp_path, [LLAVA]), "vision_r1_cold_mulberry")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversations": talk("human", "gpt") * 2}, "found human, gpt, human, gpt"),
        (
            {"conversations": [{"from": "system", "value": "s"}, *talk("human", "gpt")]},
            "found system, human, gpt",
        ),
        ({"conversations": []}, "found none"),
        ({"conversations": "text"}, "found none"),
        (
            {"conversations": [{"from": "human"}, {"from": "gpt", "value": "x"}]},
            "a turn without the texts from/value",
        ),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": " "}]},
            "the assistant turn is empty",
        ),
        ({"image": None}, "1 <image> marks, but 0 images"),
        ({"image": ["1.png", "2.png"]}, "1 <image> marks, but 2 images"),
        ({"image": "../1.png"}, "outside its folder"),
        ({"image": "none.png"}, "no image 'none.png'"),
        ({"id": "same"}, r"id 'same' is already that of .*row 1"),
    ],
)
def test_bad_conversations_are_named(tmp_path, change, message):
    with pytest.raises(InputError, match=rf"cold\.json, row 2, field '\w+': .*{message}"):
        load(save(tmp_path, [LLAVA | {"id": "same"}, LLAVA | change]), "sharegpt")


def test_missing_columns(tmp_path):
    with pytest.raises(InputError, match="no column 'conversations' -- did you mean 'conversation'"):
        load(save(tmp_path, [{"conversation": []}]), "sharegpt")
    with pytest.raises(InputError, match="no column for the response among question"):
        load(save(tmp_path, [{"question": "q"}]), "plain")


def test_text_only_and_unmarked_rows(tmp_path):
    rows = [
        {"question": "2+2?", "response": "4"},
        {"question": "See?", "response": "y", "image": ["0.png", "1.png"]},
    ]
    text, pictures = load(save(tmp_path, rows), "plain")
    assert (text.user, text.media) == ("2+2?", ())
    assert pictures.user == "<image><image>See?" == explicit_marks("See?", 2)


def test_shares_of_conversations_share_no_image(tmp_path):
    rows = [LLAVA | {"image": f"{i % 4}.png", "id": str(i)} for i in range(24)]
    path = save(tmp_path, rows)
    low, high = (load(path, "sharegpt", take={"from": a, "to": b}) for a, b in ((0, 0.5), (0.5, 1)))
    assert {r.id for r in low} | {r.id for r in high} == {str(i) for i in range(24)}
    assert not {r.media[0].key for r in low} & {r.media[0].key for r in high}


def pixels(rows):
    return [[np.asarray(image.load()).tolist() for image in row.media] for row in rows]


def test_export_reads_back_equal(tmp_path):
    shared = BytesImage(png((9, 9, 9)), "a")
    rows = [
        ChatRow("one", "<image>\nWhich?", TARGET, (shared,)),
        ChatRow(
            "two", "<image> or <image>? <script>ü\u2028", TARGET, (shared, BytesImage(png((7, 0, 0)), "b"))
        ),
        ChatRow("three", "2+2?", "4"),
    ]
    path = write_vision_r1_cold(rows, tmp_path / "out")
    again = load(path, "vision_r1_cold_llava")
    assert [(r.id, r.user, r.assistant) for r in again] == [(r.id, r.user, r.assistant) for r in rows]
    assert pixels(again) == pixels(rows)
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    record = json.loads(path.read_text())[0]
    assert record["image"] == "images/000000.png"
    assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"]
    second = write_vision_r1_cold(again, tmp_path / "again")
    assert second.read_bytes() == path.read_bytes()
    assert pixels(load(second, "sharegpt")) == pixels(rows)


def test_export_marks_images_and_refuses_what_cannot_be_read_back(tmp_path):
    image = BytesImage(png(), "a")
    path = write_vision_r1_cold([ChatRow("r", "Which?", TARGET, (image,))], tmp_path / "out")
    assert load(path, "sharegpt")[0].user == "<image>Which?"
    with pytest.raises(InputError, match="row 'r': 2 <image> marks, but 1 images"):
        write_vision_r1_cold([ChatRow("r", "<image><image>", TARGET, (image,))], tmp_path / "bad")
    with pytest.raises(InputError, match="no rows"):
        write_vision_r1_cold([], tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
