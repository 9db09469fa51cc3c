r"""What a model takes back after it has answered: "The answer is 12. No wait, 13.", "\boxed{12} is wrong."

Only the text after the last answer is looked at. A correction is read as the new answer if it is one plain
value; else the text has several answers, or none. All scans are linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_FLAGS = re.IGNORECASE | re.ASCII
_SENTENCE_BREAK = re.compile(r"(?<=[.!?;])(?<!\b[Nn]o\.)[\s*_]+|(?<=[。；！])|\n")
_TRIVIAL = " \t\r\n$*_.,:;!)]}\\—–-"
_SPENT = "wrong|incorrect|mistaken|(?:a|my) mistake|an error|impossible|rejected|invalid|not valid"
_RIGHT = r"(?:correct|right|it|true|the (?:correct |right )?(?:answer|one))\b"
_IS_WRONG = (
    r"(?:(?:is|was|are|were|seems?|looks?|must be)|(?<=\w)['’]s)\s(?:just |actually |clearly |also |all )?"
    rf"(?:(?:{_SPENT})\b|(?:not|never)\s{_RIGHT})|(?:isn|wasn)['’]t\s{_RIGHT}"
)
_SELF = (
    r"(?:that|this|it|which|(?:my|the) (?:(?:last|first|previous|above|initial) )?"
    r"(?:answer|guess|count|value))"
    r"(?:\s(?:answer|one|value))?"
)
_TAKES_BACK = (
    r"(?:wait|actually|hm+|sorry|apologies|oops|correction|scratch that|strike that|i mean|i meant|make that"
    r"|let me (?:correct|fix|redo|recount)"
    r"|i (?:was|am) (?:wrong|mistaken)|i made (?:a mistake|an error)|i miscounted|my (?:mistake|bad)"
    r"|on second thoughts?|on reflection|then again|never mind|i take (?:that|it) back)\b|edit:"
)
_NO = r"no(?!\.\sof\b)(?=\s?[,.!:;—–-]|\s(?:wait|it|that|this|i|actually)\b|\s*\Z)"
_SOFT = r"(?:oh|ah|uh|um|ok|okay|well|and|but|or|so|yet|however|then)\b[\s,.…—-]{0,4}"
_LEADS = re.compile(rf"(?:{_SOFT}){{0,3}}(?:{_NO}|{_TAKES_BACK})", _FLAGS)
_LEADS_BUT_NO = re.compile(rf"(?:{_SOFT}){{0,3}}(?:{_TAKES_BACK})", _FLAGS)
_DENIES = re.compile(
    rf"(?:{_SOFT}){{0,3}}(?:{_SELF}\s?(?:{_IS_WRONG})|i (?:was|am) (?:wrong|mistaken)"
    r"|scratch that|strike that|i take (?:that|it) back)"
    r"|(?:wrong|incorrect|false)\W{0,3}\Z"
    rf"|but\s(?!(?:the )?(?:option|choice|statement|others?|[a-j])\b).{{1,60}}?\s(?:{_IS_WRONG})"
    rf"|{_NO}",
    _FLAGS,
)
_WOULD_BE = re.compile(
    r"(?:(?:however|but|though|although|alternatively)\b[\s,]{0,3}.{0,60}?\b)?"
    r"(?:it|that|the (?:correct |right )?answer)"
    r"\s(?:should|could|might|may)\s(?:also |well |just as well |actually |instead |really |rather ){0,2}be\b"
    r"(?!\s(?:noted|mentioned|clear|emphasi|said|obtained|found|seen|verified|checked))",
    _FLAGS,
)
_IN_SENTENCE = re.compile(
    rf",\s?(?:which|but (?:that|this|it))\s?(?:{_IS_WRONG})|\bbut\s[^.]{{1,60}}?\s(?:{_IS_WRONG})"
    r"|(?<![A-J)])\s?\((?:this is |which is )?"
    rf"(?:{_SPENT}|discarded|extraneous|not {_RIGHT})\)\W{{0,3}}\Z",
    re.ASCII | re.IGNORECASE,
)
_OTHER_OPTION = re.compile(r"\bbut\s(?:option|choice|statement|others?|the others?|[A-J])\b", re.ASCII)
# Straight after a box: "\boxed{12} is wrong", "\boxed{12}, which is incorrect", "\boxed{12} (rejected)".
_AFTER_BOX = re.compile(rf"(?:,?\s?which\s)?(?:{_IS_WRONG})|\((?:{_SPENT}|discarded|extraneous)\)", _FLAGS)
_MAYBE = re.compile(r"or (?:maybe|perhaps|possibly)\b", _FLAGS)
# A letter's text may be what is wrong: "B. This is incorrect because ..." for "Which is incorrect?".
_REASON = re.compile(r"\s(?:because|since|as|for)\b", _FLAGS)
_LETTER = re.compile(r"\W{0,2}(?:option\s|choice\s)?\(?[A-J]\)?\W{0,2}", re.ASCII)
_SAYS_NO = re.compile(r"\W{0,3}no\b", _FLAGS)
_FRAME = re.compile(
    rf"(?:{_SOFT})|(?:{_NO}|{_TAKES_BACK})|(?:{_SELF}\s?)?(?:{_IS_WRONG})"
    r"|(?:it|that|this|the (?:correct |right |actual |final )?(?:answer|one|value|count|total))"
    r"(?:\s(?:is|was|should be|must be)\b|['’]s\b)|should be\b"
    rf"|(?:{_SPENT}|discarded|extraneous)\W{{0,3}}\Z",
    _FLAGS,
)
_FRAME_END = re.compile(
    r"\s(?:is (?:right|correct|the (?:correct |right )?(?:answer|one))|instead)\Z", _FLAGS
)
_PLAIN_VALUE = re.compile(
    r"[-+]?[$€£]?[0-9][0-9.,/]*\s?[A-Za-z°%]{0,10}|(?:(?:[Oo]ption|[Cc]hoice)\s)?\(?[A-J]\)?"
    r"|[A-Z][a-z]+(?:\s[A-Z][a-z]+){0,2}|[a-z]{2,20}",
    re.ASCII,
)
_CANDIDATE = re.compile(r"[0-9]|(?<![A-Za-z'])[B-J](?![A-Za-z'])|(?<=[a-z,:]\s)[A-Z][a-z]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Retraction:
    """That an answer was taken back.

    Attributes:
        instead: the one plain value that was put in its place; None if there is none.
        reason: "found" with a new value, else "several_answers" or "no_answer".
    """

    instead: str | None
    reason: Literal["found", "several_answers", "no_answer"]


def retraction(answer: str, after: str) -> Retraction | None:
    """Whether the text after an answer takes it back.

    Args:
        answer: the sentence or the content of the box that was found.
        after: all that follows it.

    Returns:
        None if the answer stands.
    """
    if _IN_SENTENCE.search(answer) and not _OTHER_OPTION.search(answer):
        return Retraction(None, "no_answer")
    parts = (part.lstrip(_TRIVIAL).rstrip() for part in _SENTENCE_BREAK.split(after))
    sentences = [part for part in parts if part]
    for place, sentence in enumerate(sentences):
        if place == 0 and (denied := _AFTER_BOX.match(sentence)) and not _explained(answer, sentence, denied):
            return _instead(sentences, denied=True)
        if place == 0 and _MAYBE.match(sentence) and _CANDIDATE.search(sentence):
            return Retraction(None, "several_answers")
        sentence = sentence.lstrip("([")
        denies = _denies(answer, sentence)
        if denies or _leads(answer, sentence) or _WOULD_BE.match(sentence):
            return _instead(sentences[place:], denies)
    return None


def takes_back(answer: str, after: str) -> bool:
    """Whether a sentence after an answer begins as a correction of it, whatever it puts in its place."""
    parts = (part.lstrip(_TRIVIAL).lstrip("([") for part in _SENTENCE_BREAK.split(after))
    return any(_leads(answer, part) or _denies(answer, part) for part in parts if part)


def _leads(answer: str, sentence: str) -> bool:
    """Whether a sentence begins as a correction does; after the answer "No", "No, ..." only repeats it."""
    return (_LEADS_BUT_NO if _SAYS_NO.match(answer) else _LEADS).match(sentence) is not None


def _denies(answer: str, sentence: str) -> bool:
    if _SAYS_NO.match(answer) and _SAYS_NO.match(sentence):
        return False
    named = len(answer) > 0 and sentence.startswith(answer)
    denied = _AFTER_BOX.match(sentence[len(answer) :].lstrip(_TRIVIAL)) if named else _DENIES.match(sentence)
    return denied is not None and not _explained(answer, sentence, denied)


def _explained(answer: str, sentence: str, denied: re.Match[str]) -> bool:
    return _LETTER.fullmatch(answer) is not None and _REASON.match(sentence, denied.end()) is not None


def _instead(sentences: list[str], denied: bool) -> Retraction | None:
    """What the sentences from the first that retracts put in the place of the answer."""
    left = [bare for sentence in sentences if (bare := _without_frame(sentence))]
    if len(set(left)) == 1 and _PLAIN_VALUE.fullmatch(left[0]):
        return Retraction(left[0], "found")
    if any(_CANDIDATE.search(bare) for bare in left):
        return Retraction(None, "several_answers")
    return Retraction(None, "no_answer") if denied else None


def _without_frame(sentence: str) -> str:
    """A sentence without the words that retract, and those that only state: "no wait, it is 13" -> "13"."""
    text = sentence.strip(_TRIVIAL + "([")
    for _ in range(8):
        frame = _FRAME.match(text)
        if not frame:
            break
        text = text[frame.end() :].lstrip(_TRIVIAL)
    return _FRAME_END.sub("", text)
