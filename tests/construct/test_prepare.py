"""What is done before the first request: every image decoded once, in the next call none."""

import json

import pytest

from seen_images import picture, unread
from vision_r1.construct import dedupe, prepare
from vision_r1.construct.build import SEEN, read_sets
from vision_r1.construct.config import Construction
from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Silent

ROLE = {"endpoints": [{"url": "http://127.0.0.1:9/v1"}]}


class Said(Silent):
    def __init__(self):
        self.lines, self.stages, self.done = [], {}, 0

    def say(self, text):
        self.lines.append(text)

    def start(self, stage, total, unit="step"):
        self.stages[stage, unit] = total

    def advance(self, done, **fields):
        self.done = done


def write_set(folder, rows):
    """A table whose rows have an image each, named by its number."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(8):
        (folder / f"{index}.png").write_bytes(picture(index))
    (folder / "cut.png").write_bytes(picture(0)[:-400])
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"kind": "file", "path": str(folder / "rows.jsonl")}


def row(index, image=None, **changes):
    asked = {"id": f"q{index}", "question": f"How many squares are there in number {index}?", "answer": "3"}
    return {**asked, "image": f"{index if image is None else image}.png", **changes}


def config(data, evaluation=None, **changes):
    mllm, reasoner = {"model": "eyes", **ROLE}, {"model": "mind", **ROLE}
    made = {"data": {"set": data}, "evaluation": evaluation or {}, "mllm": mllm, "reasoner": reasoner}
    return validate(Construction, made | changes)


def summed(prepared):
    kept = [prepared.origins[problem.id].source_id for problem in prepared.problems]
    return sorted(kept), sorted((each.origin.source_id, each.reason) for each in prepared.rejected)


@pytest.fixture
def data(tmp_path):
    rows = [*(row(index) for index in range(6)), row(1, id="twin"), row(6, "cut")]
    rows.append(row(2, id="please", question="Please, how many squares are there in the given number 2?"))
    return write_set(tmp_path / "set", rows)


@pytest.mark.parametrize("near", [True, False])
def test_the_next_call_opens_no_image_and_finds_the_same(data, tmp_path, monkeypatch, near):
    bench = {"bench": write_set(tmp_path / "bench", [row(0, question="What is this?"), row(99, 7)])}
    settings = config(data, bench, near_duplicates=near)
    progress = Said()
    first = read_sets(settings, tmp_path / "out", progress)
    expected = {("q6", "corrupt_image"), ("q0", "contaminated")}
    expected |= {("please", "near_duplicate")} if near else set()
    rejected = set(summed(first)[1])
    assert expected <= rejected and {reason for _, reason in rejected - expected} == {"duplicate"}
    assert progress.stages["read set", "image"] == 9 and progress.stages["read bench", "image"] == 2
    unread(monkeypatch)
    assert read_sets(settings, tmp_path / "out", Silent()) == first


def test_without_near_duplicates_and_evaluation_no_image_is_compared(data, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("compared")

    for module, name in ((prepare, "fingerprint"), (prepare, "find_duplicates"), (dedupe, "near_pairs")):
        monkeypatch.setattr(module, name, refuse)
    prepared = read_sets(config(data, near_duplicates=False), tmp_path / "out", Silent())
    kept, rejected = summed(prepared)
    assert len(kept) == 7 and sorted(reason for _, reason in rejected) == ["corrupt_image", "duplicate"]


def test_exact_duplicates_are_those_of_the_full_search(data, tmp_path):
    found = [
        [each for each in summed(read_sets(settings, tmp_path / "out", Silent()))[1] if "near" not in each[1]]
        for settings in (config(data, near_duplicates=False), config(data))
    ]
    assert found[0] == found[1]


def test_parts_share_what_one_of_them_saw(data, tmp_path, monkeypatch):
    first = read_sets(config(data), tmp_path / "out" / "pilot", Silent(), tmp_path / "out")
    assert (tmp_path / "out" / SEEN).exists() and not (tmp_path / "out" / "pilot" / SEEN).exists()
    unread(monkeypatch)
    assert (
        read_sets(config(data), tmp_path / "out" / "shard-0001-of-0002", Silent(), tmp_path / "out") == first
    )


def test_rows_of_an_evaluation_set_that_cannot_be_read_are_counted(data, tmp_path):
    rows = [
        row(0, answer=""),
        row(1, answer="E", options=["1", "2"], id="same"),
        row(2, "cut", id="same"),
        row(3, question=" "),
        row(4, id="same"),
    ]
    progress = Said()
    prepared = read_sets(config(data, {"b": write_set(tmp_path / "b", rows)}), tmp_path / "out", progress)
    assert prepared.unread == {"b": {"corrupt_image": 1, "no_question": 1}}
    kept, rejected = summed(prepared)
    fell = {name for name, reason in rejected if reason in ("contaminated", "duplicate")}
    assert fell == {"q0", "q1", "twin", "q4"} and "q2" in kept + [name for name, _ in rejected]
    line = "b: 2 of 5 rows cannot be read and are not kept clear of (corrupt_image 1, no_question 1)"
    assert line in progress.lines
    assert prepared.part(1, 2).unread == prepared.first(1).unread == prepared.unread


def test_an_evaluation_set_needs_no_answers(data, tmp_path):
    rows = [{"question": "What is this?", "image": f"{index}.png"} for index in (3, 3, 4)]
    prepared = read_sets(config(data, {"b": write_set(tmp_path / "b", rows)}), tmp_path / "out", Silent())
    assert {("q3", "contaminated"), ("q4", "contaminated")} <= set(summed(prepared)[1])
    assert prepared.unread == {"b": {}}


def test_an_evaluation_set_of_which_nothing_can_be_read_is_refused(data, tmp_path):
    rows = [row(0, "none"), row(1, "none")]
    with pytest.raises(InputError, match=r"evaluation set b, line 1: no row of 2 can be read.*none\.png"):
        read_sets(config(data, {"b": write_set(tmp_path / "b", rows)}), tmp_path / "out", Silent())
