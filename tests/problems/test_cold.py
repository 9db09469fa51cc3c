"""Vision-R1-cold joined to its images; the files are made here in the published layouts."""

import json
import tracemalloc

import pytest
from data_files import png

from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.problems.chat import load_chat_rows
from vision_r1.problems.cold import cold_files, join_cold
from vision_r1.problems.config import ChatData

TARGET = "<think> Hmm. Wait. </think><answer> Final Answer:B </answer>"
LLAVA, MULBERRY = "vision_r1_cold_llava", "vision_r1_cold_mulberry"


def picture(path, color=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(color))


def llava(image, *asked, **more):
    turns = [
        {"from": role, "value": text}
        for ask in asked or ("<image>\nWhich?",)
        for role, text in (("human", ask), ("gpt", TARGET))
    ]
    return {"conversations": turns, "image": image, **more}


def mulberry(images, asked="<image>\nWhich?"):
    return {
        "conversations": [{"from": "user", "value": asked}, {"from": "assistant", "value": TARGET}],
        "images": images,
    }


def published(folder, llava_rows=None, mulberry_rows=None):
    for name, rows in (
        ("vision_r1_llava_cot_full", llava_rows),
        ("vision_r1_mulberry_sft_full", mulberry_rows),
    ):
        if rows is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(rows))
    return cold_files(folder)


def load(out, layout, name):
    section = {"path": str(out / name.replace("_full", "_joined.json")), "layout": layout}
    return load_chat_rows(validate(ChatData, section))


@pytest.fixture
def images(tmp_path):
    picture(tmp_path / "sets" / "llava" / "image" / "coco" / "1.jpg", (9, 0, 0))
    picture(tmp_path / "sets" / "mulberry_images" / "AI2D" / "images" / "7.png", (7, 0, 0))
    return [tmp_path / "sets" / "llava", tmp_path / "sets"]


def test_rows_are_joined_to_their_images_and_read_back(tmp_path, images):
    files = published(
        tmp_path / "cold",
        [llava("coco/1.jpg", id="a"), llava("llava_cot_images/coco/1.jpg", "What?", id="b")],
        [
            mulberry("mulberry_images/AI2D/images/7.png"),
            mulberry(["AI2D/images/7.png"]),
            mulberry("/data/of/authors/mulberry_images/AI2D/images/7.png"),
        ],
    )
    out = tmp_path / "out"
    joined = join_cold(files, images, out)
    assert [(each.rows, each.joined, each.written, each.marked) for each in joined.values()] == [
        (2, 2, 2, 1),
        (3, 3, 3, 0),
    ]
    first, second = load(out, LLAVA, "vision_r1_llava_cot_full")
    assert (first.id, first.user, first.assistant) == ("a", "<image>\nWhich?", TARGET)
    assert second.user == "<image>What?" and first.media == second.media
    assert first.media[0].load().getpixel((0, 0))[0] in range(5, 13)
    rows = load(out, MULBERRY, "vision_r1_mulberry_sft_full")
    assert len(rows) == 3 and len({row.media[0].key for row in rows}) == 1
    info = json.loads((out / "dataset_info.json").read_text())
    assert info["vision_r1_mulberry_sft_full"] == {
        "file_name": "vision_r1_mulberry_sft_joined.json", "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "user", "assistant_tag": "assistant"},
    }  # fmt: skip
    assert set(info) == {"vision_r1_llava_cot_full", "vision_r1_mulberry_sft_full"}
    assert (out / "misses.jsonl").read_text() == ""
    assert (out / "llava_cot_images" / "coco" / "1.jpg").stat().st_nlink == 2


