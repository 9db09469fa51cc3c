r"""Find the final answer in whatever a model wrote, the same way for every model variant.

The strongest mark wins: `<answer>` blocks, then `Final Answer:`, then `\boxed{}`, then a last line
`#### 12` (as in GSM8K), then "the answer is", then the whole text if it is short. Text before the last
`</think>` counts only if nothing follows it. Weak marks inside a thought that never ended are no answer.
What the text after the mark takes back is no answer (`retractions`). All scans are linear.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace

from vision_r1.grading.clauses import about_work, supposes
from vision_r1.grading.retractions import retraction, takes_back
from vision_r1.grading.sentences import last_sentence, sentence_ends
from vision_r1.grading.text import hedges, normalize_text

_MAX_BARE = 200
_FLAGS = re.IGNORECASE | re.ASCII

_ANSWER_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}answer\s{0,3}>", _FLAGS)
_THINK_TAG = re.compile(r"[<◁]\s{0,3}(/?)\s{0,3}think\s{0,3}[>▷]", _FLAGS)
# The last part of a response in stages (LLaVA-CoT), and the tokens round an answer (GLM).
_CONCLUSION = re.compile(r"<CONCLUSION>(.*?)</CONCLUSION>\s*\Z", re.DOTALL)
_BOX_TOKENS = re.compile(r"<\|begin_of_box\|>([^<>{}]{1,200})<\|end_of_box\|>")
_SPECIAL_TOKEN = re.compile(r"<\|[a-z_0-9]{1,30}\|>")
_END_TOKENS = ("</s>", "<eos>", "<pad>", "<end_of_turn>", "<end_of_utterance>")
_FINAL = re.compile(r"final answer(?:\s{0,3}is)?\s{0,3}(?:[:：]|(?=\n))", _FLAGS)
_IS = re.compile(
    r"\banswers?>?\s{0,3}(?:(?:is|are|(?:would|must|should) be|equals)\b|[:：=]|\s[-–]\s|(?=\n))\s{0,3}[:：]?"
    r"|\bans\s?[.:]|\bI\s(?:choose|pick|select)\b"
    r"|\b(?:correct|right|best)\s(?:option|choice|letter|one)\s{0,3}(?:is\b|[:：])\s{0,3}:?"
    r"|答案\s{0,3}(?:应该是|应为|是|为|选|[:：])\s{0,3}[:：]?|(?<![可备])选(?!项)择?\s{0,3}[:：]?",
    _FLAGS,
)
# Markup of words, not the power of "2**3".
_BOLD = re.compile(r"(?<![0-9A-Za-z)])\*\*|\*\*(?![0-9A-Za-z(])")
_CONCLUDES = re.compile(
    r"\s*(?:(?:so|thus|therefore|hence|finally|overall|in conclusion|consequently)\b"
    r"|(?:total|result|sum)(?=\s?[:：])|所以|因此|故|综上)",
    _FLAGS,
)
_FAREWELL = re.compile(
    r"(?:(?:I )?hope (?:this|that) helps|(?:let me know if|feel free to)[^.!?\n]{1,100})[.!?]{0,3}\Z",
    _FLAGS,
)
_STATES = re.compile(r"\s(?:is|are|was|were|equals)\s|[=＝≈]|是|为", _FLAGS)
_DISPLAY = re.compile(r"\s*(?:\$\$|\\\[)(.{1,300}?)(?:\$\$|\\\])\s*\.?\s*\Z", re.DOTALL)
_JSON = re.compile(
    r'"(?:short[ _]|final[ _])?answer"\s{0,3}:\s{0,3}(?:"([^"\n]{0,300})"|([^",}\n]{1,300}))', _FLAGS
)
_ALONE = re.compile(
    r"\(?[A-J]\)?[.:]?|[-+]?[0-9][0-9.,/]*\s?[A-Za-z°%]{0,10}\.?|(?:yes|no|true|false)\.?", _FLAGS
)
# A base model that answers and goes on to a question of its own: "10\n\nQuestion: ...".
_RUNS_ON = re.compile(rf"\s*({_ALONE.pattern})[ \t]*\n\s*(?:Question|Problem|Q)\s?[0-9]{{0,3}}\s?:", _FLAGS)
_BOLD_LINE = re.compile(r"\*\*([^*\n]{0,59}[^*\n:：])\*\*\.?")
_HEADING = re.compile(
    r"(?:step|solution|explanation|analysis|given|answer|question|problem|part|reason|observ|note|approach|method|calcul"
    r"|overview|summary|(?:chart|graph|figure|table|data)\b|understand|interpret|image|identify|find|determin|count|conclu"
    r"|result|key|detail|to |how|what|let|first|[0-9]+[.)] )",
    _FLAGS,
)
_DOUBTS = re.compile(r"\b(?:wait|actually|hmm|correction|mistake|instead|recount\w*|let me|sorry)\b", _FLAGS)
_TICKS = " \t\r\n✓✔✅☑\ufe0f"
_LETTER_ONLY = re.compile(r"\s*\(?[A-J]\)?\s*")
_EXPLAINS = re.compile(
    r"\s*(?:this|that|because|since|it|i|so|we|the|as|therefore|hope|let|note|which|here|if)\b", _FLAGS
)
_LEAD = re.compile(
    r"\s*(?:(?:so|thus|therefore|hence),?\s)?(?:(?:the|my)\s)?(?:final\s|correct\s)?answer"
    r"\s{0,3}(?:is\b\s?:?|[:：=])\s*",
    _FLAGS,
)
_THAT_IS = re.compile(
    r"(?:(?:option|choice)\s)?(\(?[A-J]\)?|[^(]{2,80}?),?\s\(?i\.e\.,?\s([^()]{1,80})\)?", re.ASCII
)
_HASHES = re.compile(r"####(?!#)\s{0,3}(\S.{0,199})")
_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{|\\[{}]|[{}]")
_NOT_THIS_BOX = re.compile(
    r"\b(?:not|never|neither|nor)\s{1,3}[$(*\\]{0,3}\s?\\(?:boxed|fbox)\s{0,3}\{\Z", _FLAGS
)
_OR_THIS_BOX = re.compile(r"\bor\s{1,3}[$(*\\]{0,3}\s?\\(?:boxed|fbox)\s{0,3}\{\Z", _FLAGS)
_CONCLUDING_BOX = re.compile(
    r"[.;!]\s+(?:so|thus|therefore|hence|finally|overall|altogether|in total|total)\b[^.;!]{0,80}\Z", _FLAGS
)
_ANOTHER = "another answer"


@dataclass(frozen=True, slots=True)
class Found:
    """Answers of one kind of mark, and the text after the last of them."""

    answers: list[str]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The answer, or why there is none: "no_answer" or "several_answers".

    Attributes:
        answer: the answer with its marks stripped.
        reason: "found", or why there is no answer.
        unmarked: the text without any mark, bold kept, whose closing claim may be read (`closing`); else "".
    """

    answer: str | None
    reason: str
    unmarked: str = ""


