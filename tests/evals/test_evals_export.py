"""Predictions as VLMEvalKit loads them: with pandas, one table a model and data set."""

import ast
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.errors import ConfigError, InputError
from vision_r1.evals.benchmarks import Item
from vision_r1.evals.export import FAILED, MOST_CHARACTERS, export_vlmevalkit
from vision_r1.problems.drawing import BlankImage
from vision_r1.problems.problem import Problem


def load(path):
    """As `vlmeval.smp.load` does."""
    return pd.read_csv(path, sep="\t") if path.suffix == ".tsv" else pd.read_excel(path)


def item(name, raw=None, media=(), *, question="How long is AB?", answer="3", options=(), prompt=None):
    problem = Problem(str(name), question, answer, tuple(media), options=tuple(options))
    row = {"question": question, "answer": answer, **(raw or {})}
    return Item(problem, prompt or question, row, group=str(name))


def answered(items, *samples):
    return [
        {"id": one.problem.id, "sample_index": k, "text": text, "stop_reason": "eos", "error": None}
        for k, texts in enumerate(samples)
        for one, text in zip(items, texts, strict=True)
    ]


def one(items, texts, name, out, format="tsv"):
    (path,) = export_vlmevalkit(items, answered(items, texts), name, "m", out, format).paths
    return load(path)


NASTY = [
    '<think>\nA "quoted"\ttab,\r\nline; x = 1\n</think><answer>3</answer>',
    "=HYPERLINK(\"http://x\",\"y\")",
    "+1", "-1", "@SUM(A1)", "\ttab first", "emoji 😀 \u2028 中文", "", "NA", "null",
]  # fmt: skip


def test_the_table_is_where_and_what_vlmevalkit_expects(tmp_path):
    items = [
        item(k, {"index": 10 + k, "category": "c", "image": b"png"}, options=("3", "4")) for k in range(10)
    ]
    done = export_vlmevalkit(items, answered(items, NASTY), "MMStar", "org/My Model", tmp_path)
    assert done.paths == (tmp_path / "My-Model" / "My-Model_MMStar.tsv",) and done.missing == ()
    table = load(done.paths[0])
    assert table.columns[0] == "index" and table.columns[-1] == "prediction"
    assert set(table.columns) == {"index", "question", "answer", "A", "B", "category", "prediction"}
    assert list(table["index"]) == list(range(10, 20)) and set(table["B"]) == {4}
    # Empty, NA and null come back as missing values, as they do from VLMEvalKit's own files.
    assert (
        list(table["prediction"][:7]) == NASTY[:7]
        and list(table["prediction"].isna()) == [False] * 7 + [True] * 3
    )


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0"), min_size=1).map(lambda text: f"x{text}y"))
def test_any_answer_comes_back_from_tsv_as_it_was(tmp_path_factory, text):
    items = [item("a"), item("b")]
    table = one(items, [text, "end"], "MM-Math", tmp_path_factory.mktemp("out"))
    assert list(table["prediction"]) == [text.encode("utf-8", "replace").decode(), "end"]


def test_xlsx_holds_text_and_never_formulas(tmp_path):
    pytest.importorskip("openpyxl")
    items = [item(k, {"index": k}) for k in range(len(NASTY))]
    table = one(items, NASTY, "MME", tmp_path, "xlsx")
    assert list(table["prediction"][1:7]) == NASTY[1:7]
    assert table["prediction"][0] == NASTY[0].replace("\r\n", "\n")
    assert list(table["index"]) == list(range(len(NASTY)))
    sheet = zipfile.ZipFile(tmp_path / "m" / "m_MME.xlsx").read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert one(items[:1], ["a\x00b\x07c"], "MME", tmp_path, "xlsx")["prediction"][0] == "abc"


def test_a_long_chain_of_thought_is_refused_by_xlsx_and_whole_in_tsv(tmp_path):
    pytest.importorskip("openpyxl")
    items, long = [item("a", {"index": 7})], "x" * (MOST_CHARACTERS + 1)
    with pytest.raises(InputError, match=r"^row 7: prediction has 32,768 characters.*-- export as tsv"):
        one(items, [long], "MME", tmp_path, "xlsx")
    assert not list(tmp_path.rglob("*.xlsx"))
    assert len(one(items, [long[1:]], "MME", tmp_path, "xlsx")["prediction"][0]) == MOST_CHARACTERS
    assert one(items, [long], "MME", tmp_path)["prediction"][0] == long


def test_xlsx_without_openpyxl_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        InputError, match=r"need openpyxl, which is not installed -- pip install 'vision-r1\[export\]'"
    ):
        one([item("a")], ["3"], "MME", tmp_path, "xlsx")


