"""Small files in the layouts of the published sets, made here."""

import json

import pytest
from data_files import png
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.problems import load_problems
from vision_r1.problems.config import DatasetData, FileData
from vision_r1.problems.layouts import located
from vision_r1.problems.lenient import load_problems_leniently


def picture(folder, name, color=(1, 2, 3)):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(color))


def load(path, **settings):
    return load_problems(validate(FileData, {"path": str(path), **settings}))


def said(conclusion):
    return (
        "<SUMMARY> I will look. </SUMMARY>\n\n<CAPTION> A map. </CAPTION>\n\n"
        f"<REASONING> The answer is not A. </REASONING>\n\n<CONCLUSION> {conclusion} </CONCLUSION>"
    )


def talk(*texts):
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


ALASKA = "What is the capital of Alaska?\nContext: N/A\nOptions: (A) Seattle (B) Juneau"


def llava_cot(folder, rows):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("unpacked", ["", "image", "image_files", "llava_cot_images"])
def test_llava_cot(tmp_path, unpacked):
    picture(tmp_path / unpacked, "sqa/train/8125/image.png")
    picture(tmp_path / unpacked, "coco/train2017/000000136235.jpg", (9, 9, 9))
    rows = [
        {
            "id": "1ade", "image": "sqa/train/8125/image.png",
            "conversations": talk(ALASKA, said("Juneau is the capital of Alaska. The answer is B.")),
        },
        {
            "id": "101d", "image": "coco/train2017/000000136235.jpg",
            "conversations": talk(
                "<image>\nWhat color is it?\nA. blue\nB. green", said("B"), "How many planes are there?", said("3")
            ),
        },
    ]  # fmt: skip
    path = llava_cot(tmp_path, rows)
    alaska, color, planes = load(path, layout="llava_cot")
    assert (alaska.id, alaska.question) == ("1ade", ALASKA)
    assert (alaska.options, alaska.answer_type) == (("Seattle", "Juneau"), "choice")
    assert alaska.answer == "Juneau is the capital of Alaska. The answer is B."
    assert (alaska.meta["family"], color.meta["family"]) == ("sqa", "coco")
    assert alaska.prompt == ALASKA
    assert (color.id, color.options, color.answer) == ("101d", ("blue", "green"), "B")
    assert color.question.startswith("<image>\nWhat color")
    assert (planes.id, planes.question, planes.answer) == ("101d-2", "How many planes are there?", "3")
    assert planes.media == color.media and color.media[0].load().getpixel((0, 0))[0] in range(5, 13)
    assert [p.id for p in load(path, layout="llava_cot", turns="first")] == ["1ade", "101d"]


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ([], "expected turns of human and gpt; found none"),
        (talk("q", said("1"), "q"), "found human, gpt, human"),
        ([{"from": "gpt", "value": "x"}, {"from": "human", "value": "y"}], "found gpt, human"),
        ([{"from": "human"}, {"from": "gpt", "value": "y"}], r"found \?, gpt"),
        (talk("q", "<CONCLUSION> cut off"), "the problem has no answer"),
        (talk("q", "</CONCLUSION> turned <CONCLUSION>"), "the problem has no answer"),
        (talk("", said("1")), "the question is empty"),
    ],
)
def test_llava_cot_rows_that_are_none(tmp_path, conversation, message):
    picture(tmp_path, "a.png")
    path = llava_cot(tmp_path, [{"id": "x", "image": "a.png", "conversations": conversation}])
    with pytest.raises(InputError, match=rf"train\.jsonl, line 1.*{message}"):
        load(path, layout="llava_cot")


TASK = (
    "<image>Generate an image description based on the question.\nThen, provide a rationale to analyze the "
    "question.\n\nFormat your response with the following sections, separated by ###:\n### Image Description:\n"
    "### Step 1:\n...\n### The final answer is: \n\nQuestion: "
)
CHOICES = "Choices:\nA: 80°\nB: 60°"