def extract(response: str) -> Extraction:
    """The final answer of a whole model output.

    Args:
        response: untrusted text of any length.

    Returns:
        The answer with its marks stripped. Final marks of one kind that give different answers make
        "several_answers"; no mark and a long or empty text make "no_answer".
    """
    tokens = _BOX_TOKENS.sub(r"\\boxed{\1}", response) if "<|begin_of_box|>" in response else response
    marked, open_thought = _after_thought(_without_end(_SPECIAL_TOKEN.sub("", tokens)))
    marked = _concluded(marked)
    final = _BOLD.sub("", marked)
    if runs_on := _RUNS_ON.match(final):
        return _settled(Found([runs_on[1]]))
    if found := _answer_blocks(final) or _last_line_of(final, _FINAL) or _last_boxes(final):
        return _settled(found)
    if open_thought:
        return Extraction(None, "no_answer")
    if stated := _hashes(final) or _last_json(final) or _last_statement(final):
        return _settled(stated)
    bare = _FAREWELL.sub("", final.strip()).strip()
    conclusion = _conclusion(bare)
    headline = _first_line(bare) or ("" if _CONCLUDES.match(conclusion) else _bold_line(marked))
    if headline:
        return _settled(Found([headline], bare.partition("\n")[2]))
    whole = bare if len(bare) <= _MAX_BARE else ""
    return replace(_settled(Found([conclusion or whole])), unmarked=_FAREWELL.sub("", marked.strip()).strip())


def _settled(found: Found) -> Extraction:
    """What the marks agree on, unless the text after the last of them takes it back."""
    agreed = _agree([strip_marks(answer) for answer in found.answers])
    if agreed.answer is None:
        return agreed
    retracted = retraction(agreed.answer, found.after)
    return Extraction(retracted.instead, retracted.reason) if retracted else agreed


