"""OUT/data and the exports: they load in `datasets`, and give back the texts and pixels of the rows."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from made_up_rows import encoded, make_construction, record, write_rows
from vision_r1.construct import image_tables
from vision_r1.construct.dataset import write_dataset
from vision_r1.construct.export import FORMS, export_construction
from vision_r1.construct.export.turns import content_parts
from vision_r1.construct.images import ImageStore
from vision_r1.construct.record import Record
from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.models.processor_load import load_processor
from vision_r1.problems.chat import load_chat_rows
from vision_r1.problems.config import ChatData, DatasetData
from vision_r1.problems.images import BytesImage
from vision_r1.problems.load import load_problems


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    make_construction(folder)
    return folder


@pytest.fixture(scope="module")
def kept(out) -> list[Record]:
    from vision_r1.construct.row_files import read_rows

    return list(read_rows(out / "rows", kept=True))


def pixels(out: Path, row: Record) -> list[np.ndarray]:
    store = ImageStore(out / "images")
    found = []
    for name in row.images:
        with Image.open(io.BytesIO(store.read(name))) as image:
            found.append(np.asarray(image.convert("RGB")))
    return found


def same_pixels(one, other) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(np.asarray(a.convert("RGB")), b) for a, b in pairs)


def firsts(rows: list[Record]) -> list[Record]:
    """The first row of each problem."""
    return list({row.problem: row for row in reversed(rows)}.values())[::-1]


def loaded(*args, **settings):
    from datasets import load_dataset

    return load_dataset(*args, **settings, split="train")


def test_the_datasets_directory_loads_with_images_and_provenance(out, kept, tmp_path):
    assert write_dataset(out) == len(kept)
    data = loaded(str(out / "data"), cache_dir=str(tmp_path))
    assert data.features["images"].feature.__class__.__name__ == "Image"
    assert len(data) == len(kept)
    for line, row in zip(data, kept, strict=True):
        assert (line["id"], line["question"], line["response"]) == (row.id, row.question, row.final_text)
        assert (line["options"], line["answer"], line["verdict"]) == (
            list(row.options),
            row.answer,
            row.verdict,
        )
        assert line["requests"][0]["key"] == row.requests[0].key
        assert same_pixels(line["images"], pixels(out, row))
    again = loaded("parquet", data_dir=str(out / "data"), cache_dir=str(tmp_path))
    assert again["id"][:] == data["id"][:]


def test_the_datasets_directory_loads_here_as_conversations_and_as_problems(out, kept):
    write_dataset(out)
    chats = load_chat_rows(
        validate(ChatData, {"path": str(out / "data/train-00000.parquet"), "layout": "plain"})
    )
    assert [(chat.user, chat.assistant) for chat in chats] == [(row.question, row.final_text) for row in kept]
    assert all(
        same_pixels([m.load() for m in c.media], pixels(out, r)) for c, r in zip(chats, kept, strict=True)
    )
    problems = load_problems(validate(DatasetData, {"name": str(out / "data")}))
    assert [(p.id, p.answer, p.options, p.answer_type) for p in problems] == [
        (row.id, row.answer, row.options, row.answer_type) for row in kept
    ]


def test_the_card_counts_and_no_name_breaks_out_of_it(tmp_path):
    rows = [
        record(1, source="a | b\n# <img src=x> [x](javascript:1)", kept=True, final_text="x"),
        record(2, kept=False),
    ]
    write_rows(tmp_path, rows)
    write_dataset(tmp_path)
    text = (tmp_path / "data" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "train-*.parquet"}]
    assert "1 rows of 1 problems; 2 rows were made" in text
    assert r"| a \| b \# \<img src=x\> \[x\]\(javascript\:1\) | 1 | 1 |" in text


def test_equal_rows_give_equal_bytes_and_files_are_cut_by_rows_and_bytes(out, kept, tmp_path, monkeypatch):
    def contents():
        return {path.name: path.read_bytes() for path in (out / "data").iterdir()}

    write_dataset(out)
    before = contents()
    write_dataset(out)
    assert contents() == before
    monkeypatch.setattr(image_tables, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(image_tables, "ROWS_PER_FILE", 6)
    write_dataset(out)
    sizes = [pq.read_metadata(path).num_rows for path in sorted((out / "data").glob("train-*"))]
    assert sizes[:-1] == [6] * (len(sizes) - 1)
    assert sum(sizes) == len(kept)
    monkeypatch.setattr(image_tables, "BYTES_PER_FILE", 1)
    write_dataset(out)
    assert {pq.read_metadata(p).num_rows for p in sorted((out / "data").glob("train-*"))[:-1]} == {2}
    assert len(loaded(str(out / "data"), cache_dir=str(tmp_path))) == len(kept)


def test_cold_start_files_of_both_layouts_come_back(out, kept, tmp_path):
    dest = tmp_path / "cold"
    assert export_construction(out, "vision-r1-cold", dest) == len(kept)
    found = {}
    for name, layout in (
        ("vision_r1_llava_cot_full", "vision_r1_cold_llava"),
        ("vision_r1_mulberry_sft_full", "vision_r1_cold_mulberry"),
    ):
        path = dest / f"{name}.json"
        chats = load_chat_rows(validate(ChatData, {"path": str(path), "layout": layout}))
        found |= {chat.id: (layout, chat) for chat in chats}
        assert len(loaded("json", data_files=str(path), cache_dir=str(tmp_path / "cache"))) == len(chats)
    assert set(found) == {row.id for row in kept}
    for row in kept:
        layout, chat = found[row.id]
        assert layout.endswith("mulberry") == ("Mulberry" in row.source)
        assert (chat.user, chat.assistant) == (row.question, row.final_text)
        assert same_pixels([media.load() for media in chat.media], pixels(out, row))


def as_llama_factory_reads(folder: Path, name: str) -> list[tuple[str, str, list[str]]]:
    """(user, assistant, images) by the entry of dataset_info.json alone."""
    info = json.loads((folder / "dataset_info.json").read_text())[name]
    assert info["formatting"] == "sharegpt"
    columns, tags = info["columns"], info["tags"]
    rows = []
    for row in json.loads((folder / info["file_name"]).read_text()):
        user, assistant = row[columns["messages"]]
        assert (user[tags["role_tag"]], assistant[tags["role_tag"]]) == (
            tags["user_tag"],
            tags["assistant_tag"],
        )
        images = row[columns["images"]]
        listed = images if isinstance(images, list) else [images]
        rows.append((user[tags["content_tag"]], assistant[tags["content_tag"]], listed))
    return rows


def test_dataset_info_names_what_is_there(out, kept, tmp_path):
    export_construction(out, "vision-r1-cold", tmp_path / "cold")
    rows = [
        row
        for name in ("vision_r1_llava_cot_full", "vision_r1_mulberry_sft_full")
        for row in as_llama_factory_reads(tmp_path / "cold", name)
    ]
    assert sorted(row[:2] for row in rows) == sorted((row.question, row.final_text) for row in kept)
    for user, _, images in rows:
        assert user.count("<image>") == len(images) == 1
        assert (tmp_path / "cold" / images[0]).is_file()


def test_the_image_column_is_text_or_lists_never_both(tmp_path):
    store = ImageStore(tmp_path / "images")
    two = tuple(store.keep(BytesImage(encoded(n), "row")) for n in range(2))
    rows = [
        record(0, kept=True, final_text="x", images=two[:1]),
        record(2, kept=True, final_text="y", images=two, question="<image><image>Which?"),
        record(5, kept=True, final_text="z", question="What is 2+2?"),
    ]
    write_rows(tmp_path, rows)
    export_construction(tmp_path, "vision-r1-cold", tmp_path / "cold")
    written = json.loads((tmp_path / "cold" / "vision_r1_llava_cot_full.json").read_text())
    assert sorted(len(row["image"]) for row in written) == [0, 1, 2]
    assert list(json.loads((tmp_path / "cold" / "dataset_info.json").read_text())) == [
        "vision_r1_llava_cot_full"
    ]
    export_construction(tmp_path, "trl", tmp_path / "trl")
    data = loaded(str(tmp_path / "trl"), cache_dir=str(tmp_path / "cache"))
    assert sorted(len(row["images"]) for row in data) == [0, 1, 2]


def test_trl_rows_have_an_image_part_for_each_mark(out, kept, tmp_path):
    export_construction(out, "trl", tmp_path / "trl")
    data = loaded(str(tmp_path / "trl"), cache_dir=str(tmp_path / "cache"))
    assert len(data) == len(kept)
    for line, row in zip(data, kept, strict=True):
        ((prompt,), (completion,)) = line["prompt"], line["completion"]
        assert (prompt["role"], completion["role"]) == ("user", "assistant")
        assert completion["content"] == row.final_text
        text = "".join(part["text"] if part["type"] == "text" else "<image>" for part in prompt["content"])
        assert text == row.question
        assert same_pixels(line["images"], pixels(out, row))


def test_trl_collates_the_rows_with_their_images(out, tmp_path, random_model_dir):
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    export_construction(out, "trl", tmp_path / "trl")
    data = loaded(str(tmp_path / "trl"), cache_dir=str(tmp_path / "cache"))
    processor = load_processor(str(random_model_dir))
    collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    batch = collate([data[0], data[1]])
    image_tokens = (batch["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum()
    merged = batch["image_grid_thw"].prod(-1).sum() // processor.image_processor.merge_size**2
    assert image_tokens == merged > 0
    learned = batch["input_ids"][0][batch["labels"][0] != -100]
    assert data[0]["completion"][0]["content"] in processor.tokenizer.decode(learned)


@pytest.mark.parametrize("layout", ["geometry3k", "vision_r1_rl"])
def test_easyr1_problems_come_back(out, kept, tmp_path, layout):
    dest, wanted = tmp_path / "rl", firsts(kept)
    assert export_construction(out, "easyr1", dest) == len(wanted) < len(kept)
    data = loaded("parquet", data_dir=str(dest), cache_dir=str(tmp_path / "cache"))
    assert data.column_names == ["images", "problem", "answer"]
    problems = load_problems(validate(DatasetData, {"name": str(dest), "layout": layout}))
    for problem, line, row in zip(problems, data, wanted, strict=True):
        assert (
            (problem.question, problem.answer)
            == (line["problem"], line["answer"])
            == (row.question, row.answer)
        )
        assert same_pixels([media.load() for media in problem.media], pixels(out, row))
        assert same_pixels(line["images"], pixels(out, row))


def test_verl_rows_have_its_columns(out, kept, tmp_path):
    wanted = firsts(kept)
    assert export_construction(out, "verl", tmp_path / "verl") == len(wanted)
    data = loaded(
        "parquet", data_files=str(tmp_path / "verl" / "train-00000.parquet"), cache_dir=str(tmp_path)
    )
    for index, (line, row) in enumerate(zip(data, wanted, strict=True)):
        assert line["prompt"] == [{"role": "user", "content": row.question}]
        assert line["reward_model"] == {"style": "rule", "ground_truth": row.answer}
        assert (line["data_source"], line["extra_info"]["index"]) == (row.source, index)
        assert line["extra_info"]["id"] == row.problem
        assert same_pixels(line["images"], pixels(out, row))


@pytest.mark.parametrize("form", sorted(FORMS))
def test_ids_and_sources_from_outside_name_no_files(tmp_path, form):
    image = ImageStore(tmp_path / "o" / "images").keep(BytesImage(encoded(1), "row"))
    rows = [
        record(
            1, kept=True, final_text="x", source="../../up", source_id="/etc/x", id="../a", images=(image,)
        )
    ]
    write_rows(tmp_path / "o", rows)
    export_construction(tmp_path / "o", form, tmp_path / "dest")
    names = {path.name for path in (tmp_path / "dest").rglob("*") if path.is_file()}
    assert names <= {
        "vision_r1_llava_cot_full.json", "dataset_info.json", "vision_r1_export.json", "train-00000.parquet",
        image.partition("/")[2],
    }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"o", "dest"}


def test_an_image_name_from_elsewhere_is_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(1))
    write_rows(tmp_path / "o", [record(1, kept=True, final_text="x", images=("../../secret.png",))])
    for form in FORMS:
        with pytest.raises(InputError, match="no name of a kept image"):
            export_construction(tmp_path / "o", form, tmp_path / "dest")
        assert not (tmp_path / "dest").exists()


def test_what_cannot_be_exported_is_one_line(out, tmp_path):
    with pytest.raises(InputError, match="did you mean 'easyr1'"):
        export_construction(out, "easyr", tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(InputError, match="is not empty and holds no earlier export"):
        export_construction(out, "trl", tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    write_rows(tmp_path / "none", [record(1, kept=False)])
    with pytest.raises(InputError, match="no row was kept"):
        export_construction(tmp_path / "none", "trl", tmp_path / "x")
    export_construction(out, "trl", tmp_path / "x")
    export_construction(out, "easyr1", tmp_path / "x")
    assert json.loads((tmp_path / "x" / "vision_r1_export.json").read_text())["to"] == "easyr1"
    write_rows(tmp_path / "bad", [record(1, kept=True, final_text="x", images=(), question="<image>?")])
    with pytest.raises(InputError, match="1 <image> marks, but 0 images"):
        export_construction(tmp_path / "bad", "trl", tmp_path / "y")


def test_marks_become_parts():
    assert content_parts("<image>a<image>") == [
        {"type": "image", "text": None}, {"type": "text", "text": "a"}, {"type": "image", "text": None},
    ]  # fmt: skip
    assert content_parts("plain") == [{"type": "text", "text": "plain"}]


def test_writing_outputs_loads_nothing_heavy():
    code = (
        "import sys, vision_r1.construct.export, vision_r1.construct.dataset\n"
        "print(sorted({'datasets', 'trl', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