def test_each_sample_is_a_model_of_its_own_and_a_failed_answer_is_asked_again(tmp_path):
    items = [item("a"), item("b")]
    answers = answered(items, ["a0", "b0"], ["a1", "b1"])[::-1]
    answers[0] |= {"text": "", "error": "timeout", "stop_reason": "error"}
    paths = export_vlmevalkit(items, answers, "MM-Math", "runs/m/", tmp_path).paths
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "m/m_MM-Math.tsv",
        "m-sample2/m-sample2_MM-Math.tsv",
    ]
    assert [list(load(path)["prediction"]) for path in paths] == [["a0", "b0"], ["a1", FAILED]]


def test_answers_of_other_questions_and_benchmarks_without_a_name_are_refused(tmp_path):
    items = [item("a"), item("b")]
    for answers in (answered(items[:1], ["x"]), answered([*items, item("c")], ["x", "y", "z"])):
        with pytest.raises(InputError, match="the answers are not those of these 2 questions"):
            export_vlmevalkit(items, answers, "MME", "m", tmp_path)
    with pytest.raises(ConfigError, match="VLMEvalKit does not have this benchmark"):
        export_vlmevalkit(items, answered(items, ["x", "y"]), None, "m", tmp_path)
    with pytest.raises(ConfigError, match="no name for a file"):
        export_vlmevalkit(items, answered(items, ["x", "y"]), "MME", "../..", tmp_path)
    assert not list(tmp_path.iterdir())


def test_mathvista_has_what_its_rule_reads(tmp_path):
    prompt = "<image>\nHint: choose.\nQuestion: How long is AB?\nChoices:\n(A) 3\n(B) 4"
    choices = ["3", "os.system('x')"]
    raw = {
        "pid": "12", "question_type": "multi_choice", "answer_type": "text", "choices": choices,
        "decoded_image": b"..", "metadata": {"task": "geometry", "skills": ["geometry reasoning"], "img_width": 9},
    }  # fmt: skip
    row = one([item("12", raw, options=choices, prompt=prompt)], ["3"], "MathVista_MINI", tmp_path).iloc[0]
    assert row["index"] == 12 and row["answer_option"] == "A" and row["task"] == "geometry"
    assert ast.literal_eval(row["choices"]) == choices
    assert ast.literal_eval(row["skills"]) == ["geometry reasoning"]
    assert row["question"] == prompt.removeprefix("<image>\n")


def test_mathverse_mathvision_and_chartqa_rename_what_the_releases_call_otherwise(tmp_path):
    raw = {
        "sample_index": "3",
        "question_for_eval": "q",
        "metadata": {"problem_version": "Text Lite", "subfield": "Angle"},
    }
    row = one([item("3", raw)], ["x"], "MathVerse_MINI", tmp_path).iloc[0]
    assert row["index"] == 3 and ast.literal_eval(row["metadata"])["subfield"] == "Angle"
    raw = {"id": "8", "options": ["1", "2"], "subject": "algebra"}
    row = one([item("8", raw, options=("1", "2"))], ["x"], "MathVision_MINI", tmp_path).iloc[0]
    assert row["category"] == "algebra" and ast.literal_eval(row["choices"]) == ["1", "2"]
    assert one([item("8", {"id": "8"})], ["x"], "MathVision", tmp_path)["choices"][0] == "[]"
    asked = Problem("c", "How many?", "5", meta={"family": "human"})
    chart = Item(asked, "How many?", {"query": "How many?", "label": "5", "type": "human"})
    row = one([chart], ["5"], "ChartQA_TEST", tmp_path).iloc[0]
    assert (row["question"], row["answer"], row["split"]) == ("How many?", 5, "test_human")


def test_dynamath_and_hallusionbench_get_the_index_their_rules_take_apart(tmp_path):
    items = [
        item(q, {"id": str(q), "variant": f"variant{v}", "n": v, "answer_type": "float"})
        for v in (1, 2)
        for q in range(3)
    ]
    items = [replace(one, problem=replace(one.problem, id=f"{one.group}:{one.raw['n']}")) for one in items]
    table = one(items, ["x"] * 6, "DynaMath", tmp_path)
    firsts = set(table[table["varid"] == 1]["index"])
    assert firsts == set(table["qid"]) and table["index"].is_unique
    raw = {
        "category": "VD", "subcategory": "figure", "visual_input": "1", "set_id": "4", "figure_id": "2",
        "question_id": "0", "gt_answer": "1",
    }  # fmt: skip
    items = [item("text only", raw, answer="yes"), item("h", raw, [BlankImage(9, 9)], answer="yes")]
    table = one(items, ["x", "y"], "HallusionBench", tmp_path)
    assert list(table["prediction"]) == ["y"], "VLMEvalKit asks only those with an image"
    row = table.iloc[0]
    assert row["index"].split("_")[3:] == ["4", "2", "0"]
    assert (row["answer"], row["l2-category"]) == ("Yes", "figure")


def test_what_the_rule_lacks_is_named(tmp_path):
    items = [item("a", {"difficulty": "easy"})]
    done = export_vlmevalkit(items, answered(items, ["x"]), "MM-Math", "m", tmp_path)
    assert done.missing == ("year", "knowledge_l1", "knowledge_l2")
    assert done.paths[0].is_file() and isinstance(done.paths[0], Path)