def test_misses_are_counted_by_folder_and_listed(tmp_path, images):
    picture(tmp_path / "secret.png")
    (tmp_path / "sets" / "llava" / "image" / "coco" / "out.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "sets" / "llava" / "image" / "coco" / "empty.png").write_bytes(b"")
    rows = [
        llava("coco/1.jpg", id="good"),
        llava("sqa/train/5/image.png", id="gone"),
        llava("sqa/train/6/image.png"),
        llava("gqa/1.png"),
        llava("../secret.png"),
        llava("coco/out.png"),
        llava("coco/empty.png"),
        llava("coco/1.jpg", "<image> <image>"),
        {"conversations": [], "image": "coco/1.jpg"},
    ]
    out = tmp_path / "out"
    result = join_cold(published(tmp_path / "cold", rows), images, out)[LLAVA]
    assert (result.rows, result.joined) == (9, 1)
    assert dict(result.misses) == {"sqa/train": 2, "gqa": 1, "outside the image folder": 1, "coco": 2}
    assert sum(result.faults.values()) == 2 and result.rows == result.joined + 2 + sum(result.misses.values())
    listed = [json.loads(line) for line in (out / "misses.jsonl").read_text().splitlines()]
    assert len(listed) == 8 and listed == result.examples
    assert listed[0] == {
        "file": "vision_r1_llava_cot_full", "row": "row 2", "id": "gone", "reason": "no image",
        "image": "sqa/train/5/image.png",
    }  # fmt: skip
    assert json.loads((out / "join.json").read_text())["vision_r1_llava_cot_full"]["misses"]["sqa/train"] == 2
    assert [row.id for row in load(out, LLAVA, "vision_r1_llava_cot_full")] == ["good"]
    assert not [
        path
        for path in out.rglob("*")
        if path.is_file() and path.read_bytes() == (tmp_path / "secret.png").read_bytes()
    ]


def test_the_published_folder_itself_can_be_the_output(tmp_path):
    folder = tmp_path / "vision_r1_cold"
    picture(folder / "llava_cot_images" / "coco" / "1.jpg")
    files = published(folder, [llava("coco/1.jpg", id="a"), llava("coco/2.jpg", id="b")])
    (folder / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    join_cold(files, [folder], folder)
    assert [row.id for row in load(folder, LLAVA, "vision_r1_llava_cot_full")] == ["a"]
    assert len(json.loads(files[LLAVA].read_text())) == 2
    assert set(json.loads((folder / "dataset_info.json").read_text())) == {"mine", "vision_r1_llava_cot_full"}
    assert (folder / "llava_cot_images" / "coco" / "1.jpg").stat().st_nlink == 1


def test_conversations_of_several_exchanges_become_rows(tmp_path, images):
    files = published(tmp_path / "cold", [llava("coco/1.jpg", "<image>\nOne?", "Two?", id="a")])
    result = join_cold(files, images, tmp_path / "out")[LLAVA]
    assert (result.split, result.joined, result.written, result.marked) == (1, 1, 2, 1)
    rows = load(tmp_path / "out", LLAVA, "vision_r1_llava_cot_full")
    assert [(row.id, row.user) for row in rows] == [("a", "<image>\nOne?"), ("a-2", "<image>Two?")]


def test_nothing_joined_is_an_error_that_says_what_to_do(tmp_path, images):
    files = published(tmp_path / "cold", [llava("nowhere/1.jpg")])
    with pytest.raises(
        InputError, match=r"not one of 1 rows .* nowhere/1\.jpg -- name the folder llava_cot_images"
    ):
        join_cold(files, images, tmp_path / "out")
    with pytest.raises(InputError, match=r"holds neither vision_r1_llava_cot_full\.json or"):
        cold_files(tmp_path)
    with pytest.raises(InputError, match="no such image folder"):
        join_cold(files, [tmp_path / "none"], tmp_path / "out")


def test_a_broken_file_leaves_no_joined_one(tmp_path, images):
    files = published(tmp_path / "cold", [llava("coco/1.jpg")])
    path = files[LLAVA]
    path.write_text(path.read_text()[:-1])
    with pytest.raises(InputError, match="line 1: not valid JSON"):
        join_cold(files, images, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").iterdir() if p.is_file()]


def test_the_file_is_never_held_whole(tmp_path, images):
    long = TARGET + "x" * 20_000
    rows = [llava("coco/1.jpg") | {"id": str(i)} for i in range(1500)]
    for row in rows:
        row["conversations"][1]["value"] = long
    files = published(tmp_path / "cold", rows)
    del rows
    tracemalloc.start()
    steps = []
    join_cold(files, images, tmp_path / "out", lambda name, done: steps.append(done))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert steps[-1] == 1500 and peak < files[LLAVA].stat().st_size / 3