def _without_end(text: str) -> str:
    """The text without the end tokens that some tokenizers leave on it ("12</s>")."""
    end = len(text)
    while end and (text[end - 1].isspace() or text.endswith(_END_TOKENS, 0, end)):
        end = end - 1 if text[end - 1].isspace() else text.rfind("<", 0, end)
    return text[:end]


def strip_marks(block: str) -> str:
    r"""An answer block without its leading "Final Answer:" and without a box.

    Words round the box stay, so that "The area is \boxed{12} cm" is read as a sentence and "Mali or
    \boxed{Chad}" as a hedge.
    """
    text = block.strip(_TICKS)
    for _ in range(3):
        lead = _LEAD.match(text)
        if not lead:
            break
        text = text[lead.end() :].strip()
    boxes = boxed(text)
    if len(boxes) != 1:
        return text
    before, after = _round_box(text)
    inner = boxes[0].strip()
    return f"{before}{inner}{after}".strip() if re.search(r"\w", before + after) else inner


def boxed(text: str) -> list[str]:
    r"""The contents of the outermost balanced `\boxed{...}`, in order, in one pass over the text."""
    return [text[start:end] for start, end in _box_spans(text)]


def _box_spans(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    stack: list[int] = []  # content start of a box, or -1 for another brace
    open_boxes = 0
    for match in _BOX_OR_BRACE.finditer(text):
        mark = match[0]
        if mark in ("\\{", "\\}"):
            continue
        if mark == "}":
            start = stack.pop() if stack else -1
            if start >= 0:
                open_boxes -= 1
                if open_boxes == 0:
                    found.append((start, match.start()))
        else:
            is_box = mark != "{"
            stack.append(match.end() if is_box else -1)
            open_boxes += is_box
    return found


def _round_box(text: str) -> tuple[str, str]:
    """What stands before and after the only box of a text."""
    start = min(place for mark in ("\\boxed", "\\fbox") if (place := text.find(mark)) >= 0)
    depth = 0
    for match in _BOX_OR_BRACE.finditer(text, start):
        if match[0] not in ("\\{", "\\}"):
            depth += -1 if match[0] == "}" else 1
            if depth == 0:
                return text[:start], text[match.end() :]
    return text[:start], ""


def _after_thought(text: str) -> tuple[str, bool]:
    """The part after the last closed thought, and whether a thought was left open."""
    tags = list(_THINK_TAG.finditer(text))
    closing = [tag for tag in tags if tag[1]]
    if closing and text[closing[-1].end() :].strip():
        return text[closing[-1].end() :], tags[-1][1] == ""
    return text, bool(tags) and tags[-1][1] == ""


def _concluded(text: str) -> str:
    """The content of the conclusion that a text in stages ends with; any other text as it is."""
    start = text.rfind("<CONCLUSION>")
    found = _CONCLUSION.match(text, start) if start >= 0 else None
    return found[1].strip() if found else text


def _answer_blocks(text: str) -> Found | None:
    """Contents of the complete `<answer>…</answer>` blocks; an inner opening tag starts anew."""
    blocks: list[str] = []
    start = end = -1
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start >= 0:
            blocks.append(text[start : tag.start()])
            start, end = -1, tag.end()
    return Found(blocks, text[end:]) if blocks else None


def _last_line_of(text: str, mark: re.Pattern[str]) -> Found | None:
    """What follows each mark on the last line that has one; earlier lines were superseded."""
    last = _last_match(mark, text)
    if last is None:
        return None
    begin = text.rfind("\n", 0, last.start()) + 1
    stop = text.find("\n", last.end())
    line = text[begin : stop if stop >= 0 else len(text)]
    found = [piece.strip() for piece in mark.split(line)[1:]]
    if found == [""] and stop >= 0:
        # "**Final Answer:**" as a heading: the answer is the next line that holds anything.
        found = [text[stop:].strip().partition("\n")[0]]
    answers = [_first_sentence(piece) for piece in found if piece]
    return Found(answers, _after(text[last.end() :], answers[-1])) if answers else None


def _last_boxes(text: str) -> Found | None:
    """The boxes on the last line that has one; boxes on earlier lines were superseded."""
    spans = _box_spans(text)
    if not spans:
        return None
    start, end = spans[-1]
    if _NOT_THIS_BOX.search(text[max(start - 30, 0) : start]):
        return Found([""])  # "The answer is not \boxed{12}."
    boxes = boxed(text)
    if _OR_THIS_BOX.search(text[max(start - 30, 0) : start]):
        return Found([_ANOTHER, boxes[-1]])  # "10 or \\boxed{12}"
    if len(boxes) > 1:
        between = text[spans[-2][1] + 1 : start]
        concludes = _CONCLUDING_BOX.search(between) or takes_back(boxes[-2], between)
        if "\n" not in between and concludes:
            return Found(boxes[-1:], text[end + 1 :])  # "\boxed{5}. Let me correct that: \boxed{6}"
        last = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
        boxes = boxed(text[text.rfind("\n", 0, last) + 1 :]) or boxes[-1:]
    return Found(boxes, text[end + 1 :])


def _hashes(text: str) -> Found | None:
    """The last line of a solution as GSM8K writes it: "#### 12"."""
    line = text.rstrip().rpartition("\n")[2]
    marked = _HASHES.fullmatch(line.strip())
    return Found([marked[1]]) if marked and not _IS.search(line) else None


def _last_json(text: str) -> Found | None:
    """The last "short answer" or "answer" of a JSON object, as DynaMath asks for it."""
    last = _last_match(_JSON, text)
    if last is None:
        return None
    return Found([(last[1] if last[1] is not None else last[2]).strip()], text[last.end() :])


def _last_statement(text: str) -> Found | None:
    """What follows the last "answer is"; a model that corrects itself says it last."""
    last = _last_match(_IS, text)
    if last is None:
        return None
    sentence = _first_sentence(text[last.end() : last.end() + 2 * _MAX_BARE].strip())
    after = _after(text[last.end() :], sentence)
    that_is = _THAT_IS.fullmatch(sentence)
    return Found([f"{that_is[1]} ({that_is[2]})" if that_is else sentence], after)


def _after(text: str, answer: str) -> str:
    return text[text.find(answer) + len(answer) :]


def _first_line(text: str) -> str:
    """A letter or a number alone before an empty line, explained after it; else nothing."""
    line, _, rest = text.partition("\n")
    alone = len(line) <= 20 and _ALONE.fullmatch(line.strip()) and rest.startswith("\n")
    return line if alone and not _DOUBTS.search(rest) else ""


def _bold_line(marked: str) -> str:
    """A first line that is all bold and no heading ("**Belize**"), explained after it; else nothing."""
    line, _, rest = marked.strip().partition("\n")
    bold = _BOLD_LINE.fullmatch(line.strip()) if len(line) <= 80 and rest.startswith("\n") else None
    return bold[1] if bold and not _HEADING.match(bold[1]) and not _DOUBTS.search(rest) else ""


def _conclusion(text: str) -> str:
    """The sentence that a text without a mark ends in, if it is a conclusion; else nothing.

    That is a last sentence which begins with "so" or the like, or a last line of its own (or the end of a
    long text) which states that something is something. Options or a text that was cut off have none.
    """
    tail = text[-3 * _MAX_BARE :]
    if shown := _DISPLAY.search(tail, max(tail.rfind("$$", 0, tail.rfind("$$")), tail.rfind("\\["), 0)):
        return shown[1]
    sentence = last_sentence(tail.rpartition("\n")[2].strip())
    if supposes(sentence) or about_work(sentence):
        return ""
    own_line = "\n" in text or len(text) > _MAX_BARE
    if len(sentence) > _MAX_BARE or sentence == text:
        return ""
    ended = sentence.endswith((".", "。", "!", "$", "\\)"))
    if _CONCLUDES.match(sentence) and (len(text) <= _MAX_BARE or ended):
        return sentence
    return sentence if own_line and ended and _STATES.search(sentence) else ""


def _last_match(mark: re.Pattern[str], text: str) -> re.Match[str] | None:
    ends = deque(mark.finditer(text), maxlen=1)
    return ends[0] if ends else None


def _first_sentence(text: str) -> str:
    """Up to the first full stop, unless an abbreviation ends there or a hedge goes on after it."""
    end = next(sentence_ends(text), None)
    if end is None or hedges(" ".join(text[end.end() :].split()[:2])):
        return text
    line = text.partition("\n")[0]
    lettered = _LETTER_ONLY.fullmatch(text[: end.start()]) and line[end.end() :].strip()
    if lettered and len(line.split()) <= 7 and not _EXPLAINS.match(line[end.end() :]):
        return line  # "B. 12 cm"
    return text[: end.start()]


def _agree(candidates: list[str]) -> Extraction:
    distinct = {normalize_text(candidate) for candidate in candidates} - {""}
    if not distinct:
        return Extraction(None, "no_answer")
    if len(distinct) > 1:
        return Extraction(None, "several_answers")
    return Extraction(next(c for c in reversed(candidates) if normalize_text(c)), "found")
