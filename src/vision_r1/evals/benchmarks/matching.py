"""VLMEvalKit's matching rules, which it shares among benchmarks: options, and yes or no.

Reproduced from their description, faults included. All scans are linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase

from vision_r1.evals.benchmarks.benchmark import Ask, Item, Official

# What VLMEvalKit writes for "none of the options".
NONE_OF_THEM = "Z"
MOST_CALLS = 3

_SPACED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# The original hands a flag to `sub` where the count belongs, so that it drops 32 periods at most.
_PERIODS_DROPPED = 32


def lettered(item: Item) -> dict[str, str]:
    """The options by their letters."""
    return dict(zip(ascii_uppercase, item.problem.options, strict=False))


def infer_option(answer: str, options: Mapping[str, str]) -> str | None:
    """The option that an answer names: by a lone letter near its end, else by its text.

    Returns:
        The letter, `NONE_OF_THEM` for a refusal, or None where it cannot be told.
    """
    return _infer_letter(answer, options) or _infer_text(answer, options)


def _infer_letter(answer: str, options: Mapping[str, str]) -> str | None:
    if any(refusal in answer for refusal in _REFUSALS):
        return NONE_OF_THEM
    words = answer.translate(_SPACED).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1:
        # A letter before the last four words is taken for an article.
        return named[0] if words.index(named[0]) > len(words) - 5 else None
    return NONE_OF_THEM if not named and NONE_OF_THEM in words else None


def _infer_text(answer: str, options: Mapping[str, str]) -> str | None:
    if len(answer) > 2 * sum(map(len, options.values())):
        return None
    lower = answer.lower()
    named = [letter for letter, text in options.items() if text.lower() in lower]
    return named[0] if len(named) == 1 else None


def match_option(item: Item, gold: str, response: str) -> Official:
    """VLMEvalKit's exact matching: what cannot be told counts as wrong.

    Args:
        item: the question with its options.
        gold: letter of the right option.
        response: untrusted text.
    """
    letter = infer_option(response.strip(), lettered(item))
    if letter is None:
        return Official(False, None, "no_answer")
    return Official(letter == gold, letter, "equal" if letter == gold else "different")


def judge_option(item: Item, gold: str, response: str, ask: Ask) -> Official:
    """Exact matching first; what it cannot tell, a judge is asked at most `MOST_CALLS` times.

    VLMEvalKit then draws an option at random; here it is wrong, with the reason "judge_unclear".
    """
    found = match_option(item, gold, response)
    if found.extracted is not None:
        return found
    options = lettered(item)
    listed = " ".join(f"{letter}. {text}" for letter, text in options.items())
    prompt = (
        "Match an answer with one of the options of a question. Reply with the letter of the option that is "
        f"closest in meaning to the answer, or with {NONE_OF_THEM} if none of them is.\n"
        f"Question: {item.problem.question}\nOptions: {listed}\nAnswer: {response}\nYour output: "
    )
    for attempt in range(MOST_CALLS):
        letter = infer_option(ask(prompt, attempt=attempt), options)
        if letter is not None:
            return Official(letter == gold, letter, "judged")
    return Official(False, None, "judge_unclear")


def infer_yes_no(text: str) -> str | None:
    """Yes or no, if exactly one of these words stands in the text."""
    words = set(_without_punctuation(text.lower()).split())
    if ("yes" in words) == ("no" in words):
        return None
    return "Yes" if "yes" in words else "No"


def _without_punctuation(text: str) -> str:
    """VQA's cleaning: a sign beside a space is dropped everywhere, another one becomes a space."""
    drop_all = _COMMA_IN_NUMBER.search(text) is not None
    table: dict[str, str | int | None] = {
        sign: "" if drop_all or f"{sign} " in text or f" {sign}" in text else " " for sign in _PUNCTUATION
    }
    return _PERIOD.sub("", text.translate(str.maketrans(table)), count=_PERIODS_DROPPED)


def match_yes_no(gold: str, response: str) -> Official:
    """VLMEvalKit's exact matching of yes and no."""
    word = infer_yes_no(response)
    if word is None:
        return Official(False, None, "no_answer")
    return Official(word == gold, word, "equal" if word == gold else "different")