def searched(answer):
    return f"### Image Description:\nA triangle.\n\n### Step 1:\nLook.\n\n### The final answer is:\n{answer}"


def mulberry(folder, rows):
    path = folder / "mulberry_sft.json"
    messages = [
        {
            "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}],
            "images": images,
        }
        for asked, answered, images in rows
    ]
    path.write_text(json.dumps(messages, indent=4))
    return path


def test_mulberry(tmp_path):
    picture(tmp_path, "mulberry_images/geoqa_plus/213.png")
    picture(tmp_path, "mulberry_images/cauldron/clevr/images/clevr_1.png")
    retracted = (
        searched("A: 80°") + "\n\nI think I have made a mistake. Let me rethink it.\n\n" + searched("B: 60°")
    )
    rows = [
        (f"{TASK}What is angle BAE?\n{CHOICES}", searched("B: 60°"), "geoqa_plus/213.png"),
        ("<image>\nQuestion: how many cubes?", searched("3"), ["mulberry_images/cauldron/clevr/images/clevr_1.png"]),
        (f"{TASK}What is angle ABE?\n{CHOICES}", retracted, "geoqa_plus/213.png"),
    ]  # fmt: skip
    angle, cubes, again = load(mulberry(tmp_path, rows), layout="mulberry")
    assert angle.question == f"What is angle BAE?\n{CHOICES}"
    assert (angle.options, angle.answer) == (("80°", "60°"), "B: 60°")
    assert (cubes.question, cubes.answer, cubes.options) == ("how many cubes?", "3", ())
    assert again.answer == "B: 60°"
    assert [p.meta["family"] for p in (angle, cubes)] == ["geoqa_plus", "clevr"]
    assert len({angle.id, cubes.id, again.id}) == 3


def test_mulberry_without_a_final_answer(tmp_path):
    picture(tmp_path, "a/1.png")
    path = mulberry(tmp_path, [("Question: how many?", "I am not sure.", "a/1.png")])
    with pytest.raises(
        InputError, match=r"mulberry_sft\.json, row 1, field 'answer': the problem has no answer"
    ):
        load(path, layout="mulberry")


def test_we_math(tmp_path):
    picture(tmp_path, "2steps/image/1-1.png")
    row = {
        "ID": "2steps_1", "split": "testmini", "knowledge concept": "Length", "question": "OA = ( ) m",
        "option": "A. 300, 400;B. 3000, 4000; C. No correct answer", "answer": "B",
        "image_path": "2steps/image/1-1.png", "key": "2steps_1", "question number": 1,
    }  # fmt: skip
    path = tmp_path / "testmini.json"
    path.write_text(json.dumps([row, row | {"key": "2steps_2", "question": "OB?"}]))
    one, two = load(path, layout="we_math", gold="letter")
    assert (one.options, one.answer) == (("300, 400", "3000, 4000", "No correct answer"), "B")
    assert (one.meta["family"], two.meta["level"]) == ("Length", "2steps_2") and one.id != two.id


def test_scemqa(tmp_path):
    picture(tmp_path, "Multiple_Choice/Math/1.jpg")
    picture(tmp_path, "Free_Response/Math_Free_Response/1.png")
    key = "Answer (final answer highlighted)"
    choice = {"Question": "At which x?\n\nA. a\nB. b", key: "B", "ImagePath": "Math/1"}
    free = {
        "Question": "The height?",
        key: "\\answer{69.5} The same as.",
        "ImagePath": "Math_Free_Response/1",
    }
    (tmp_path / "Multiple_Choice" / "multiple_choice.json").write_text(json.dumps({"Math": [choice]}))
    path = tmp_path / "Free_Response" / "free_response.json"
    path.write_text(json.dumps({"Math_Free_Response": [free]}))
    (one,) = load(tmp_path / "Multiple_Choice" / "multiple_choice.json", layout="scemqa")
    assert (one.options, one.answer, one.meta["family"]) == (("a", "b"), "B", "Math")
    (two,) = load(path, layout="scemqa")
    assert (two.answer, two.options, two.meta["family"], len(two.media)) == ("69.5", (), "Math", 1)
    path.write_text(json.dumps({"Math_Free_Response": [free | {key: "\\answer{3.397} \\answer{3}"}]}))
    with pytest.raises(InputError, match=r"entry 'Math_Free_Response', row 1, .*2 different answers"):
        load(path, layout="scemqa")


