"""TabMWP (Lu et al., arXiv 2209.14610): grade-school problems on tables, free-form and choices.

`official` is PromptPG's rule: a list of patterns finds the answer, and choices fall back on the option
that shares most words. Its patterns for numbers are applied here in one pass: as they are written they
take quadratic time on a long run of digits and signs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowReader, Source

_LETTERS = "ABCDEF"
_LETTER_FORMS = tuple(
    re.compile(form)
    for form in (
        r"^\(([A-Za-z])\)$",
        r"^([A-Za-z])$",
        r"^([A-Za-z]). ",
        # The class is one of T and h: "the answer is" in lower case is not found.
        r"[Th]he answer is ([A-Z])",
        r"^\(([A-Za-z])\) [\s\S]+$",
        r"[Th]he answer is \(([A-Za-z])\) [\s\S]+$",
    )
)
_SIGNS = "-$.,/:"
_RUN = r"[-\d$.,/:]+"
_PLAIN_RUN = r"[\d$.,/:]+"
_STATED = re.compile(r"[Th]he answer is ([\s\S]+)$")
_SHOWN = re.compile(rf"[Th]he table shows that ({_PLAIN_RUN}) ")
_EQUALS = re.compile(rf" = ({_PLAIN_RUN})")
_CLOCK = re.compile(rf" ({_PLAIN_RUN} [AP]\.M\.)")
# Runs of which the part up to the last digit counts, behind certain words and then anywhere.
_RUNS = tuple(
    re.compile(form)
    for form in (rf"(?<= be| is) ({_RUN})", rf"(?<= are| was) ({_RUN})", rf"(?<= were) ({_RUN})")
)
_ANY_RUN = re.compile(f"({_RUN})")
_FRACTION = re.compile(r"\$?\\frac\{([\d.,-]+)\}\{([\d.,]+)\}\$?")
_CLOSING_PERIOD = re.compile(r"(?<![AP]\.M)\.$")
_TIGHT_EQUALS = re.compile(r"(?<=\d)=(?=[-$\d])")
_NUMERIC = re.compile(r"^[-+]?[\d,./]+$")
_WHOLE = re.compile(r"[-+]?\d+$")


def read(reader: RowReader) -> Item:
    """The table is the image; its text stays in the row for bridging, and out of the prompt."""
    question, unit, options = reader.text("question"), reader.text("unit"), reader.texts("choices")
    pid = reader.text("pid", "id")
    lines = [f"Question: {question} (Unit: {unit})" if unit else f"Question: {question}"]
    if options:
        choices = zip(ascii_uppercase, options, strict=False)
        lines.append("Options: " + " ".join(f"({letter}) {text}" for letter, text in choices))
    return reader.item(
        id=pid,
        question=question,
        gold=reader.text("answer"),
        prompt="\n".join([*lines, "Answer:"]),
        media=reader.images("image") or reader.first_file(f"tables/{pid}.png", f"images/{pid}.png"),
        options=options,
        unit=unit or None,
        family=reader.text("ans_type"),
        level=reader.text("grade"),
    )


def official(item: Item, response: str) -> Official:
    """PromptPG's extraction and comparison. Its random option is drawn by the row's id."""
    text = _prepared(response)
    reason = "equal"
    if item.problem.options:
        found, reason = _chosen(item, text)
    else:
        found = _stated_value(text)
    unit = item.problem.unit or ""
    correct = normalized(found, unit).lower() == normalized(item.problem.answer, unit).lower()
    return Official(correct, found, reason if correct or reason != "equal" else "different")


def _prepared(text: str) -> str:
    text = _FRACTION.sub(r"\1/\2", text)
    text = _CLOSING_PERIOD.sub("", text)
    return _TIGHT_EQUALS.sub(" = ", text).replace("\u2212", "-")


def _chosen(item: Item, text: str) -> tuple[str, str]:
    """The option, and how it was found."""
    options = item.problem.options
    for form in _LETTER_FORMS:
        letters = form.findall(text)
        if letters and letters[0].upper() in _LETTERS:
            index = _LETTERS.index(letters[0].upper())
            if index < len(options):
                return options[index], "letter"
            return random.Random(f"tabmwp {item.problem.id}").choice(options), "random_option"
    overlaps = [_overlap(option, text) for option in options]
    return options[overlaps.index(max(overlaps))], "nearest_option"


def _overlap(option: str, text: str) -> float:
    """2 for equal texts, else the share of common words; 0 for two different single words."""
    if option == text:
        return 2.0
    if " " not in option and " " not in text:
        return 0.0
    words, others = option.split(" "), text.split(" ")
    return len(set(words) & set(others)) / max(len(words), len(others))


def _stated_value(text: str) -> str:
    """The last match of the first pattern that matches; the whole text if none does."""
    found = next((matches[-1] for matches in _candidates(text) if matches), None)
    if found is None:
        return text
    found = found.strip()
    return found[:-1] if found.endswith(".") and ".M." not in found else found


def _candidates(text: str) -> Iterator[Sequence[str]]:
    """What each pattern of the list finds, in its order."""
    yield _STATED.findall(text)
    yield _SHOWN.findall(text)
    yield _EQUALS.findall(text)
    for form in _RUNS:
        yield _numbers(form, text)
    yield _CLOCK.findall(text)
    yield _numbers(_ANY_RUN, text)


def _numbers(form: re.Pattern[str], text: str) -> list[str]:
    """The runs up to their last digit; those without a digit are none."""
    return [number for run in form.findall(text) if (number := run.rstrip(_SIGNS))]


def normalized(text: str, unit: str) -> str:
    """One leading dollar and one closing sign gone; numbers without commas and to 3 decimals."""
    text = re.sub(r"[,./]$", "", text.removeprefix("$"))
    if not _NUMERIC.match(text):
        return text.replace(unit, "").strip() if unit else text
    text = text.replace(",", "")
    try:
        return re.sub(r"\.0+$", "", str(_number(text)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return text


def _number(text: str) -> int | float:
    if _WHOLE.match(text):
        return int(text)
    if "/" in text:
        top, bottom = text.split("/")[:2]
        return round(float(top) / float(bottom), 3)
    return round(float(text), 3)


BENCHMARK = Benchmark(
    name="tabmwp",
    title="TabMWP",
    paper="arXiv 2209.14610",
    source=Source(
        hub="Arietem/tabmwp",
        split="test",
        files=("problems_test1k.json", "problems_test.json", "problems_dev1k.json"),
        told_by=(
            frozenset({"table"}),
            frozenset({"ques_type"}),
        ),
    ),
    read=read,
    official=official,
    notes=(
        "no packaged release holds the images: give a folder with the original files and `tables/`",
        "with choices official always names an option: the first one for an empty response",
        "the published rule draws at random for a letter outside the options; here the row's id decides",
        "the table's text, which the authors' prompt gives, is left out: the model sees the image",
    ),
)
