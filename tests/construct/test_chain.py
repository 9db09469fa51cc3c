"""A problem's way through the steps, driven by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_r1.construct.chain import REASON, Made, Step, Told, chain, further_notes, in_step
from vision_r1.construct.keep import chosen
from vision_r1.construct.reason import question_in_words
from vision_r1.construct.replies import Dropped, Said
from vision_r1.construct.steps import OWN_NOTES, build_steps
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.problems.problem import Problem
from vision_r1.teachers.prompts import from_folder, read_template, shipped_prompts


class Picture:
    key = "k"

    def load(self):
        return Image.new("RGB", (4, 4))


PROBLEM = Problem("p", "<image>\nHow many?", "3", (Picture(),), "number")
STEPS = build_steps(("pseudo_cot", "describe", "reason"), shipped_prompts("full"))
GOOD = {"pseudo_cot": "Caption: three dots\nReasoning: 1, 2, 3", "describe": "Three dots.", "reason": "3"}


def drive(made_of, reply, asked):
    """Bring one chain to its end; `reply` says what is said to each request."""
    try:
        asks = next(made_of)
        while True:
            asked += asks
            asks = made_of.send([reply(ask) for ask in asks])
    except StopIteration as end:
        return end.value


def good(ask):
    return Said(GOOD[ask.step], "I count." if ask.step == REASON else "", 5, key=f"{ask.step}{ask.attempt}")


def test_the_steps_come_in_order_and_see_what_the_paper_gives_them():
    asked = []
    made = drive(chain(PROBLEM, STEPS, Told("3"), samples=2), good, asked)
    assert [(ask.step, ask.role, ask.sample) for ask in asked] == [
        ("pseudo_cot", "mllm", 0), ("describe", "mllm", 0), ("reason", "reasoner", 0), ("reason", "reasoner", 1)
    ]  # fmt: skip
    first, second, third = asked[:3]
    assert "Answer: 3" in first.prompt and first.media == PROBLEM.media
    assert "three dots" in second.prompt and "1, 2, 3" in second.prompt and "Answer: 3" not in second.prompt
    assert "Three dots." in third.prompt and not third.media and "<image>" not in third.prompt
    assert "Answer: 3" not in third.prompt
    assert made.notes == {"caption": "three dots", "pseudo_cot": "1, 2, 3", "description": "Three dots."}
    assert [sample.thought for sample in made.samples] == ["I count."] * 2
    assert [note.step for note in made.requests] == ["pseudo_cot", "describe"]
    assert made.requests[1].key == "describe0" and made.requests[1].template.startswith("describe@")


@pytest.mark.parametrize(("told", "seen"), [(Told(), (False, False)), (Told("3", "3"), (True, True))])
def test_two_switches_decide_who_is_told_the_answer(told, seen):
    asked = []
    drive(chain(PROBLEM, STEPS, told), good, asked)
    assert ("Answer: 3" in asked[0].prompt, "Answer: 3" in asked[2].prompt) == seen


def test_a_reply_that_cannot_be_parsed_is_asked_for_again_and_the_last_one_counts():
    asked = []

    def reply(ask):
        bad = ask.step == "pseudo_cot" and ask.attempt < 2
        return Said("no headings", key="bad") if bad else good(ask)

    made = drive(chain(PROBLEM, STEPS, Told(), retries=2), reply, asked)
    assert [(ask.step, ask.attempt) for ask in asked][:3] == [("pseudo_cot", i) for i in range(3)]
    assert made.requests[0].attempt == 2 and made.samples
    asked.clear()
    made = drive(chain(PROBLEM, STEPS, Told(), retries=1), reply, asked)
    assert made.dropped.rule == "pseudo_cot_headings" and len(asked) == 2


@pytest.mark.parametrize("stop", ["error", "length"])
def test_a_reply_that_never_came_or_was_cut_is_not_asked_for_again(stop):
    asked = []
    made = drive(chain(PROBLEM, STEPS, Told(), retries=3), lambda ask: Said("", stop_reason=stop), asked)
    assert (
        len(asked) == 1
        and made.dropped.rule == f"pseudo_cot_{'unanswered' if stop == 'error' else 'truncated'}"
    )


def test_one_bad_sample_leaves_the_others():
    def reply(ask):
        return Said("", stop_reason="error", error="gone") if ask.sample == 1 else good(ask)

    made = drive(chain(PROBLEM, STEPS, Told(), samples=3), reply, [])
    assert [sample.dropped is None for sample in made.samples] == [True, False, True]


def check_step(drop=False):
    def parse(said):
        return Dropped("checked", "no") if drop else {"reply": said.text, "opinion": "fine"}

    return Step(
        "check", "mllm", "check@1", lambda p, notes, told: f"{notes['reply']}?", parse, needs=("reply",)
    )


def test_a_step_behind_the_reasoner_sees_and_changes_each_sample():
    def reply(ask):
        return Said(f"really {ask.sample}") if ask.step == "check" else good(ask)

    asked = []
    made = drive(chain(PROBLEM, [*STEPS, check_step()], Told(), samples=2), reply, asked)
    assert [ask.prompt for ask in asked[-2:]] == ["3?", "3?"]
    assert [sample.reply for sample in made.samples] == ["really 0", "really 1"]
    assert further_notes(made, made.samples[0], OWN_NOTES) == '{"opinion": "fine"}'
    made = drive(chain(PROBLEM, [*STEPS, check_step(drop=True)], Told(), samples=2), reply, [])
    assert {sample.dropped.rule for sample in made.samples} == {"checked"}


def test_chains_side_by_side_make_what_each_makes_alone():
    problems = [Problem(f"p{i}", "<image>\nHow many?", "3", (Picture(),)) for i in range(5)]

    def reply(ask):
        if ask.problem == "p1" and ask.step == "describe":
            return Said(" ")
        if ask.problem == "p2" and ask.attempt == 0:
            return Said("<image>")
        return good(ask)

    together = in_step(
        [chain(p, STEPS, Told(), 2, 1) for p in problems], lambda asks: [reply(a) for a in asks]
    )
    assert together == [drive(chain(p, STEPS, Told(), 2, 1), reply, []) for p in problems]
    assert [made.dropped and made.dropped.rule for made in together] == [
        None,
        "description_empty",
        None,
        None,
        None,
    ]


def test_a_prompt_that_cannot_be_sent_is_a_dropped_row():
    problem = Problem("p", "<image> <image> How many?", "3", (Picture(),))
    made = drive(chain(problem, STEPS, Told()), good, [])
    assert made == Made({}, (), (), Dropped("prompt_refused", "2 <image> marks for 1 images"))


def test_marks_become_words_for_a_reasoner_that_sees_no_image():
    assert question_in_words(Problem("p", "<image>\nWhat?", "3")) == "What?"
    assert question_in_words(Problem("p", "Is <image> like <image>?", "3")) == "Is (image 1) like (image 2)?"


USER_STEP = """
from vision_r1.construct.chain import Step

