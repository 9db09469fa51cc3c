"""MMStar (Chen et al., arXiv 2403.20330): 1,500 choices that need the image, 250 for each of six skills."""

from __future__ import annotations

from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official, RowReader, Source
from vision_r1.evals.benchmarks.matching import judge_option, match_option

# How the authors' rule lets a response begin before the letter, all in lower case.
_LEADS = ("", "(", "option ", "the answer is ")
_HEADS = ("Options:", "Choices:")
_MARKS = ("{}:", "({})", "{}.")
# Of nearly all questions; the others have two to six options.
_CHANCE = 1 / 4


def read(reader: RowReader) -> Item:
    """The options stand in `question`, two to six of them; some releases fill up with "nan"."""
    question = reader.text("question")
    options = options_in(question)
    if not options:
        reader.notes.append("the options cannot be read from the question")
    return reader.item(
        id=reader.text("index", "id"),
        question=question,
        gold=reader.text("answer"),
        prompt=f"{question}\nAnswer with the option's letter from the given choices directly.",
        media=reader.images("image"),
        options=options,
        answer_type="choice",
        family=reader.text("category"),
        level=reader.text("l2_category"),
        chance=None if options else _CHANCE,
    )


def options_in(question: str) -> tuple[str, ...]:
    """The texts of "Options: A: one, B: two", "Choices:", or lines "(A) one"; empty if they are unclear."""
    bodies = [question.rpartition(head)[2].strip() for head in _HEADS if head in question]
    _, mark, lines = question.partition("\n(A)")
    if mark:
        bodies.append(f"(A){lines}")
    found = (_split(body, form) for body in bodies for form in _MARKS)
    return next((texts for texts in found if len(texts) > 1 and all(texts)), ())


def _split(body: str, form: str) -> tuple[str, ...]:
    """The texts between the marks of A, B, ..., each mark behind a comma or on a line of its own."""
    mark = form.format("A")
    if not body.startswith(mark):
        return ()
    rest, texts = body.removeprefix(mark), []
    for letter in "BCDEFGH":
        mark = form.format(letter)
        places = [place for gap in (", ", "\n") if (place := rest.find(gap + mark)) >= 0]
        if not places:
            break
        texts.append(rest[: min(places)].strip())
        rest = rest[rest.index(mark, min(places)) + len(mark) :]
    return (*texts, rest.strip())


def official(item: Item, response: str) -> Official:
    """The authors' rule: the first character, also behind a bracket, "option " or "the answer is "."""
    gold = item.problem.answer.lower()
    text = response.lower().strip().replace("\n", " ")
    begins = {text[len(lead) : len(lead) + 1] for lead in _LEADS if text.startswith(lead)}
    if gold in begins:
        return Official(True, gold.upper(), "equal")
    return Official(False, text[:1] or None, "different" if text else "no_answer")


def official_vlmevalkit(item: Item, response: str) -> Official:
    """VLMEvalKit's exact matching of letters and option texts."""
    return match_option(item, item.problem.answer, response)


def vlmeval(item: Item, response: str, ask: Ask | None) -> Official:
    """VLMEvalKit's rule, with its judge if there is one; the authors use none."""
    if ask is None:
        return official_vlmevalkit(item, response)
    return judge_option(item, item.problem.answer, response, ask)


BENCHMARK = Benchmark(
    name="mmstar",
    title="MMStar",
    paper="arXiv 2403.20330",
    source=Source(
        hub="Lin-Chen/MMStar",
        split="val",
        files=("mmstar.parquet",),
        told_by=(frozenset({"l2_category"}),),
    ),
    read=read,
    official=official,
    vlmeval=vlmeval,
    vlmevalkit="MMStar",
    notes=(
        "the options stay where the packaged release has them, in the question",
        "official takes any first letter: 'A cat' is option A, and a response in tags or bold is wrong",
        "where VLMEvalKit's judge stays unclear VLMEvalKit draws at random, "
        "here the row is wrong and counted as judge_unclear",
    ),
)