def test_polymath_as_a_folder_of_images(tmp_path):
    picture(tmp_path, "test/a_q1.png")
    (tmp_path / "test" / "metadata.jsonl").write_text(
        json.dumps(
            {
                "file_name": "a_q1.png",
                "category": "odd_one_out",
                "final_answer": "3",
                "final_answer_range": "1-4",
            }
        )
    )
    (one,) = load_problems(
        validate(DatasetData, {"name": str(tmp_path), "split": "test", "layout": "polymath"})
    )
    assert (one.answer, one.meta["family"], len(one.media)) == ("3", "odd_one_out", 1)
    assert one.question == (
        "Solve the question in the image. Its options are 1-4. Answer with the name of the right option."
    )


def test_mathvision_takes_the_decoded_image(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {
        "id": "4", "question": "Which of <image1> or <image2>?", "options": ["A", "B"], "image": "images/4.jpg",
        "decoded_image": {"bytes": png(), "path": "4.jpg"}, "answer": "B", "level": 2, "subject": "counting",
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test-00000-of-00001.parquet")
    section = {"name": str(tmp_path), "split": "test", "layout": "mathvision", "marks": "one_image"}
    (one,) = load_problems(validate(DatasetData, section))
    assert (one.answer, one.media[0].load().size) == ("B", (8, 6))


def test_geometry3k_with_choices_takes_the_letter(tmp_path):
    picture(tmp_path, "a.png")
    row = {
        "problem": "<image>Find x.",
        "answer": "10",
        "ground_truth": "A",
        "choices": ["10", "11"],
        "images": ["a.png"],
    }
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (one,) = load(path, layout="geometry3k")
    assert (one.answer, one.options) == ("A", ("10", "11"))


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "image/../../secret.png", "a\0b.png", "x" * 6000]
)
def test_images_are_looked_for_below_the_root_only(tmp_path, name):
    picture(tmp_path, "secret.png")
    (tmp_path / "root").mkdir()
    assert located(tmp_path / "root", name) == name


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["human", "user"]),
    lambda cells: (
        st.lists(cells, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "value", "role", "content", "bytes", "path"]), cells, max_size=3
        )
    ),
    max_leaves=8,
)
COLUMNS = {
    "llava_cot": ["id", "image", "conversations"],
    "mulberry": ["images", "messages"],
    "scemqa": ["Question", "Answer (final answer highlighted)", "ImagePath", "subject"],
    "polymath": ["image", "category", "answer_option", "final_answer", "final_answer_range"],
}


@pytest.mark.parametrize("layout", COLUMNS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_row_is_a_problem_or_set_aside(tmp_path_factory, layout, data):
    row = {column: data.draw(CELLS, column) for column in COLUMNS[layout]}
    path = tmp_path_factory.getbasetemp() / f"{layout}.jsonl"
    path.write_text(json.dumps(row) + "\n")
    problems, bad = load_problems_leniently(validate(FileData, {"path": str(path), "layout": layout}))
    assert len(problems) + len(bad) >= 1


def test_a_quoted_answer_loses_its_quotation_marks_and_feet_stay(tmp_path):
    picture(tmp_path, "a/1.png")
    rows = [
        ("Question: What?", searched(text), "a/1.png") for text in ("'yes'", '"Moby Dick"', "5'", "**B**")
    ]
    assert [p.answer for p in load(mulberry(tmp_path, rows), layout="mulberry")] == [
        "yes",
        "Moby Dick",
        "5'",
        "B",
    ]