CHECK = Step("check", "mllm", "check@1", lambda p, notes, told: notes["description"] + "?",
             lambda said: {"description": said.text}, needs=("description",), gives=("description",))
NO_STEP = 3
"""


def test_a_step_from_a_users_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(USER_STEP, encoding="utf-8")
    names = ("pseudo_cot", "describe", f"{file}:CHECK", "reason")
    steps = build_steps(names, shipped_prompts("full"))
    made = drive(chain(PROBLEM, steps, Told()), lambda a: Said("Seen.") if a.step == "check" else good(a), [])
    assert made.notes["description"] == "Seen."
    with pytest.raises(InputError, match="no Step named 'NO_STEP'"):
        build_steps((f"{file}:NO_STEP", "reason"), shipped_prompts("full"))
    file.write_text("1 / 0", encoding="utf-8")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        build_steps((f"{file}:CHECK", "reason"), shipped_prompts("full"))


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("describe", "reason"), "needs pseudo_cot"),
        (("pseudo_cot", "describe"), "no step named reason"),
        (("pseudo_cot", "pseudo_cot", "reason"), "twice"),
        (("pseudo_cott", "reason"), "unknown step"),
        (("none.py:STEP", "reason"), "no such file"),
    ],
)
def test_steps_that_cannot_work_are_refused(names, what):
    with pytest.raises(InputError, match=what):
        build_steps(names, shipped_prompts("full"))


def test_a_users_prompt_stands_in_the_place_of_ours_and_changes_its_step_alone(tmp_path):
    (tmp_path / "describe.txt").write_text("# version mine\nLook at {question}\n", encoding="utf-8")
    own, full = from_folder(tmp_path), shipped_prompts("full")
    assert own.describe("this", "x") == "Look at this"
    assert own.identity("describe").startswith("describe@mine-")
    assert own.identity("reason") == full.identity("reason") != own.identity("describe")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("describe", "Look at {questoin}", "unknown slot"),
        ("reason", "{question}", "lacks {description}"),
        ("caption", "# version 1\n \n", "empty"),
    ],
)
def test_a_prompt_with_wrong_slots_is_refused(name, text, what):
    with pytest.raises(ConfigError, match=what):
        read_template(name, text)


def test_a_prompt_of_another_name_is_refused(tmp_path):
    (tmp_path / "desribe.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="describe"):
        from_folder(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        from_folder(tmp_path / "none")


@given(
    st.lists(st.tuples(st.sampled_from([(True, True), (False, True), (False, False), (False, None)]), st.integers(0, 9)),
             min_size=1, max_size=8),
    st.none() | st.integers(1, 4),
)  # fmt: skip
def test_keep_rules(samples, at_most):
    outcomes, tokens = zip(*samples, strict=True)
    good, right = zip(*outcomes, strict=True)
    passed = [place for place, each in enumerate(good) if each]
    assert chosen(good, right, tokens, "first_right", at_most) == set(passed[:1])
    assert chosen(good, right, tokens, "all_right", at_most) == set(passed[:at_most])
    shortest = chosen(good, right, tokens, "shortest_right", at_most)
    assert len(shortest) == min(1, len(passed)) and all(
        tokens[place] <= tokens[other] for place, other in itertools.product(shortest, passed)
    )
    hard = chosen(good, right, tokens, "hardest", at_most)
    answers = [each for each in right if each is not None]
    assert hard == (set(passed[:at_most]) if sum(answers) <= len(answers) / 2 else set())
