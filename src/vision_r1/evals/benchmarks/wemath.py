"""We-Math (Qiao et al., arXiv 2407.01284): 525 problems with the sub-problems that they are made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowReader, Source
from vision_r1.problems.columns import cell_text

_PROMPT = (
    "Now, we require you to solve a multiple-choice math question. Please briefly describe your thought "
    "process and provide the final answer(option).\nQuestion: {question}\nOption: {option}\nRegarding the "
    "format, please answer following the template below, and be sure to include two <> symbols:\n"
    "<Thought process>: <<your thought process>> <Answer>: <<your option>>"
)
_LETTER = re.compile(r"([A-H])\s?[.:、．：]")
_DROPPED = str.maketrans("", "", "<>:.")


def read(reader: RowReader) -> Item:
    """`ID` names the problem, `key` the part: `2steps_1`, `2steps_2`, `2steps_multi`, ..."""
    question, option = reader.text("question"), reader.text("option")
    problem, key = reader.text("ID"), reader.text("key")
    options = _options(option)
    if not options:
        reader.notes.append("the options cannot be told apart")
    return reader.item(
        id=f"{problem}:{key}" if problem and key else "",
        question=f"{question}\n{option}",
        gold=reader.text("answer"),
        prompt=_PROMPT.format(question=question, option=option),
        media=reader.images("image_path", "image"),
        options=options,
        answer_type="choice",
        family=reader.text("knowledge concept"),
        level=key,
        group=problem,
    )


def _options(text: str) -> tuple[str, ...]:
    """`A. 3; B. 4` -> the texts; each letter is looked for after the one before it."""
    starts: list[re.Match[str]] = []
    for match in _LETTER.finditer(text):
        before = text[match.start() - 1 : match.start()]
        if match[1] == "ABCDEFGH"[len(starts) : len(starts) + 1] and not before.isalnum():
            starts.append(match)
    if not starts:
        return ()
    ends = [match.start() for match in starts[1:]] + [len(text)]
    found = tuple(text[m.end() : end].strip(" ;；,，\n") for m, end in zip(starts, ends, strict=True))
    return found if len(found) > 1 and all(found) else ()


def official(item: Item, response: str) -> Official:
    """The first character after the last "Answer", if it is a letter from A to H."""
    answer = response.rpartition("Answer")[2].strip().translate(_DROPPED).strip()[:1]
    if not answer or answer not in "ABCDEFGH":
        return Official(False, None, "no_answer")
    right = answer == cell_text(item.raw.get("answer"))
    return Official(right, answer, "equal" if right else "different")


def unwrap(response: str) -> str:
    """The option in `<Answer>: <<B>>`, as the prompt asks for."""
    _, mark, answer = response.rpartition("<Answer>")
    return answer.strip(" :<>.\n") if mark else response


def scores(items: Sequence[Item], right: Mapping[str, bool]) -> dict[str, float]:
    """The four-way score, and accuracy on one, two and three steps.

    A problem counts as insufficient knowledge (IK) if it and a step are wrong, as inadequate
    generalisation (IG) if only it is wrong. If it is right it is complete mastery (CM) or rote
    memorisation (RM): strict asks for all steps, loose for any. A missing part counts as wrong.
    """
    problems: dict[str, dict[str, bool]] = {}
    for item in items:
        key = cell_text(item.raw.get("key"))
        problems.setdefault(item.group, {})[key] = right.get(item.problem.id, False)
    counts = dict.fromkeys(("IK", "IG", "CM strict", "CM loose", "RM strict", "RM loose"), 0)
    incomplete, marks = 0, {"S1": list[bool](), "S2": list[bool](), "S3": list[bool]()}
    for parts in problems.values():
        size = 3 if any(key.startswith("3") for key in parts) else 2
        steps = [parts.get(f"{size}steps_{number}", False) for number in range(1, size + 1)]
        whole = parts.get(f"{size}steps_multi", False)
        incomplete += len(parts) < size + 1
        marks["S1"] += steps
        marks[f"S{size}"].append(whole)
        for name in _classes(steps, whole):
            counts[name] += 1
    return _rates(counts, len(problems)) | {
        **{name: sum(found) / len(found) for name, found in marks.items() if found},
        "problems with missing parts": float(incomplete),
    }


def _classes(steps: Sequence[bool], whole: bool) -> tuple[str, ...]:
    if not whole:
        return ("IG",) if all(steps) else ("IK",)
    return "CM strict" if all(steps) else "RM strict", "CM loose" if any(steps) else "RM loose"


def _rates(counts: Mapping[str, int], total: int) -> dict[str, float]:
    """Score = (N - IG/2 - RM - IK) / N; the rate of RM is over the problems that are right."""
    if not total:
        return {}
    rates = {name: counts[name] / total for name in ("IK", "IG")}
    for how in ("strict", "loose"):
        mastered, rote = counts[f"CM {how}"], counts[f"RM {how}"]
        rates[f"score ({how})"] = (total - 0.5 * counts["IG"] - rote - counts["IK"]) / total
        rates[f"CM ({how})"] = mastered / total
        rates[f"RM ({how})"] = rote / (mastered + rote) if mastered + rote else 0.0
    return rates


BENCHMARK = Benchmark(
    name="wemath",
    title="We-Math",
    paper="arXiv 2407.01284",
    source=Source(
        hub="We-Math/We-Math",
        split="testmini",
        files=("testmini.json", "data/testmini.json"),
        told_by=(
            frozenset({"ID", "key"}),
            frozenset({"knowledge concept"}),
        ),
    ),
    read=read,
    official=official,
    unwrap=unwrap,
    scores=scores,
    vlmevalkit="WeMath",
    notes=(
        "without the word Answer the first character of the response is taken: 'Based on' reads as B",
        "small letters do not count: the end of <answer> tags is never found",
        "the four-way score is over the problems that were read; the authors always divide by 525",
    ),
)
